"""The fast engine: the results of `reference`, without looking at everything.

`BookState` is one book in memory: pools and offers with what of them is sold (`supply`), and
resting orders by grade and limit (`ladder`). It is rebuilt from rows at any time, and cheap to keep
between batches. What it costs:

- an incoming order looks at offers of its grades in price order until it is filled or out of its
  limit, whatever the number of resting orders;
- an offer, a pool or released capacity looks at the resting orders of one grade, best limit first,
  until nothing of it is left or the limits fall below its price.

The rules themselves are told in `reference` and `conditions`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

from core.slots import SECONDS_PER_SLOT
from exchange.market import conditions
from exchange.market.journal import Journal, fill_of
from exchange.market.ladder import Ladder, Rung
from exchange.market.quick import Quick
from exchange.market.search import Part, Plan, Search
from exchange.market.supply import OfferStock, PoolStock, Supply
from exchange.market.survey import Found
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
from exchange.market.together import plan_at, plan_together
from exchange.market.walk import settle_on

_SLOTS_KEPT: Final = 2
"""How far the clock may go back between batches before the state must be rebuilt."""


class BookState:
    """A book in memory: `apply` changes it by a batch, `quote` only looks."""

    def __init__(
        self,
        network: Network,
        pools: Iterable[PoolTerms] = (),
        offers: Iterable[OfferTerms] = (),
        orders: Iterable[OrderTerms] = (),
        claims: Iterable[Claim] = (),
        *,
        now_s: int,
    ) -> None:
        """From snapshots: `orders` are those resting, `claims` what live trades hold. Slots long
        before `now_s` are not kept.
        """
        self.network = network
        self._supply = Supply(max(now_s // SECONDS_PER_SLOT - _SLOTS_KEPT, 0))
        self._search = Search(self._supply, network)
        self._quick = Quick(self._supply, network)
        for pool in pools:
            self._supply.set_pool(pool)
        for offer in offers:
            self._supply.set_offer(offer)
        for claim in claims:
            self._supply.claim(claim)
        self._orders: dict[int, OrderTerms] = {}
        self._on_demand: set[int] = set()
        rungs: dict[int, list[Rung]] = {}
        for order in orders:
            self._orders[order.id] = order
            if order.on_demand:
                self._on_demand.add(order.id)
            for grade, rung in _rungs(order):
                rungs.setdefault(grade, []).append(rung)
        self._ladders = {grade: Ladder(of_grade) for grade, of_grade in rungs.items()}
        self._journal = Journal()
        self._now_s = now_s
        self._event_index = 0

    @property
    def orders(self) -> dict[int, OrderTerms]:
        """The resting orders as they stand, by id. Not to be changed."""
        return self._orders

    @property
    def has_on_demand(self) -> bool:
        """Whether a `ClockTicked` could do anything."""
        return bool(self._on_demand)

    def pools(self) -> Iterator[PoolTerms]:
        """All pools, open or not."""
        return (stock.terms for stock in self._supply.pools.values())

    def offers(self) -> Iterator[OfferTerms]:
        """All offers, open or not."""
        return (stock.terms for stock in self._supply.offers.values())

    def free_units(self, offer: int, start_slot: int, end_slot: int) -> int:
        """Units that the offer and its pool still have in all slots of `[start, end)`."""
        return self._supply.offers[offer].free_units(
            max(start_slot, self._supply.first_slot), end_slot
        )

    def apply(self, events: Sequence[Event], now_s: int) -> BatchResult:
        """Handle the events one by one at the batch's `now`. `KeyError`: an event names a pool or
        offer that the book does not have; `ValueError`: an order twice, or the clock went back.
        Either leaves the state unusable: rebuild it.
        """
        self._set_now(now_s)
        self._journal = Journal()
        run: list[tuple[int, OrderTerms]] = []  # orders in a row that the kernel answers
        for index, event in enumerate(events):
            if isinstance(event, OrderEntered) and self._quick.answers(event.order):
                run.append((index, event.order))
                continue
            self._enter_all(run)
            run.clear()
            self._event_index = index
            self._handle(event)
        self._enter_all(run)
        return self._journal.result()

    def quote(self, order: OrderTerms, now_s: int) -> list[Fill]:
        """The fills that the order would get now, changing nothing. Its `entry` says who rested:
        a preview gives one later than all.
        """
        self._set_now(now_s)
        self._event_index = 0
        return [self._fill(order, part) for part in self._plan(order)]

    def units_of_each(self, orders: Sequence[OrderTerms], now_s: int) -> list[int]:
        """How many units each order would get now by itself, changing nothing."""
        self._set_now(now_s)
        if all(map(self._quick.answers, orders)):
            return self._quick.units_of_each(orders, now_s)
        return [sum(part.units for part in self._plan(order)) for order in orders]

    def answers_fast(self, order: OrderTerms) -> bool:
        """Whether many such orders can be asked about at once."""
        return self._quick.answers(order)

    def survey(self, order: OrderTerms, offers: Sequence[int], now_s: int) -> list[Found] | None:
        """What each of the offers, all of the order's grades, would be for the order; None where
        its figures are too large to be counted with fast.
        """
        self._set_now(now_s)
        found = self._quick.survey(order, [self._supply.offers[id_] for id_ in offers], now_s)
        return None if found is None else [Found(*row) for row in found.tolist()]

    def _set_now(self, now_s: int) -> None:
        slot = now_s // SECONDS_PER_SLOT
        if slot < self._supply.first_slot:
            raise ValueError("the clock went back: rebuild the book's state")
        if slot > self._supply.first_slot + _SLOTS_KEPT:
            self._supply.forget_before(slot - _SLOTS_KEPT)
        self._now_s = now_s

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
                self._present(offer)
            case OfferClosed(offer_id):
                closed = replace(self._supply.offers[offer_id].terms, open=False)
                self._supply.set_offer(closed)
            case OfferOpened(offer_id, entry):
                known = self._supply.offers[offer_id].terms
                self._present(replace(known, open=True, entry=entry or known.entry))
            case PoolChanged(terms):
                pool = self._supply.set_pool(terms)
                self._search.forget_verdicts()
                self._reach_out(pool, list(pool.offers.values()), None)
            case CapacityReleased(offer_id, pool_id, units, start, end):
                self._supply.release(Claim(offer_id, pool_id, units, start, end))
                pool = self._supply.pools[pool_id]
                self._reach_out(pool, list(pool.offers.values()), range(start, end))
            case ClockTicked():
                self._ask(self._on_demand)
            case TradingHalted(pools):
                self._open(pools, is_open=False)
            case TradingResumed(pools):
                self._open(pools, is_open=True)
                self._ask(self._orders)

    # Orders that come and go

    def _enter_all(self, run: Sequence[tuple[int, OrderTerms]]) -> None:
        """What `_enter` does with each, but matched in one go by the kernel."""
        live = [entry for entry in run if not conditions.never_again(entry[1], self._now_s)]
        fills = self._quick.claim(live, self._now_s) if live else []
        place = 0
        for self._event_index, order in run:
            if place == len(live) or order is not live[place][1]:
                self._enter(order)  # too late
                continue
            if order.id in self._orders:
                raise ValueError("the order rests already")
            left = self._journal.note_fills(order, fills[place]) if fills[place] else order
            place += 1
            if left is not None:
                self._leave(order, left)

    def _enter(self, order: OrderTerms) -> None:
        if order.id in self._orders:
            raise ValueError("the order rests already")
        reason = conditions.never_again(order, self._now_s)
        if reason:
            self._journal.note(order, OutcomeState.EXPIRED, reason)
            return
        self._leave(order, self._match(order))

    def _leave(self, order: OrderTerms, left: OrderTerms) -> None:
        """Let rest what an order that entered has left."""
        if left is order:
            self._journal.note_resting(order)
        if not left.remaining_units:
            return
        if order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            self._journal.note(left, OutcomeState.CANCELLED, order.time_in_force.value)
        else:
            self._rest(left)

    def _rest(self, order: OrderTerms) -> None:
        self._orders[order.id] = order
        if order.on_demand:
            self._on_demand.add(order.id)
        for grade, rung in _rungs(order):
            self._ladders.setdefault(grade, Ladder()).add(rung)

    def _remove(self, order_id: int) -> OrderTerms | None:
        order = self._orders.pop(order_id, None)
        if order is not None:
            self._on_demand.discard(order_id)
            for grade, rung in _rungs(order):
                self._ladders[grade].discard(rung)
        return order

    def _amend(self, wanted: OrderTerms) -> None:
        known = self._orders.get(wanted.id)
        order = conditions.amended(known, wanted)
        if isinstance(order, str):
            self._journal.note_amendment(wanted.id, order)
            if known is not None:
                self._journal.note_resting(known)
            return
        self._remove(wanted.id)
        self._journal.note_amendment(order.id)
        if order.remaining_units:
            self._enter(order)
        else:
            self._journal.note(order, OutcomeState.FILLED)

    def _take_out(self, order_id: int, state: OutcomeState, reason: str) -> None:
        order = self._remove(order_id)
        if order is not None:
            self._journal.note(order, state, reason)

    # Matching one order

    def _plan(self, order: OrderTerms, only_at: PoolTerms | None = None) -> Plan:
        if self._quick.answers(order):
            return self._quick.plan(order, self._now_s)
        ask = self._search.ask(order, self._now_s)
        if not ask.starts:
            return []
        if order.placement is Placement.ANYWHERE:
            listed = self._supply.in_price_order(tuple(ask.limits), ask.whole_slots)
            plan = settle_on(self._search, ask, listed)
        elif only_at is None:
            plan = plan_together(self._search, ask)
        else:
            plan = plan_at(self._search, ask, conditions.place_of(order.placement, only_at))
        self._supply.set_aside(ask.sold_out)
        return plan

    def _match(self, order: OrderTerms, only_at: PoolTerms | None = None) -> OrderTerms:
        """Fill what can be filled; answers the order as that leaves it."""
        for part in self._plan(order, only_at):
            fill = self._fill(order, part)
            self._supply.claim(
                Claim(fill.offer, fill.pool, fill.units, fill.start_slot, fill.end_slot)
            )
            order = self._journal.note_fill(order, fill, part.offer.pool.terms)
        return order

    def _match_resting(self, order: OrderTerms, only_at: PoolTerms | None = None) -> None:
        left = self._match(order, only_at)
        if not left.remaining_units:
            self._remove(order.id)
        else:
            self._orders[order.id] = left

    def _fill(self, order: OrderTerms, part: Part) -> Fill:
        return fill_of(
            order,
            part.offer.terms,
            part.offer.pool.terms,
            start=part.start,
            units=part.units,
            numerator=part.numerator,
            path=part.path,
            now_s=self._now_s,
            event_index=self._event_index,
        )

    # Resting orders that an event reaches

    def _present(self, terms: OfferTerms) -> None:
        offer = self._supply.set_offer(terms)
        self._reach_out(offer.pool, [offer], None)

    def _reach_out(self, pool: PoolStock, offers: list[OfferStock], touched: range | None) -> None:
        offers = [offer for offer in offers if offer.terms.open and pool.terms.open]
        for order in self._ranked(pool, offers):
            free = self._free_slots(offers, touched)
            if not free:
                break
            if order.earliest_slot >= self._supply.first_slot + free.bit_length():
                continue
            ask = self._search.ask(order, self._now_s)
            ahead = free >> max(ask.starts.start - self._supply.first_slot, 0)
            if not ahead & ask.window:
                continue
            if any(self._search.reaches(ask, offer, touched) for offer in offers):
                self._match_resting(order, pool.terms)

    def _free_slots(self, offers: list[OfferStock], touched: range | None) -> int:
        """Bits of the slots in which any of the offers has a chunk left."""
        free = 0
        for offer in offers:
            free |= self._supply.free_bits(offer)
        if touched is not None:
            low = max(touched.start - self._supply.first_slot, 0)
            high = max(touched.stop - self._supply.first_slot, 0)
            free &= (1 << high) - (1 << low)
        return free

    def _ranked(self, pool: PoolStock, offers: list[OfferStock]) -> Iterator[OrderTerms]:
        """Resting orders that could pay the lowest price, by limit net of transport per unit-hour,
        entry, id. The ladder is by limit, which bounds the net limit from above; an order whose
        data must travel waits until no order still to come could rank before it.
        """
        lowest = min((min(offer.terms.prices) for offer in offers), default=None)
        ladder = self._ladders.get(pool.terms.grade)
        if lowest is None or ladder is None:
            return
        waiting: list[tuple[Fraction, Entry, int]] = []
        for rung in ladder:
            if -rung[0] < lowest:
                break
            while waiting and waiting[0] < rung:
                yield self._orders[heapq.heappop(waiting)[2]]
            order = self._orders[rung[2]]
            if not order.data_milli_gb:
                yield order
                continue
            path = conditions.data_path(order, pool.terms.region, self._search.network)
            if path is not None:
                rank = self._net_rank(order, -rung[0], path)
                heapq.heappush(waiting, (rank, order.entry, order.id))
        while waiting:
            yield self._orders[heapq.heappop(waiting)[2]]

    def _net_rank(self, order: OrderTerms, limit_micro: int, path: PathTerms) -> Fraction:
        seconds = conditions.seconds_taken(order, self._now_s)
        transport = SECONDS_PER_SLOT * order.data_milli_gb * path.price_micro_per_gb
        return Fraction(transport, 1000 * seconds) - limit_micro

    def _open(self, pools: Iterable[int], *, is_open: bool) -> None:
        for pool_id in pools:
            self._supply.set_pool(replace(self._supply.pools[pool_id].terms, open=is_open))
        self._search.forget_verdicts()

    def _ask(self, order_ids: Iterable[int]) -> None:
        asked = []
        for order_id in order_ids:
            order = self._orders[order_id]
            asked.append((-max(limit for _, limit in order.limits), order.entry, order_id))
        for _, _, order_id in sorted(asked):
            self._match_resting(self._orders[order_id])


def _rungs(order: OrderTerms) -> Iterator[tuple[int, Rung]]:
    for grade, limit_micro in dict(reversed(order.limits)).items():
        yield grade, (-limit_micro, order.entry, order.id)
