"""What the market page needs to know: how the books stand, the index, who has the supply."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.utils.translation import gettext as _

from accounts.actors import Actor
from console import cells
from console.cells import Cell, Column, Table
from core.money import to_micro
from core.slots import slot_start_at
from exchange.capacity.models import Book
from exchange.market.orderly import selectors
from exchange.market.orderly.concentration import Concentration
from exchange.market.orderly.models import Halt
from exchange.market.orderly.selectors import Provider
from exchange.topology.models import Region


@dataclass(frozen=True, slots=True)
class BookRow:
    """A book with its rules; ``state`` is what its matcher knows."""

    book: Book
    state: str
    band_percent: Decimal | None


def books() -> list[BookRow]:
    """Every book. One query."""
    return [
        BookRow(
            book,
            "halted" if book.is_halted else "open",
            None if book.band_bp is None else Decimal(book.band_bp) / 100,
        )
        for book in selectors.books()
    ]


def halts() -> list[Halt]:
    """Halts that are not resumed, the newest first. One query."""
    return selectors.live_halts()


def regions() -> list[Region]:
    """Every region that can be halted. One query."""
    return list(Region.objects.order_by("code"))


def index_table() -> Table:
    """The reference price in force of each grade and region. One query."""
    return Table(
        title=_("Reference index"),
        anchor="index",
        note=_(
            "The volume-weighted price of the hour; with too little volume, that of an earlier one."
        ),
        columns=[
            Column(_("Grade")),
            Column(_("Region")),
            Column(_("Hour")),
            Column(_("Price per unit-hour"), figures=True),
            Column(_("Made in the hour")),
            Column(_("Unit-hours"), figures=True),
            Column(_("Trades"), figures=True),
        ],
        rows=[
            [
                cells.code(hour.grade.code),
                cells.region(hour.region),
                cells.minute(slot_start_at(hour.slot)),
                cells.money(to_micro(hour.price_per_unit_hour)),
                cells.minute(slot_start_at(hour.priced_slot)),
                cells.number(hour.unit_hours),
                cells.number(hour.trades),
            ]
            for hour in selectors.index_in_force()
        ],
        empty=_("No hour with trades is over yet."),
    )


def concentration_table(*, actor: Actor, now: datetime) -> Table:
    """How concentrated the supply of each grade is. One query."""
    return Table(
        title=_("Concentration of supply"),
        anchor="concentration",
        note=_(
            "HHI is the sum of the squares of the providers' shares in per cent: 10,000 where one "
            "has everything. Above 2,500 a supply counts as highly concentrated."
        ),
        columns=[
            Column(_("Grade")),
            Column(_("Units"), figures=True),
            Column(_("Providers"), figures=True),
            Column(_("HHI"), figures=True),
            Column(_("Largest provider")),
            Column(_("Its share"), figures=True),
            Column(_("Three largest"), figures=True),
            Column(_("Free units"), figures=True),
            Column(_("HHI of free units"), figures=True),
            Column(_("Largest share of free units"), figures=True),
        ],
        rows=[
            [
                cells.code(supply.grade),
                cells.number(supply.registered.units),
                cells.number(supply.registered.providers),
                cells.number(supply.registered.hhi),
                _largest(supply.registered),
                _share(supply.registered, 1),
                _share(supply.registered, 3),
                cells.number(supply.free.units),
                cells.number(supply.free.hhi),
                _share(supply.free, 1),
            ]
            for supply in selectors.supply_concentration(actor=actor, at=now)
        ],
        empty=_("No pool is registered."),
    )


def _largest(found: Concentration[Provider]) -> Cell:
    if not found.largest:
        return cells.text(None)
    provider = found.largest[0].provider
    return cells.text(provider.name, cells.thing_url("organisation", provider.id))


def _share(found: Concentration[Provider], count: int) -> Cell:
    if not found.units:
        return cells.share(None)
    return cells.share(Decimal(sum(one.units for one in found.largest[:count])) / found.units)
