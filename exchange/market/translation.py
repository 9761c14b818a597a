"""A batch's events in the engines' words, and what they make of offers and pools themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from core.states import next_state
from exchange.capacity.models import Book, BookEvent, BookEventKind, Pool
from exchange.market import amendments, loading
from exchange.market.admission import Batch
from exchange.market.day_ahead import reservations
from exchange.market.models import Offer, OfferState, Order, OrderAmendment, Trade, TradeRelease
from exchange.market.states import OFFER_TRANSITIONS
from exchange.market.terms import (
    CapacityReleased,
    ClockTicked,
    Entry,
    Event,
    OfferChanged,
    OfferClosed,
    OfferEntered,
    OfferOpened,
    OrderAmended,
    OrderCancelled,
    OrderEntered,
    OrderExpired,
    PoolChanged,
    PoolTerms,
    TradingHalted,
    TradingResumed,
)

_AMENDED = BookEventKind.ORDER_AMENDED
_CAPACITY = (
    BookEventKind.POOL_CHANGED,
    BookEventKind.CAPACITY_RELEASED,
    BookEventKind.CAPACITY_RESERVED,
    BookEventKind.CAPACITY_RETURNED,
)
_KEEPS_PRIORITY = frozenset({"units"})
_OFFER_VERBS = {
    BookEventKind.OFFER_ENTERED: "admit",
    BookEventKind.OFFER_PAUSED: "pause",
    BookEventKind.OFFER_RESUMED: "resume",
    BookEventKind.OFFER_WITHDRAWN: "withdraw",
}


@dataclass(slots=True)
class Translation:
    """The engine's events of a batch; the rows that entered or changed by it, unsaved."""

    events: list[Event] = field(default_factory=list)
    entered_orders: dict[UUID, Order] = field(default_factory=dict)
    amendments: dict[UUID, OrderAmendment] = field(default_factory=dict)  # by order
    new_entries: dict[UUID, Entry] = field(default_factory=dict)  # of amended orders
    changed_offers: dict[UUID, Offer] = field(default_factory=dict)
    # Of offers whose window changes: from the first to the last slot of all that they have here.
    widest_windows: dict[UUID, tuple[int, int]] = field(default_factory=dict)
    changed_pools: dict[UUID, Pool] = field(default_factory=dict)
    halts_in_force: dict[str, list[str] | None] = field(default_factory=dict)
    halts_and_resumptions: list[BookEvent] = field(default_factory=list)


def translate(batch: Batch) -> Translation:
    """Read what a batch's events speak of, in one query for each kind, and say it to an engine."""
    return _Translator(batch).run()


