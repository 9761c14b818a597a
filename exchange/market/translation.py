"""A batch's events in the engines' words, and what they make of offers and pools themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from core.states import next_state
from exchange.capacity.models import BookEvent, BookEventKind, Pool
from exchange.market import loading
from exchange.market.admission import Batch
from exchange.market.day_ahead import reservations
from exchange.market.models import Offer, OfferState, Order, TradeRelease
from exchange.market.states import OFFER_TRANSITIONS
from exchange.market.terms import (
    CapacityReleased,
    ClockTicked,
    Event,
    OfferChanged,
    OfferClosed,
    OfferEntered,
    OfferOpened,
    OrderCancelled,
    OrderEntered,
    OrderExpired,
    PoolChanged,
)

_KEEPS_PRIORITY = frozenset({"units"})


@dataclass(slots=True)
class Translation:
    """The engine's events of a batch; the rows that entered or changed by it, unsaved."""

    events: list[Event] = field(default_factory=list)
    entered_orders: dict[UUID, Order] = field(default_factory=dict)
    changed_offers: dict[UUID, Offer] = field(default_factory=dict)
    changed_pools: dict[UUID, Pool] = field(default_factory=dict)


def translate(batch: Batch) -> Translation:
    """Read what a batch's events speak of, in one query for each kind, and say it to an engine."""
    return _Translator(batch).run()


class _Translator:
    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.result = Translation()
        subjects: dict[str, set[UUID]] = {}
        for event in batch.events:
            subjects.setdefault(event.kind.split("_")[0], set()).add(event.subject_id)
        self.orders = Order.objects.in_bulk(subjects.get("order", ()))
        self.offers = Offer.objects.in_bulk(subjects.get("offer", ()))
        self.pools = Pool.objects.select_related("centre").in_bulk(subjects.get("pool", ()))
        self.reserved = reservations.Reserved(batch.events, loading.offer_terms)
        released = [e.id for e in batch.events if e.kind == BookEventKind.CAPACITY_RELEASED]
        self.releases = {
            release.event_id: release
            for release in TradeRelease.objects.filter(event_id__in=released).select_related(
                "trade"
            )
        }

    def run(self) -> Translation:
        for event in self.batch.events:
            if event.kind in reservations.KINDS:
                self.result.events += self.reserved.say(event)
                continue
            said = self._say(event)
            if said is not None:
                self.result.events.append(said)
        if self.batch.ticks:
            self.result.events.append(ClockTicked())
        return self.result

    def _say(self, event: BookEvent) -> Event | None:
        match BookEventKind(event.kind):
            case BookEventKind.ORDER_ENTERED:
                return self._order_entered(event)
            case BookEventKind.ORDER_CANCELLED:
                return OrderCancelled(event.subject_id.int, "by the buyer")
            case BookEventKind.ORDER_EXPIRED:
                return OrderExpired(event.subject_id.int, "its time is over")
            case BookEventKind.POOL_CHANGED:
                pool = self.pools[event.subject_id]
                pool.book_terms = event.payload
                self.result.changed_pools[pool.id] = pool
                return PoolChanged(loading.pool_terms(pool, event.payload))
            case BookEventKind.CAPACITY_RELEASED:
                return _released(self.releases[event.id])
            case _:
                return self._offer_event(event)

    def _order_entered(self, event: BookEvent) -> Event:
        order = self.orders[event.subject_id]
        order.entry_batch, order.entry_position = self._entry(event)
        self.result.entered_orders[order.id] = order
        return OrderEntered(loading.order_terms(order))

    def _offer_event(self, event: BookEvent) -> Event | None:
        offer = self.offers[event.subject_id]
        verb = {
            BookEventKind.OFFER_ENTERED: "admit",
            BookEventKind.OFFER_CHANGED: "change",
            BookEventKind.OFFER_PAUSED: "pause",
            BookEventKind.OFFER_RESUMED: "resume",
            BookEventKind.OFFER_WITHDRAWN: "withdraw",
        }[BookEventKind(event.kind)]
        if verb == "change":
            if offer.state not in (OfferState.OPEN, OfferState.PAUSED):
                return None
            return self._offer_changed(offer, event)
        if (offer.state, verb) not in OFFER_TRANSITIONS:
            # It was asked for while another event of the same offer was on its way.
            return None
        offer.state = next_state(OFFER_TRANSITIONS, offer.state, verb, what="an offer")
        self.result.changed_offers[offer.id] = offer
        if verb in ("admit", "resume"):
            offer.entry_batch, offer.entry_position = self._entry(event)
        if verb == "admit":
            return OfferEntered(loading.offer_terms(offer))
        if verb == "resume":
            return OfferOpened(offer.id.int, self._entry(event))
        return OfferClosed(offer.id.int)

    def _offer_changed(self, offer: Offer, event: BookEvent) -> Event:
        terms = event.payload | {"prices": [Decimal(price) for price in event.payload["prices"]]}
        changed = {name for name, value in terms.items() if getattr(offer, name) != value}
        shrinks = changed <= _KEEPS_PRIORITY and terms["units"] <= offer.units
        for name in changed:
            setattr(offer, name, terms[name])
        if not shrinks:
            offer.entry_batch, offer.entry_position = self._entry(event)
        self.result.changed_offers[offer.id] = offer
        return OfferChanged(loading.offer_terms(offer))

    def _entry(self, event: BookEvent) -> tuple[int, int]:
        if event.position is None:
            raise ValueError(f"event {event.id} is not admitted")
        return self.batch.admission.batch, event.position


def _released(release: TradeRelease) -> Event:
    trade = release.trade
    return CapacityReleased(
        offer=trade.offer_id.int,
        pool=trade.pool_id.int,
        units=trade.units,
        start_slot=release.from_slot,
        end_slot=trade.end_slot,
    )
