"""Whether an exchange's trades are those that the pure engine makes of its admission log.

Reads the database of an exchange that is set up (`manage.py replay_admissions`): every book's
batches, from the first on, are told to a fresh engine as they were admitted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from core.slots import slot_of
from exchange.capacity.models import Book, BookEvent, BookEventKind, Pool
from exchange.market import loading
from exchange.market.engine import BookState
from exchange.market.models import Admission, Offer, Order, Trade, TradeRelease
from exchange.market.terms import (
    CapacityReleased,
    ClockTicked,
    Event,
    OfferClosed,
    OfferEntered,
    OfferOpened,
    OrderCancelled,
    OrderEntered,
    OrderExpired,
    PoolChanged,
)
from exchange.pricing.engine import compute_cost, transport_cost
from exchange.topology.selectors import network

Line = tuple[int, UUID, UUID, int, int, int, int, int]
"""Batch, order, offer, units, slots, micro-yuan of compute and of transport."""


class NotReplayable(RuntimeError):
    """The rows no longer say what an event once did."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One book: trades written, and the first place where the engine says otherwise, if any."""

    book: str
    batches: int
    trades: int
    difference: str


def compare() -> Iterator[Compared]:
    """Every book that has admitted anything."""
    for book in Book.objects.filter(version__gt=0).order_by("id"):
        written = _written(book)
        try:
            difference = _difference(written, replayed(book))
        except NotReplayable as reason:
            difference = str(reason)
        yield Compared(book.code, book.version, len(written), difference)


def replayed(book: Book) -> list[Line]:
    """The trades that the engine makes of the book's log, from nothing. `NotReplayable`."""
    admissions = list(
        Admission.objects.filter(book=book, batch__lte=book.version).order_by("batch")
    )
    if not admissions:
        return []
    log = _Log(book)
    state = BookState(network(), now_s=math.ceil(admissions[0].admitted_at.timestamp()))
    lines: list[Line] = []
    last_slot: int | None = None
    for admission in admissions:
        events = log.events_of(admission.batch)
        slot = slot_of(admission.admitted_at)
        if last_slot is not None and last_slot < slot:
            events.append(ClockTicked())
        last_slot = slot
        result = state.apply(events, math.ceil(admission.admitted_at.timestamp()))
        lines += [
            (
                admission.batch,
                UUID(int=fill.order),
                UUID(int=fill.offer),
                fill.units,
                fill.start_slot,
                fill.end_slot,
                compute_cost(price_numerator=fill.price_numerator, units=fill.units),
                transport_cost(
                    transport_nano_per_unit=fill.transport_nano_per_unit, units=fill.units
                ),
            )
            for fill in result.fills
        ]
    return lines


def _written(book: Book) -> list[Line]:
    rows = Trade.objects.filter(book=book).order_by("batch", "position")
    return list(
        rows.values_list(
            "batch",
            "order_id",
            "offer_id",
            "units",
            "start_slot",
            "end_slot",
            "compute_micro",
            "transport_micro",
        )
    )


def _difference(written: list[Line], made: list[Line]) -> str:
    for number, (row, line) in enumerate(zip(written, made, strict=False)):
        if row != line:
            return f"trade {number} is {row}, the engine makes {line}"
    if len(written) != len(made):
        return f"{len(written)} trades are written, the engine makes {len(made)}"
    return ""


class _Log:
    """A book's events as the engine was told them."""

    def __init__(self, book: Book) -> None:
        self.pools = Pool.objects.select_related("centre").in_bulk()
        self.offers = Offer.objects.filter(book=book).in_bulk()
        self.orders = Order.objects.filter(book=book).in_bulk()
        self.releases = {
            release.event_id: release
            for release in TradeRelease.objects.filter(trade__book=book).select_related("trade")
        }
        self._rows: dict[int, list[BookEvent]] = {}
        for row in BookEvent.objects.filter(book=book, batch__isnull=False).order_by("position"):
            if row.batch is not None:
                self._rows.setdefault(row.batch, []).append(row)

    def events_of(self, batch: int) -> list[Event]:
        """What was admitted in the batch, in its order."""
        return [self._event(row, batch) for row in self._rows.get(batch, [])]

    def _event(self, row: BookEvent, batch: int) -> Event:  # noqa: PLR0911 - one for each kind
        entry = (batch, row.position or 0)
        match BookEventKind(row.kind):
            case BookEventKind.ORDER_ENTERED:
                terms = loading.order_terms(self.orders[row.subject_id], entry=entry)
                return OrderEntered(
                    replace(terms, remaining_units=terms.units, spent_micro=0, anchor=None)
                )
            case BookEventKind.ORDER_CANCELLED:
                return OrderCancelled(row.subject_id.int)
            case BookEventKind.ORDER_EXPIRED:
                return OrderExpired(row.subject_id.int)
            case BookEventKind.POOL_CHANGED:
                return PoolChanged(loading.pool_terms(self.pools[row.subject_id], row.payload))
            case BookEventKind.CAPACITY_RELEASED:
                release = self.releases[row.id]
                trade = release.trade
                return CapacityReleased(
                    offer=trade.offer_id.int,
                    pool=trade.pool_id.int,
                    units=trade.units,
                    start_slot=release.from_slot,
                    end_slot=trade.end_slot,
                )
            case BookEventKind.OFFER_ENTERED:
                offer = loading.offer_terms(self.offers[row.subject_id], entry=entry)
                return OfferEntered(replace(offer, open=True))
            case BookEventKind.OFFER_RESUMED:
                return OfferOpened(row.subject_id.int, entry)
            case BookEventKind.OFFER_PAUSED | BookEventKind.OFFER_WITHDRAWN:
                return OfferClosed(row.subject_id.int)
            case BookEventKind.OFFER_CHANGED:
                raise NotReplayable(f"offer {row.subject_id} was changed: its first terms are gone")
