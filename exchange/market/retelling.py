"""A book's admission log told to a fresh engine, from the first batch on: what would it trade?

Everything that an event meant is kept: in its payload (offers, pools, halts), in the order's terms
as placed and those of each amendment, in releases. The network of links is taken as it is now.
What a book resold or traded in an auction is not told: such a log is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from core.slots import slot_of
from exchange.capacity.models import Book, BookEvent, BookEventKind, Pool
from exchange.market import amendments, loading, translation
from exchange.market.models import (
    Admission,
    Offer,
    OfferState,
    Order,
    OrderAmendment,
    Trade,
    TradeRelease,
)
from exchange.market.terms import (
    BatchResult,
    ClockTicked,
    Entry,
    Event,
    Network,
    OrderAmended,
    OrderEntered,
    OrderTerms,
    PoolChanged,
    TradingHalted,
    TradingResumed,
)
from exchange.pricing.engine import compute_cost, transport_cost
from exchange.topology.selectors import network

Line = tuple[int, UUID, UUID, int, int, int, int, int]
"""Of a trade: batch, order, offer, units, slots, micro-yuan of compute and of transport."""


class NotRetellable(RuntimeError):
    """The rows no longer say what an event once did."""


class Engine(Protocol):
    """What both engines can do."""

    @property
    def orders(self) -> Mapping[int, OrderTerms]:
        """The resting orders, by id."""
        ...

    def apply(self, events: Sequence[Event], now_s: int) -> BatchResult:
        """Handle a batch."""
        ...


E_co = TypeVar("E_co", bound=Engine, covariant=True)


class MakesEngine(Protocol[E_co]):
    """The class of an engine, which begins with an empty book."""

    def __call__(self, network: Network, *, now_s: int) -> E_co:
        """An engine at the first batch's ``now``."""
        ...


@dataclass(frozen=True, slots=True)
class Retold(Generic[E_co]):
    """An engine that was told a whole log, and the trades that it made of it."""

    engine: E_co
    trades: list[Line]


def retell(book: Book, make_engine: MakesEngine[E_co]) -> Retold[E_co]:
    """Tell every written batch of the book. ``NotRetellable`` names what no row says any more."""
    written = Admission.objects.filter(book=book, batch__lte=book.version).order_by("batch")
    admissions = list(written)
    first_s = math.ceil(admissions[0].admitted_at.timestamp()) if admissions else 0
    told = Retold(make_engine(network(), now_s=first_s), [])
    log = _Log(book)
    last_slot: int | None = None
    for admission in admissions:
        slot = slot_of(admission.admitted_at)
        events = log.events_of(admission.batch)
        if last_slot is not None and last_slot < slot:
            events.append(ClockTicked())
        last_slot = slot
        result = told.engine.apply(events, math.ceil(admission.admitted_at.timestamp()))
        log.go_on(result, slot)
        told.trades.extend(_lines(admission.batch, result))
    return told


def trades_written(book: Book) -> list[Line]:
    """The book's trades as the writer left them."""
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


def _lines(batch: int, result: BatchResult) -> list[Line]:
    return [
        (
            batch,
            UUID(int=fill.order),
            UUID(int=fill.offer),
            fill.units,
            fill.start_slot,
            fill.end_slot,
            compute_cost(price_numerator=fill.price_numerator, units=fill.units),
            transport_cost(transport_nano_per_unit=fill.transport_nano_per_unit, units=fill.units),
        )
        for fill in result.fills
    ]