class _Translator:
    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.book = batch.book
        self.result = Translation()
        subjects: dict[str, set[UUID]] = {}
        for event in batch.events:
            subjects.setdefault(event.kind.split("_")[0], set()).add(event.subject_id)
        self.orders = Order.objects.in_bulk(subjects.get("order", ()))
        self.offers = Offer.objects.in_bulk(subjects.get("offer", ()))
        self.pools = Pool.objects.select_related("centre").in_bulk(subjects.get("pool", ()))
        asked = [e.payload["amendment"] for e in batch.events if e.kind == _AMENDED]
        self.amendments = OrderAmendment.objects.in_bulk(asked) if asked else {}
        self.known_pools: dict[UUID, Pool] | None = None  # read where a halt asks for them
        self.reserved = reservations.Reserved(batch.events, loading.offer_terms)
        released = [e.id for e in batch.events if e.kind == BookEventKind.CAPACITY_RELEASED]
        self.releases = {
            release.event_id: release
            for release in TradeRelease.objects.filter(event_id__in=released).select_related(
                "trade"
            )
        }

        self.resold = self._resold(subjects.get("pool", set()))

    def _resold(self, pool_ids: set[UUID]) -> dict[UUID, list[Trade]]:
        """Trades that live offers resell, by the pools that change."""
        if not pool_ids:
            return {}
        resold: dict[UUID, dict[UUID, Trade]] = {}
        offers = Offer.objects.filter(
            pool_id__in=pool_ids,
            resale_of__isnull=False,
            state__in=(OfferState.OPEN, OfferState.PAUSED),
        )
        for offer in offers.select_related("resale_of").order_by("id"):
            if offer.resale_of is not None:
                resold.setdefault(offer.pool_id, {})[offer.resale_of.id] = offer.resale_of
        return {pool_id: list(trades.values()) for pool_id, trades in resold.items()}

    def _end_resales(self, trade: Trade) -> None:
        """What is left of a trade is given back: its holder has nothing to resell any more."""
        if not trade.allows_resale:
            return
        live = Offer.objects.filter(
            resale_of=trade, state__in=(OfferState.OPEN, OfferState.PAUSED)
        ).order_by("id")
        for found in live:
            offer = self.offers.setdefault(found.id, found)
            offer.state = next_state(OFFER_TRANSITIONS, offer.state, "withdraw", what="an offer")
            self.result.changed_offers[offer.id] = offer
            self.result.events.append(OfferClosed(offer.id.int))

    def _admit_resale(self, trade_id: UUID) -> bool:
        """Tell the engine of what is resold, as a pool; whether there is anything left of it."""
        trade = Trade.objects.select_related("pool__centre").get(id=trade_id)
        over = TradeRelease.objects.filter(
            trade=trade, event__batch__lte=self.batch.admission.batch
        )
        if over.exists():
            return False
        pool = self.result.changed_pools.get(trade.pool_id) or trade.pool
        resold = loading.resold_terms(self._terms_of(pool), trade)
        self.result.events.append(PoolChanged(resold))
        return True

    def run(self) -> Translation:
        for event in sorted(self.batch.events, key=turn):
            if event.kind in reservations.KINDS:
                self.result.events += self.reserved.say(event)
                continue
            said = self._say(event)
            if said is not None:
                self.result.events.append(said)
        if self.batch.ticks:
            self.result.events.append(ClockTicked())
        self.result.halts_in_force = self.book.halts_in_force
        return self.result

    def _say(self, event: BookEvent) -> Event | None:  # noqa: PLR0911  a table of kinds
        match BookEventKind(event.kind):
            case BookEventKind.ORDER_ENTERED:
                return self._order_entered(event)
            case BookEventKind.ORDER_CANCELLED | BookEventKind.ORDER_EXPIRED:
                return taken_out(event)
            case BookEventKind.ORDER_AMENDED:
                return self._order_amended(event)
            case BookEventKind.POOL_CHANGED:
                return self._pool_changed(event)
            case BookEventKind.CAPACITY_RELEASED:
                release = self.releases[event.id]
                self._end_resales(release.trade)
                return released(release)
            case BookEventKind.TRADING_HALTED | BookEventKind.TRADING_RESUMED:
                return self._halted_or_resumed(event)
            case _:
                return self._offer_event(event)

    def _pool_changed(self, event: BookEvent) -> Event:
        pool = self.pools[event.subject_id]
        pool.book_terms = event.payload
        self.result.changed_pools[pool.id] = pool
        terms = self._terms_of(pool)
        self.result.events += [
            PoolChanged(loading.resold_terms(terms, trade))
            for trade in self.resold.get(pool.id, ())
        ]
        return PoolChanged(terms)

    def _terms_of(self, pool: Pool) -> PoolTerms:
        is_halted = not self.book.sells_in(pool.centre.region_id)
        return loading.pool_terms(pool, pool.book_terms, is_halted=is_halted)

    def _order_entered(self, event: BookEvent) -> Event:
        order = self.orders[event.subject_id]
        order.entry_batch, order.entry_position = self._entry(event)
        self.result.entered_orders[order.id] = order
        return OrderEntered(loading.order_terms(order))

    def _order_amended(self, event: BookEvent) -> Event:
        amendment = self.amendments[UUID(event.payload["amendment"])]
        order = self.orders[event.subject_id]
        self.result.amendments[order.id] = amendment
        entry = None if amendment.keeps_entry else self._entry(event)
        if entry is not None:
            self.result.new_entries[order.id] = entry
        wanted = amendments.with_terms(order, amendment)
        return OrderAmended(loading.order_terms(wanted, entry=entry))

    def _offer_event(self, event: BookEvent) -> Event | None:
        offer = self.offers[event.subject_id]
        before, window = offer.state, (offer.start_slot, offer.end_slot)
        if event.kind == BookEventKind.OFFER_ENTERED and self._has_nothing_to_resell(offer):
            offer.state = next_state(OFFER_TRANSITIONS, before, "withdraw", what="an offer")
            said = None
        else:
            said = offer_event(offer, event, self._entry(event))
        if said is not None or offer.state != before:
            self.result.changed_offers[offer.id] = offer
        if (offer.start_slot, offer.end_slot) != window:
            start, end = self.result.widest_windows.get(offer.id, window)
            widest = min(start, offer.start_slot), max(end, offer.end_slot)
            self.result.widest_windows[offer.id] = widest
        return said

    def _has_nothing_to_resell(self, offer: Offer) -> bool:
        resold_id = offer.resale_of_id
        waits = offer.state == OfferState.PENDING
        return waits and resold_id is not None and not self._admit_resale(resold_id)

    def _halted_or_resumed(self, event: BookEvent) -> Event | None:
        """Close the pools that sold, or open those that no halt covers any more."""
        before = {pool.id for pool in self._pools_that_sell()}
        note_halt(self.book, event)
        self.result.halts_and_resumptions.append(event)
        after = {pool.id for pool in self._pools_that_sell()}
        if event.kind == BookEventKind.TRADING_HALTED:
            closed = self._with_resold(before - after)
            return TradingHalted(closed) if closed else None
        opened = self._with_resold(after - before)
        return TradingResumed(opened) if opened else None

    def _with_resold(self, pool_ids: set[UUID]) -> tuple[int, ...]:
        """Pools as the engine knows them: with what holders resell of them, each a pool too."""
        resold = (trade.id for trades in self._resold(pool_ids).values() for trade in trades)
        return tuple(sorted(id_.int for id_ in (*pool_ids, *resold)))

    def _pools_that_sell(self) -> list[Pool]:
        """The pools that the book knows by now and that no halt covers."""
        if self.known_pools is None:
            known = Pool.objects.filter(grade__book=self.book).exclude(book_terms={})
            self.known_pools = {pool.id: pool for pool in known.select_related("centre")}
        known_by_now = self.known_pools | self.result.changed_pools
        return [pool for pool in known_by_now.values() if self.book.sells_in(pool.centre.region_id)]

    def _entry(self, event: BookEvent) -> tuple[int, int]:
        if event.position is None:
            raise ValueError(f"event {event.id} is not admitted")
        return self.batch.admission.batch, event.position


