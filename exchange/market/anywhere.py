"""Filling an order whose fills may lie anywhere: one walk over its candidates by rank."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from exchange.market import conditions
from exchange.market.search import Ask, Part, Plan, Search
from exchange.market.supply import OfferStock, Tariff
from exchange.market.terms import Claim, Entry, PathTerms
from exchange.pricing.engine import NANO_PER_MICRO, SECONDS_PER_HOUR, trade_cost

_VALUE_PER_MICRO = NANO_PER_MICRO * SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class _Candidate:
    offer: OfferStock
    start: int
    own: int  # price numerator at the offer's price
    value: int  # all-in
    path: PathTerms


def plan_anywhere(search: Search, ask: Ask) -> Plan:
    """What the order is filled with now; empty: nothing."""
    order = ask.order
    plan = _walk(search, ask, order.remaining_units)
    goal = conditions.second_goal(order, sum(part.units for part in plan))
    if goal:
        plan = _walk(search, ask, goal)
    return plan if conditions.acceptable(order, sum(part.units for part in plan)) else []


def _walk(search: Search, ask: Ask, goal: int) -> Plan:
    """Take from each candidate the most that may be taken, until the goal is reached. What is
    taken is claimed meanwhile, so that later candidates see it, and given back at the end.
    """
    plan: Plan = []
    taken: list[Claim] = []
    budget = search.budget_micro(ask)
    for found in _Candidates(search, ask):
        if budget is not None and budget * _VALUE_PER_MICRO < found.value:
            break  # one unit costs more, and whatever follows costs no less
        offer, start, end = found.offer, found.start, found.start + ask.slots
        nano = ask.order.data_milli_gb * found.path.price_micro_per_gb
        numerator = search.traded(ask, offer, found.own, nano)
        units = conditions.largest_take(
            min(
                goal,
                conditions.affordable_units(budget, numerator=numerator, transport_nano=nano),
            ),
            offer.free_units(start, end),
            conditions.chunk_of(offer.terms),
        )
        if not units:
            continue
        plan.append(Part(offer, start, units, numerator, found.path))
        goal -= units
        if not goal:
            break
        if budget is not None:
            budget -= trade_cost(
                price_numerator=numerator, units=units, transport_nano_per_unit=nano
            )
        taken.append(Claim(offer.terms.id, offer.pool.terms.id, units, start, end))
        search.supply.claim(taken[-1])
    for claim in taken:
        search.supply.unclaim(claim)
    return plan


class _Candidates:
    """Pairs of offer and start by all-in value, entry, id, start, found only as they are asked for.

    Offers come in the order of (lowest price, entry, id); one waits with its cheapest starts until
    no offer still to come could rank before them.
    """

    def __init__(self, search: Search, ask: Ask) -> None:
        self._search = search
        self._ask = ask
        self._waiting: list[tuple[int, Entry, int, int, OfferStock, PathTerms, Tariff]] = []

    def __iter__(self) -> Iterator[_Candidate]:
        search, ask = self._search, self._ask
        for (price, entry, id_), offer in search.supply.in_price_order(tuple(ask.limits)):
            bound = NANO_PER_MICRO * price * ask.seconds
            if bound > ask.highest_limit:
                break
            while self._waiting and self._waiting[0][:3] < (bound, entry, id_):
                yield from self._next_waiting()
            if search.has_free_slots(ask, offer):
                path = search.path_if_fit(ask, offer)
                if path is not None:
                    self._wait(offer, path, search.tariff(ask, offer), 0)
        while self._waiting:
            yield from self._next_waiting()

    def _wait(self, offer: OfferStock, path: PathTerms, tariff: Tariff, i: int) -> None:
        if i == len(tariff):
            return
        nano = self._ask.order.data_milli_gb * path.price_micro_per_gb
        value = conditions.all_in(tariff[i][0], nano)
        if value <= self._ask.limits[offer.pool.terms.grade]:
            waiting = (value, offer.terms.entry, offer.terms.id, i, offer, path, tariff)
            heapq.heappush(self._waiting, waiting)

    def _next_waiting(self) -> Iterator[_Candidate]:
        value, _, _, i, offer, path, tariff = heapq.heappop(self._waiting)
        own, hours = tariff[i]
        for start in self._search.free_starts(self._ask, offer, hours):
            yield _Candidate(offer, start, own, value, path)
        self._wait(offer, path, tariff, i + 1)
