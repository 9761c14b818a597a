"""What matching means: the short, slow, obvious engine that the fast one is held to.

Events are handled one by one; each looks at everything.

**An order is matched** against the whole book, when it enters and whenever an event reaches it.
Its *candidates* are the pairs of offer and start that pass every test of `conditions`, ranked by
all-in value, then the offer's entry, then its id, then the start: the better price, the earlier
entry, the smaller id, the earliest of equally dear starts. A *walk* goes through them once and
takes from each the most that goal, free units (of offer and pool, over all slots), chunk and
ceiling allow.

- The goal is what remains of the order. Where the walk leaves a rest below `min_units`, a second
  one aims for what leaves exactly `min_units`. What then fills fewer than `min_units` (or than what
  remains, where that is less), or leaves less, fills nothing. `fok` takes all or nothing.
- `anywhere` is one walk over all candidates. For `same_*` there is one walk for each place and
  start; the one that fills most units wins, then the least total of units x all-in value, then the
  rank of its first fill. The first fill anchors the order: later ones keep to its place and start.
- **The price of a trade** is the limit of the side with the earlier entry: the offer's own price,
  or the order's limit less transport. The ceiling counts what the trades cost, rounded up.
- No organisation trades with itself: such offers are passed over.

**An amended order** is taken out and enters again under its new terms, with the entry that its
event gives it: the old one, or a new one. What it was given before stays given.

**What reaches resting orders.** An offer that enters, changes or opens; a pool that changes and
capacity that is released, by each open offer of that pool. Resting orders are asked in the order
of their limit for the pool's grade net of transport per unit-hour, then entry, then id; one is
*reached* where one of those offers could at that moment give it at least one chunk by itself
(for released capacity: at a start whose slots touch those released). A reached order is matched
against the whole book, a `same_*` one at the place of that pool only, since nothing happened
elsewhere. `ClockTicked` asks the resting on-demand orders, by their highest limit, then entry, then
id, and matches each against the whole book. `TradingResumed` first opens all its pools, then asks
every resting order in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from exchange.market import conditions
from exchange.market.journal import Journal, fill_of
from exchange.market.terms import (
    BatchResult,
    CapacityReleased,
    Claim,
    ClockTicked,
    Entry,
    Event,
    Fill,
    Network,
    OfferChanged,
    OfferClosed,
    OfferEntered,
    OfferOpened,
    OfferTerms,
    OrderAmended,
    OrderCancelled,
    OrderEntered,
    OrderExpired,
    OrderTerms,
    OutcomeState,
    PathTerms,
    Placement,
    PoolChanged,
    PoolTerms,
    TimeInForce,
    TradingHalted,
    TradingResumed,
)
from exchange.pricing.engine import trade_cost


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offer and a start at which an order could be filled."""

    value: int  # all-in, at the offer's own price
    offer: OfferTerms
    start: int
    numerator: int  # of the trade
    path: PathTerms
    transport_nano: int

    @property
    def rank(self) -> tuple[int, Entry, int, int]:
        """Price, entry, id, start: smaller is better."""
        return self.value, self.offer.entry, self.offer.id, self.start


Plan = list[tuple[Candidate, int]]