def note_halt(book: Book, event: BookEvent) -> None:
    """Let a halt hold in an unsaved ``book``, or no longer."""
    halts = dict(book.halts_in_force)
    if event.kind == BookEventKind.TRADING_HALTED:
        halts[str(event.subject_id)] = event.payload["regions"]
    else:
        halts.pop(str(event.subject_id), None)
    book.halts_in_force = halts


def offer_event(offer: Offer, event: BookEvent, entry: Entry) -> Event | None:
    """Move an unsaved ``offer`` on by an event of it, and say it; None where it changes nothing.

    That is so where it was asked for while another event of the same offer was on its way.
    """
    kind = BookEventKind(event.kind)
    if kind == BookEventKind.OFFER_CHANGED:
        if offer.state not in (OfferState.OPEN, OfferState.PAUSED):
            return None
        return _offer_changed(offer, told_terms(event.payload), entry)
    verb = _OFFER_VERBS[kind]
    if (offer.state, verb) not in OFFER_TRANSITIONS:
        return None
    before = offer.state
    offer.state = next_state(OFFER_TRANSITIONS, before, verb, what="an offer")
    if verb in ("admit", "resume"):
        offer.entry_batch, offer.entry_position = entry
    if verb == "admit":
        return OfferEntered(loading.offer_terms(offer))
    if verb == "resume":
        return OfferOpened(offer.id.int, entry)
    # One that never entered is nothing that the engine could close.
    return None if before == OfferState.PENDING else OfferClosed(offer.id.int)


def told_terms(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of an offer that an event's payload names."""
    return {**payload, "prices": [Decimal(price) for price in payload["prices"]]}


def _offer_changed(offer: Offer, terms: Mapping[str, Any], entry: Entry) -> Event:
    changed = {name for name, value in terms.items() if getattr(offer, name) != value}
    shrinks = changed <= _KEEPS_PRIORITY and terms["units"] <= offer.units
    for name in changed:
        setattr(offer, name, terms[name])
    if not shrinks:
        offer.entry_batch, offer.entry_position = entry
    return OfferChanged(loading.offer_terms(offer))


def taken_out(event: BookEvent) -> Event:
    """That an order is taken out, by its buyer or by its time."""
    if event.kind == BookEventKind.ORDER_CANCELLED:
        return OrderCancelled(event.subject_id.int, "by the buyer")
    return OrderExpired(event.subject_id.int, "its time is over")


def turn(event: BookEvent) -> tuple[bool, bool, int]:
    """The key by which a batch's events are told: halts, then capacity, each by order of arrival.

    Not by position, since capacity that entered an open batch late has one before all others: told
    first, it would be undone by an older change of the same pool.
    """
    kind = BookEventKind(event.kind)
    return kind != BookEventKind.TRADING_HALTED, kind not in _CAPACITY, event.id


def released(release: TradeRelease) -> Event:
    """That a trade, which the release has loaded, gave capacity back."""
    trade = release.trade
    return CapacityReleased(
        offer=trade.offer_id.int,
        pool=(trade.resold_from_id or trade.pool_id).int,
        units=trade.units,
        start_slot=release.from_slot,
        end_slot=trade.end_slot,
    )
