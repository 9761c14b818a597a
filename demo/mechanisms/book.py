"""The day on the continuous engine, minute by minute, in the manner of admissions.

With `waits=False` this is a market of posted prices: each order takes the cheapest posted capacity
that fits when it comes, or is turned away. With `waits=True` it rests until its window can no
longer be met, and an offer that comes later reaches it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from core.slots import SECONDS_PER_SLOT
from demo.mechanisms.day import Day, Deal, Offered, Result, Sale, Wanted
from exchange.market import conditions
from exchange.market.engine import BookState
from exchange.market.explain import NAMES
from exchange.market.terms import (
    Claim,
    Event,
    Fill,
    OfferOpened,
    OfferTerms,
    OrderEntered,
    OrderExpired,
    OrderTerms,
    OutcomeState,
    PoolTerms,
    TimeInForce,
)
from exchange.pricing.engine import trade_cost
from exchange.topology.paths import Network

BATCH_S: Final = 60
POSTED, CONTINUOUS = "posted", "continuous"


def run(
    day: Day,
    *,
    waits: bool,
    claims: Sequence[Claim] = (),
    served: frozenset[int] = frozenset(),
) -> Result:
    """The whole day. `claims` are sold already; orders in `served` do not come."""
    begun = time.perf_counter()
    result = Result(CONTINUOUS if waits else POSTED)
    offers = {offered.terms.id: offered for offered in day.offers}
    # All offers are known from the beginning, so that claims can lie on them, and open later.
    state = BookState(
        Network([]),
        pools=day.pools,
        offers=[replace(offered.terms, open=False) for offered in day.offers],
        claims=claims,
        now_s=day.starts_s,
    )
    judge = _Judge(state, day.pools, day.offers)
    last_hour = -1
    for number, (at_s, coming) in enumerate(_batches(day, served), start=1):
        now_s = day.starts_s + at_s
        events: list[Event] = []
        if at_s // SECONDS_PER_SLOT > last_hour:
            last_hour = at_s // SECONDS_PER_SLOT
            events += _expiries(state, now_s)
        for position, it in enumerate(coming):
            entry = (number, position)
            if isinstance(it, Offered):
                events.append(OfferOpened(it.terms.id, entry))
                judge.opened.add(it.terms.id)
            else:
                time_in_force = TimeInForce.GTC if waits else TimeInForce.FOK
                events.append(
                    OrderEntered(replace(it.order, entry=entry, time_in_force=time_in_force))
                )
        booked = state.apply(events, now_s)
        for fill in booked.fills:
            _write(result, fill, offers[fill.offer])
        entered = {
            event.order.id: event.order for event in events if isinstance(event, OrderEntered)
        }
        for outcome in booked.outcomes:
            order = entered.get(outcome.order)
            if order is not None and outcome.state is not OutcomeState.FILLED:
                result.refusals[order.id] = judge.refusal(order, now_s)
    result.seconds = time.perf_counter() - begun
    return result


def _batches(day: Day, served: frozenset[int]) -> Iterator[tuple[int, list[Offered | Wanted]]]:
    """What comes in each minute, with the second at which it is admitted; offers first."""
    wanted = [want for want in day.wanted if want.order.id not in served]
    coming: list[Offered | Wanted] = sorted(
        [*day.offers, *wanted], key=lambda it: (_admitted_s(it), isinstance(it, Wanted), it.at_s)
    )
    for at_s, batch in groupby(coming, key=_admitted_s):
        yield at_s, list(batch)


def _admitted_s(it: Offered | Wanted) -> int:
    return -(-it.at_s // BATCH_S) * BATCH_S


def _expiries(state: BookState, now_s: int) -> Iterable[OrderExpired]:
    for order_id, order in state.orders.items():
        reason = conditions.never_again(order, now_s)
        if reason:
            yield OrderExpired(order_id, reason)


def _write(result: Result, fill: Fill, offered: Offered) -> None:
    cost_micro = trade_cost(price_numerator=fill.price_numerator, units=fill.units)
    slots = fill.end_slot - fill.start_slot
    result.deals.append(Deal(fill.order, fill.units, fill.start_slot, fill.end_slot, cost_micro))
    result.sales.append(
        Sale(
            offer=fill.offer,
            pool=fill.pool,
            units=fill.units,
            start_slot=fill.start_slot,
            end_slot=fill.end_slot,
            received_micro=cost_micro,
            asked_micro=offered.price_micro * fill.units * slots,
        )
    )


class _Judge:
    """Says why an order found nothing: explain's counts, of the offer that comes furthest."""

    def __init__(
        self, state: BookState, pools: Iterable[PoolTerms], offers: Iterable[Offered]
    ) -> None:
        self.state = state
        self.pools = {pool.id: pool for pool in pools}
        self.by_grade: Mapping[int, list[OfferTerms]] = defaultdict(list)
        for offered in offers:
            self.by_grade[self.pools[offered.terms.pool].grade].append(offered.terms)
        self.opened: set[int] = set()

    def refusal(self, order: OrderTerms, now_s: int) -> str:
        """The test that the offer fails which gets furthest, in the order of `NAMES`."""
        failed = [
            self._first(order, offer, now_s)
            for grade, _ in order.limits
            for offer in self.by_grade.get(grade, ())
            if offer.id in self.opened
        ]
        return max(failed, key=NAMES.index, default="grade")

    def _first(self, order: OrderTerms, offer: OfferTerms, now_s: int) -> str:
        pool, network = self.pools[offer.pool], self.state.network
        for name, test in conditions.TESTS:
            if not test(order, offer, pool, network):
                return name
        starts = conditions.starts_at(order, offer, now_s)
        if not starts:
            return "window"
        # One price for all hours, so that every start costs the same.
        limit = conditions.limit_of(order, pool.grade)
        return "price" if limit is not None and limit < offer.prices[0] else "units"
