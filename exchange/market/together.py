"""Filling an order whose fills must share a place and a start: places judged one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exchange.market import conditions
from exchange.market.search import Ask, Part, Plan, Rank, Search
from exchange.market.supply import PoolStock
from exchange.market.walk import Candidate, Listed, candidates, settle_on
from exchange.pricing.engine import NANO_PER_MICRO

Judgement = tuple[int, int, Rank]
"""(minus the units filled, sum of units x all-in value, rank of the first fill): smaller wins."""

NOTHING: Judgement = (0, 0, (0, (0, 0), 0, 0))
"""Worse than any fill."""


def plan_together(search: Search, ask: Ask) -> Plan:
    """What the order is filled with now; empty: nothing."""
    best: Plan = []
    judgement = NOTHING
    seen: set[int | str] = set()
    remaining = ask.order.remaining_units
    for (least, entry, id_), offer in search.supply.in_price_order(
        tuple(ask.limits), ask.whole_slots
    ):
        bound = NANO_PER_MICRO * least * ask.seconds
        if bound > ask.highest_limit:
            break
        if judgement < (-remaining, remaining * bound, (bound, entry, id_, 0)):
            break  # no place that is left could fill more, or as much for less
        place = conditions.place_of(ask.order.placement, offer.pool.terms)
        if place in seen or not search.may_give(ask, offer):
            continue
        if search.path_if_fit(ask, offer) is not None:
            seen.add(place)
            better = plan_at(search, ask, place, judgement)
            if better:
                best, judgement = better, _judge(better)
    return best


def plan_at(search: Search, ask: Ask, place: int | str, judgement: Judgement = NOTHING) -> Plan:
    """The best that one place can do with the offers it has, if it beats the judgement so far.

    Candidates come by rank; each stands for its start, whose other candidates are no cheaper. Where
    one can not give all units by itself, what the place's pools have free bounds what a start can
    fill.
    """
    best: Plan = []
    here = search.supply.at_place((ask.order.placement, place), tuple(ask.limits))
    room: Sequence[int] | None = None
    most = ask.order.remaining_units
    tried: set[int] = set()
    for found in candidates(search, ask, here):
        if (-most, most * found.value, found.rank) >= judgement:
            break
        if found.start in tried:
            continue
        tried.add(found.start)
        plan = _whole(search, ask, found)
        if plan is None:
            if room is None:
                room = _room_by_start(search, ask, here)
                most = max(room)
            units = room[found.start - ask.starts.start]
            if units and (-units, units * found.value, found.rank) < judgement:
                plan = settle_on(search, _only_at(ask, found.start), here)
        if plan and _judge(plan) < judgement:
            best, judgement = plan, _judge(plan)
    return best


def _whole(search: Search, ask: Ask, found: Candidate) -> Plan | None:
    """The plan of one part that takes all units from the best candidate of a start, if it can."""
    offer, units = found.offer, ask.order.remaining_units
    free = offer.free_units(found.start, found.start + ask.slots)
    if conditions.largest_take(units, free, conditions.chunk_of(offer.terms)) < units:
        return None
    nano = ask.order.data_milli_gb * found.path.price_micro_per_gb
    numerator = search.traded(ask, offer, found.own, nano)
    budget = search.budget_micro(ask)
    if budget is not None and units > conditions.affordable_units(
        budget, numerator=numerator, transport_nano=nano
    ):
        return None
    return [Part(offer, found.start, units, numerator, found.path, found.value)]


def _room_by_start(search: Search, ask: Ask, here: Listed) -> Sequence[int]:
    """For each start: the most that could be filled, going by what the pools have free; 0 where
    that is fewer than the order takes.
    """
    pools: dict[int, PoolStock] = {}
    for _, offer in here:
        if search.path_if_fit(ask, offer) is not None:
            pools[offer.pool.terms.id] = offer.pool
    count = len(ask.starts)
    room: NDArray[np.int64] = np.zeros(count, np.int64)
    for pool in pools.values():
        sold = pool.sold.most_by_start(ask.starts.start, count, ask.slots)
        room += np.maximum(pool.terms.units - sold, 0)
    room = np.minimum(room, ask.order.remaining_units)
    room[room < conditions.fewest_units(ask.order)] = 0
    bounded: list[int] = room.tolist()
    return bounded


def _only_at(ask: Ask, start: int) -> Ask:
    return replace(ask, starts=range(start, start + 1), window=(1 << ask.slots) - 1)


def _judge(plan: Plan) -> Judgement:
    units = sum(part.units for part in plan)
    first = plan[0]
    rank = (first.value, first.offer.terms.entry, first.offer.terms.id, first.start)
    return -units, sum(part.units * part.value for part in plan), rank