class ReferenceBook:
    """A book's state, and what events do to it."""

    def __init__(
        self,
        network: Network,
        pools: Iterable[PoolTerms] = (),
        offers: Iterable[OfferTerms] = (),
        orders: Iterable[OrderTerms] = (),
        claims: Iterable[Claim] = (),
        *,
        now_s: int = 0,
    ) -> None:
        self.network = network
        self.pools = {pool.id: pool for pool in pools}
        self.offers = {offer.id: offer for offer in offers}
        self.orders = {order.id: order for order in orders}
        self.sold: Counter[tuple[str, int, int]] = Counter()  # ("pool" | "offer", id, slot): units
        for claim in claims:
            self._claim(claim, claim.units)
        self._journal = Journal()
        self._now_s = now_s
        self._event_index = 0

    def apply(self, events: Sequence[Event], now_s: int) -> BatchResult:
        """Handle the events one by one at the batch's `now`."""
        self._journal, self._now_s = Journal(), now_s
        for self._event_index, event in enumerate(events):
            self._handle(event)
        return self._journal.result()

    def quote(self, order: OrderTerms, now_s: int) -> list[Fill]:
        """The fills that the order would get now, changing nothing."""
        self._now_s, self._event_index = now_s, 0
        return [self._fill(order, candidate, units) for candidate, units in self._plan(order)]

    def _handle(self, event: Event) -> None:  # noqa: C901 - one line for each kind of event
        match event:
            case OrderEntered(order):
                self._enter(order)
            case OrderCancelled(order_id, reason):
                self._take_out(order_id, OutcomeState.CANCELLED, reason)
            case OrderAmended(order):
                self._amend(order)
            case OrderExpired(order_id, reason):
                self._take_out(order_id, OutcomeState.EXPIRED, reason)
            case OfferEntered(offer) | OfferChanged(offer):
                self.offers[offer.id] = offer
                self._reach_out(self.pools[offer.pool], [offer], None)
            case OfferClosed(offer_id):
                self.offers[offer_id] = replace(self.offers[offer_id], open=False)
            case OfferOpened(offer_id, entry):
                offer = self.offers[offer_id]
                offer = replace(offer, open=True, entry=entry or offer.entry)
                self.offers[offer_id] = offer
                self._reach_out(self.pools[offer.pool], [offer], None)
            case PoolChanged(pool):
                self.pools[pool.id] = pool
                self._reach_out(pool, self._offers_of(pool), None)
            case CapacityReleased(offer_id, pool_id, units, start, end):
                self._claim(Claim(offer_id, pool_id, units, start, end), -units)
                pool = self.pools[pool_id]
                self._reach_out(pool, self._offers_of(pool), range(start, end))
            case ClockTicked():
                self._ask([order for order in self.orders.values() if order.on_demand])
            case TradingHalted(pools):
                self._open(pools, is_open=False)
            case TradingResumed(pools):
                self._open(pools, is_open=True)
                self._ask(self.orders.values())

    # Orders that come and go

    def _enter(self, order: OrderTerms) -> None:
        reason = conditions.never_again(order, self._now_s)
        if reason:
            self._journal.note(order, OutcomeState.EXPIRED, reason)
            return
        self.orders[order.id] = order
        if not self._match(order):
            self._journal.note_resting(order)
        if order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            self._take_out(order.id, OutcomeState.CANCELLED, order.time_in_force.value)

    def _amend(self, wanted: OrderTerms) -> None:
        known = self.orders.get(wanted.id)
        order = conditions.amended(known, wanted)
        if isinstance(order, str):
            self._journal.note_amendment(wanted.id, order)
            if known is not None:
                self._journal.note_resting(known)
            return
        del self.orders[wanted.id]
        self._journal.note_amendment(order.id)
        if order.remaining_units:
            self._enter(order)
        else:
            self._journal.note(order, OutcomeState.FILLED)

    def _take_out(self, order_id: int, state: OutcomeState, reason: str) -> None:
        order = self.orders.pop(order_id, None)
        if order is not None:
            self._journal.note(order, state, reason)

    # Resting orders that an event reaches

    def _reach_out(
        self, pool: PoolTerms, offers: Sequence[OfferTerms], touched: range | None
    ) -> None:
        for order_id in self._ranked(pool):
            order = self.orders[order_id]
            if any(self._reaches(offer, order, touched) for offer in offers):
                self._match(order, only_at=pool)

    def _ranked(self, pool: PoolTerms) -> list[int]:
        ranked: list[tuple[Fraction, Entry, int]] = []
        for order in self.orders.values():
            limit_micro = conditions.limit_of(order, pool.grade)
            path = conditions.data_path(order, pool.region, self.network)
            if limit_micro is not None and path is not None:
                seconds = conditions.seconds_taken(order, self._now_s)
                transport_nano = order.data_milli_gb * path.price_micro_per_gb
                net = conditions.limit_value(limit_micro, seconds) - 3600 * transport_nano
                ranked.append((-Fraction(net, seconds), order.entry, order.id))
        return [order_id for _, _, order_id in sorted(ranked)]

    def _reaches(self, offer: OfferTerms, order: OrderTerms, touched: range | None) -> bool:
        for candidate in self._candidates(order, [offer]):
            end = candidate.start + conditions.slots_taken(order)
            if touched is not None and not (candidate.start < touched.stop and touched.start < end):
                continue
            if self._walk(order, [candidate], order.remaining_units):
                return True
        return False

    def _open(self, pools: Iterable[int], *, is_open: bool) -> None:
        for pool_id in pools:
            self.pools[pool_id] = replace(self.pools[pool_id], open=is_open)

    def _ask(self, orders: Iterable[OrderTerms]) -> None:
        asked = [
            (-max(limit for _, limit in order.limits), order.entry, order.id) for order in orders
        ]
        for _, _, order_id in sorted(asked):
            self._match(self.orders[order_id])

    # Matching one order

    def _match(self, order: OrderTerms, only_at: PoolTerms | None = None) -> bool:
        plan = self._plan(order, only_at)
        for candidate, units in plan:
            fill = self._fill(order, candidate, units)
            self._claim(Claim(fill.offer, fill.pool, units, fill.start_slot, fill.end_slot), units)
            order = self._journal.note_fill(order, fill, self.pools[fill.pool])
        self.orders[order.id] = order
        if order.remaining_units == 0:
            del self.orders[order.id]
        return bool(plan)

    def _plan(self, order: OrderTerms, only_at: PoolTerms | None = None) -> Plan:
        candidates = self._candidates(order, self.offers.values())
        if order.placement is Placement.ANYWHERE:
            return self._settle_on(order, candidates)
        groups: dict[tuple[int | str, int], list[Candidate]] = {}
        for candidate in candidates:
            place = conditions.place_of(order.placement, self.pools[candidate.offer.pool])
            if only_at is None or place == conditions.place_of(order.placement, only_at):
                groups.setdefault((place, candidate.start), []).append(candidate)
        plans = [plan for group in groups.values() if (plan := self._settle_on(order, group))]
        return min(plans, key=_judgement, default=[])

    def _settle_on(self, order: OrderTerms, candidates: list[Candidate]) -> Plan:
        plan = self._walk(order, candidates, order.remaining_units)
        goal = conditions.second_goal(order, _units(plan))
        if goal:
            plan = self._walk(order, candidates, goal)
        return plan if conditions.acceptable(order, _units(plan)) else []

    def _walk(self, order: OrderTerms, candidates: list[Candidate], goal: int) -> Plan:
        plan: Plan = []
        spent = order.spent_micro
        for candidate in candidates:
            budget = None if order.max_cost_micro is None else order.max_cost_micro - spent
            affordable = conditions.affordable_units(
                budget, numerator=candidate.numerator, transport_nano=candidate.transport_nano
            )
            units = conditions.largest_take(
                min(goal - _units(plan), affordable),
                self._free(order, candidate, plan),
                conditions.chunk_of(candidate.offer),
            )
            if units:
                plan.append((candidate, units))
                spent += trade_cost(
                    price_numerator=candidate.numerator,
                    units=units,
                    transport_nano_per_unit=candidate.transport_nano,
                )
        return plan

    def _candidates(self, order: OrderTerms, offers: Iterable[OfferTerms]) -> list[Candidate]:
        found: list[Candidate] = []
        seconds = conditions.seconds_taken(order, self._now_s)
        for offer in offers:
            pool = self.pools[offer.pool]
            if not all(test(order, offer, pool, self.network) for _, test in conditions.TESTS):
                continue
            path = conditions.data_path(order, pool.region, self.network)
            limit_micro = conditions.limit_of(order, pool.grade)
            assert path is not None
            assert limit_micro is not None
            limit = conditions.limit_value(limit_micro, seconds)
            transport_nano = order.data_milli_gb * path.price_micro_per_gb
            for start in conditions.starts_at(order, offer, self._now_s):
                own = conditions.price_numerator(order, offer, start, self._now_s)
                value = conditions.all_in(own, transport_nano)
                if value <= limit:
                    traded = conditions.traded_numerator(
                        order, offer, limit=limit, numerator=own, transport_nano=transport_nano
                    )
                    found.append(Candidate(value, offer, start, traded, path, transport_nano))
        return sorted(found, key=lambda candidate: candidate.rank)

    # Capacity

    def _offers_of(self, pool: PoolTerms) -> list[OfferTerms]:
        return [offer for offer in self.offers.values() if offer.pool == pool.id]

    def _claim(self, claim: Claim, units: int) -> None:
        for slot in range(claim.start_slot, claim.end_slot):
            self.sold["pool", claim.pool, slot] += units
            self.sold["offer", claim.offer, slot] += units

    def _free(self, order: OrderTerms, candidate: Candidate, plan: Plan) -> int:
        """The units free over all slots of the candidate, what the plan takes already taken."""
        offer, taken = candidate.offer, conditions.slots_taken(order)
        free = []
        for slot in range(candidate.start, candidate.start + taken):
            of_pool = self.pools[offer.pool].units - self.sold["pool", offer.pool, slot]
            of_offer = offer.units - self.sold["offer", offer.id, slot]
            for other, units in plan:
                if other.start <= slot < other.start + taken:
                    of_pool -= units if other.offer.pool == offer.pool else 0
                    of_offer -= units if other.offer.id == offer.id else 0
            free.append(min(of_pool, of_offer))
        return min(free)

    def _fill(self, order: OrderTerms, candidate: Candidate, units: int) -> Fill:
        return fill_of(
            order,
            candidate.offer,
            self.pools[candidate.offer.pool],
            start=candidate.start,
            units=units,
            numerator=candidate.numerator,
            path=candidate.path,
            now_s=self._now_s,
            event_index=self._event_index,
        )


def _units(plan: Plan) -> int:
    return sum(units for _, units in plan)


def _judgement(plan: Plan) -> tuple[int, int, tuple[int, Entry, int, int]]:
    """How good a place and start are for a `same_*` order: smaller is better."""
    cost = sum(units * candidate.value for candidate, units in plan)
    return -_units(plan), cost, plan[0][0].rank
