"""Filling an order from a shelf of offers: one walk over its candidates by rank."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exchange.market import conditions
from exchange.market.search import Ask, Part, Plan, Rank, Search
from exchange.market.supply import OfferStock, ShelfKey, Tariff
from exchange.market.terms import Claim, Entry, PathTerms
from exchange.pricing.engine import NANO_PER_MICRO, SECONDS_PER_HOUR, trade_cost

_VALUE_PER_MICRO = NANO_PER_MICRO * SECONDS_PER_HOUR

Listed = Iterable[tuple[ShelfKey, OfferStock]]
"""Offers by (least they can ask per unit-hour, entry, id)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offer and a start at which it has a chunk left."""

    offer: OfferStock
    start: int
    own: int  # price numerator at the offer's price
    value: int  # all-in
    path: PathTerms

    @property
    def rank(self) -> Rank:
        """Price, entry, id, start: smaller is better."""
        return self.value, self.offer.terms.entry, self.offer.terms.id, self.start


def settle_on(search: Search, ask: Ask, listed: Listed) -> Plan:
    """The units that the order takes of the offers listed, of none too few; empty: nothing."""
    order = ask.order
    plan = _walk(search, ask, listed, order.remaining_units)
    goal = conditions.second_goal(order, sum(part.units for part in plan))
    if goal:
        plan = _walk(search, ask, listed, goal)
    return plan if conditions.acceptable(order, sum(part.units for part in plan)) else []


def _walk(search: Search, ask: Ask, listed: Listed, goal: int) -> Plan:
    """Take from each candidate the most that may be taken, until the goal is reached. What is
    taken is claimed meanwhile, so that later candidates see it, and given back at the end.
    """
    plan: Plan = []
    taken: list[Claim] = []
    budget = search.budget_micro(ask)
    for found in candidates(search, ask, listed):
        if budget is not None and budget * _VALUE_PER_MICRO < found.value:
            break  # one unit costs more, and whatever follows costs no less
        offer, start, end = found.offer, found.start, found.start + ask.slots
        nano = ask.order.data_milli_gb * found.path.price_micro_per_gb
        numerator = search.traded(ask, offer, found.own, nano)
        affordable = goal
        if budget is not None:
            affordable = conditions.affordable_units(
                budget, numerator=numerator, transport_nano=nano
            )
        units = conditions.largest_take(
            min(goal, affordable), offer.free_units(start, end), conditions.chunk_of(offer.terms)
        )
        if not units:
            continue
        plan.append(Part(offer, start, units, numerator, found.path, found.value))
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


def candidates(search: Search, ask: Ask, listed: Listed) -> Iterator[Candidate]:
    """Pairs of offer and start by all-in value, entry, id, start, found only as they are asked for.

    Offers come in the order of (least price, entry, id); one waits with its cheapest starts until
    no offer still to come could rank before them.
    """
    waiting = _Waiting(search, ask)
    for (least, entry, id_), offer in listed:
        bound = NANO_PER_MICRO * least * ask.seconds
        if bound > ask.highest_limit:
            break
        while waiting.before((bound, entry, id_)):
            yield from waiting.next()
        if search.may_give(ask, offer):
            path = search.path_if_fit(ask, offer)
            if path is not None:
                waiting.add(offer, path, search.tariff(ask, offer), 0)
    while waiting:
        yield from waiting.next()


class _Waiting:
    """Offers that were looked at, by the all-in value of their cheapest starts not yet given."""

    def __init__(self, search: Search, ask: Ask) -> None:
        self._search = search
        self._ask = ask
        self._heap: list[tuple[int, Entry, int, int, OfferStock, PathTerms, Tariff]] = []

    def __bool__(self) -> bool:
        return bool(self._heap)

    def before(self, key: tuple[int, Entry, int]) -> bool:
        """Whether something that waits ranks before `key`."""
        return bool(self._heap) and self._heap[0][:3] < key

    def add(self, offer: OfferStock, path: PathTerms, tariff: Tariff, i: int) -> None:
        """Let the starts at the `i`-th cheapest price of the offer wait, if within the limit."""
        if i == len(tariff):
            return
        nano = self._ask.order.data_milli_gb * path.price_micro_per_gb
        value = conditions.all_in(tariff[i][0], nano)
        if value <= self._ask.limits[offer.pool.terms.grade]:
            waiting = (value, offer.terms.entry, offer.terms.id, i, offer, path, tariff)
            heapq.heappush(self._heap, waiting)

    def next(self) -> Iterator[Candidate]:
        """The starts at the best price that waits."""
        value, _, _, i, offer, path, tariff = heapq.heappop(self._heap)
        own, hours = tariff[i]
        for start in self._search.free_starts(self._ask, offer, hours):
            yield Candidate(offer, start, own, value, path)
        self.add(offer, path, tariff, i + 1)
