"""Filling an order whose fills must share a place and a start: places judged one after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core.slots import SLOTS_PER_DAY
from exchange.market import conditions
from exchange.market.search import Ask, Part, Plan, Search
from exchange.market.supply import OfferStock, Place
from exchange.market.terms import Entry, PathTerms
from exchange.pricing.engine import NANO_PER_MICRO, trade_cost

Rank = tuple[int, Entry, int, int]
"""(all-in value, the offer's entry, its id, start): smaller is better."""

Judgement = tuple[int, int, Rank]
"""(minus the units filled, sum of units x all-in value, rank of the first fill): smaller wins."""


@dataclass(frozen=True, slots=True)
class _Row:
    """What one offer could give at one start."""

    rank: Rank
    offer: OfferStock
    of_offer: int
    of_pool: int
    own: int
    path: PathTerms


Take = tuple[_Row, int, int]
"""(what it is of, units, the trade's price numerator)"""


def plan_together(search: Search, ask: Ask) -> Plan:
    """What the order is filled with now; empty: nothing."""
    best: list[Take] = []
    judgement: Judgement | None = None
    seen: set[int | str] = set()
    remaining = ask.order.remaining_units
    for (price, entry, id_), offer in search.supply.in_price_order(tuple(ask.limits)):
        bound = NANO_PER_MICRO * price * ask.seconds
        if bound > ask.highest_limit:
            break
        at_best = (-remaining, remaining * bound, (bound, entry, id_, 0))
        if judgement is not None and judgement < at_best:
            break  # no place that is left could fill more, or as much for less
        place = conditions.place_of(ask.order.placement, offer.pool.terms)
        if place in seen or not search.has_free_slots(ask, offer):
            continue
        seen.add(place)
        for rows in _by_start(search, ask, (ask.order.placement, place)):
            if _may_win(ask, rows, judgement):
                takes = _settle_on(search, ask, rows)
                if takes and (judgement is None or _judge(takes) < judgement):
                    best, judgement = takes, _judge(takes)
    return [Part(row.offer, row.rank[3], units, traded, row.path) for row, units, traded in best]


def _by_start(search: Search, ask: Ask, place: Place) -> list[list[_Row]]:
    """For each start at which the place has anything to give: what, by rank."""
    by_start: dict[int, list[_Row]] = {}
    for offer in search.supply.offers_at(place):
        if offer.pool.terms.grade in ask.limits and search.has_free_slots(ask, offer):
            path = search.path_if_fit(ask, offer)
            if path is not None:
                for row in _rows(search, ask, offer, path):
                    by_start.setdefault(row.rank[3], []).append(row)
    return [sorted(by_start[start], key=_rank) for start in sorted(by_start)]


def _rows(search: Search, ask: Ask, offer: OfferStock, path: PathTerms) -> Iterator[_Row]:
    terms, pool = offer.terms, offer.pool
    first = max(ask.starts.start, terms.start_slot)
    count = min(ask.starts.stop, terms.end_slot - ask.slots + 1) - first
    if count <= 0:
        return
    chunk, limit = conditions.chunk_of(terms), ask.limits[pool.terms.grade]
    nano = ask.order.data_milli_gb * path.price_micro_per_gb
    costs: list[tuple[int, int] | None] = [None] * SLOTS_PER_DAY  # (value, numerator) by hour
    for own, hours in search.tariff(ask, offer):
        value = conditions.all_in(own, nano)
        if value <= limit:
            for hour in range(SLOTS_PER_DAY):
                if hours >> hour & 1:
                    costs[hour] = value, own
    of_offers = terms.units - offer.sold.most_by_start(first, count, ask.slots)
    of_pools = pool.terms.units - pool.sold.most_by_start(first, count, ask.slots)
    pairs = zip(of_offers.tolist(), of_pools.tolist(), strict=True)
    for start, (of_offer, of_pool) in enumerate(pairs, first):
        cost = costs[start % SLOTS_PER_DAY]
        if cost is not None and of_offer >= chunk and of_pool >= chunk:
            rank = (cost[0], terms.entry, terms.id, start)
            yield _Row(rank, offer, of_offer, of_pool, cost[1], path)


def _may_win(ask: Ask, rows: list[_Row], judgement: Judgement | None) -> bool:
    """Whether rows could, at the very best, fill enough and beat the best so far."""
    room = sum(min(row.of_offer, row.of_pool) for row in rows)
    units = min(room, ask.order.remaining_units)
    if units < conditions.fewest_units(ask.order):
        return False
    return judgement is None or (-units, units * rows[0].rank[0], rows[0].rank) < judgement


def _settle_on(search: Search, ask: Ask, rows: list[_Row]) -> list[Take]:
    order = ask.order
    takes = _walk(search, ask, rows, order.remaining_units)
    goal = conditions.second_goal(order, _units(takes))
    if goal:
        takes = _walk(search, ask, rows, goal)
    return takes if conditions.acceptable(order, _units(takes)) else []


def _walk(search: Search, ask: Ask, rows: list[_Row], goal: int) -> list[Take]:
    """Take from each row the most that may be taken. All cover the same slots, so that what one
    takes of a pool is simply gone for the others.
    """
    takes: list[Take] = []
    gone: dict[int, int] = {}  # units by pool
    budget = search.budget_micro(ask)
    for row in rows:
        offer, pool_id = row.offer, row.offer.pool.terms.id
        nano = ask.order.data_milli_gb * row.path.price_micro_per_gb
        traded = search.traded(ask, offer, row.own, nano)
        affordable = conditions.affordable_units(budget, numerator=traded, transport_nano=nano)
        units = conditions.largest_take(
            min(goal, affordable),
            min(row.of_offer, row.of_pool - gone.get(pool_id, 0)),
            conditions.chunk_of(offer.terms),
        )
        if units:
            takes.append((row, units, traded))
            gone[pool_id] = gone.get(pool_id, 0) + units
            goal -= units
            if budget is not None:
                budget -= trade_cost(
                    price_numerator=traded, units=units, transport_nano_per_unit=nano
                )
            if not goal:
                break
    return takes


def _judge(takes: list[Take]) -> Judgement:
    cost = sum(units * row.rank[0] for row, units, _ in takes)
    return -_units(takes), cost, takes[0][0].rank


def _units(takes: list[Take]) -> int:
    return sum(units for _, units, _ in takes)


def _rank(row: _Row) -> Rank:
    return row.rank