class _Log:
    """A book's events in their words, and offers, entries and halts as of the batch told last."""

    def __init__(self, book: Book) -> None:
        self._pools = Pool.objects.filter(grade__book=book).select_related("centre").in_bulk()
        self._orders = Order.objects.filter(book=book).in_bulk()
        self._amendments = OrderAmendment.objects.filter(order__book=book).in_bulk()
        self._placed = {a.order_id: a for a in self._amendments.values() if a.state == "placed"}
        self._releases = {
            release.event_id: release
            for release in TradeRelease.objects.filter(trade__book=book).select_related("trade")
        }
        if Offer.objects.filter(book=book).exclude(resale_of=None, auction_entry=None).exists():
            raise NotRetellable(f"book {book.code} resells, or traded in an auction")
        self._rows: dict[int | None, list[BookEvent]] = {}
        for row in BookEvent.objects.filter(book=book, batch__isnull=False):
            self._rows.setdefault(row.batch, []).append(row)
        self._offers = self._offers_as_created(book)
        self._entries: dict[int, Entry] = {}
        self._amended_entries: dict[int, Entry] = {}  # of the batch being told
        self._known_pools: set[UUID] = set()
        self._book = copy(book)
        self._book.halts_in_force = {}

    def events_of(self, batch: int) -> list[Event]:
        """What was admitted in the batch, in its order."""
        rows = sorted(self._rows.get(batch, ()), key=translation.turn)
        said = (self._event(row, (batch, row.position or 0)) for row in rows)
        return [event for event in said if event is not None]

    def go_on(self, result: BatchResult, slot: int) -> None:
        """Take what a batch made of amendments, and what its hour made of offers."""
        for told in result.amendments:
            if not told.refusal:
                self._entries[told.order] = self._amended_entries[told.order]
        self._amended_entries.clear()
        for offer in self._offers.values():
            if offer.state in (OfferState.OPEN, OfferState.PAUSED) and offer.end_slot <= slot:
                offer.state = OfferState.EXPIRED

    def _event(self, row: BookEvent, entry: Entry) -> Event | None:  # noqa: PLR0911  one a kind
        match BookEventKind(row.kind):
            case BookEventKind.ORDER_ENTERED:
                return self._order_entered(self._orders[row.subject_id], entry)
            case BookEventKind.ORDER_CANCELLED | BookEventKind.ORDER_EXPIRED:
                return translation.taken_out(row)
            case BookEventKind.ORDER_AMENDED:
                return self._order_amended(self._amendments[UUID(row.payload["amendment"])], entry)
            case BookEventKind.POOL_CHANGED:
                return self._pool_changed(self._pools[row.subject_id], row)
            case BookEventKind.CAPACITY_RELEASED:
                return translation.released(self._releases[row.id])
            case BookEventKind.TRADING_HALTED | BookEventKind.TRADING_RESUMED:
                return self._halted_or_resumed(row)
            case _:
                return translation.offer_event(self._offers[row.subject_id], row, entry)

    def _order_entered(self, order: Order, entry: Entry) -> Event:
        placed = self._placed.get(order.id)
        if placed is not None:
            order = amendments.with_terms(order, placed)
        self._entries[order.id.int] = entry
        terms = loading.order_terms(order, entry=entry)
        return OrderEntered(replace(terms, remaining_units=terms.units, spent_micro=0))

    def _order_amended(self, amendment: OrderAmendment, entry: Entry) -> Event:
        order = amendments.with_terms(self._orders[amendment.order_id], amendment)
        if amendment.keeps_entry:
            entry = self._entries[order.id.int]
        self._amended_entries[order.id.int] = entry
        return OrderAmended(loading.order_terms(order, entry=entry))

    def _pool_changed(self, pool: Pool, row: BookEvent) -> Event:
        self._known_pools.add(pool.id)
        is_halted = not self._book.sells_in(pool.centre.region_id)
        return PoolChanged(loading.pool_terms(pool, row.payload, is_halted=is_halted))

    def _halted_or_resumed(self, row: BookEvent) -> Event | None:
        before = self._selling()
        translation.note_halt(self._book, row)
        if row.kind == BookEventKind.TRADING_HALTED:
            closed = tuple(sorted(pool.int for pool in before - self._selling()))
            return TradingHalted(closed) if closed else None
        opened = tuple(sorted(pool.int for pool in self._selling() - before))
        return TradingResumed(opened) if opened else None

    def _selling(self) -> set[UUID]:
        """The pools told so far that no halt covers."""
        return {
            pool_id
            for pool_id in self._known_pools
            if self._book.sells_in(self._pools[pool_id].centre.region_id)
        }

    def _offers_as_created(self, book: Book) -> dict[UUID, Offer]:
        """Unsaved copies of the book's offers with their first terms, not yet admitted."""
        rows = [row for rows in self._rows.values() for row in rows]
        created = {row.subject_id: row for row in rows if row.kind == BookEventKind.OFFER_ENTERED}
        changed = {row.subject_id for row in rows if row.kind == BookEventKind.OFFER_CHANGED}
        offers: dict[UUID, Offer] = {}
        for offer_id, offer in Offer.objects.filter(book=book, id__in=created).in_bulk().items():
            payload = created[offer_id].payload
            if not payload and offer_id in changed:
                raise NotRetellable(f"offer {offer_id} was changed: its first terms are gone")
            first = copy(offer)
            for name, value in translation.told_terms(payload).items() if payload else ():
                setattr(first, name, value)
            first.state = OfferState.PENDING
            offers[offer_id] = first
        return offers
