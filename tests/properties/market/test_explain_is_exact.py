"""The smallest change that explain names fills the order whole, and a smaller one does not."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from exchange.market.engine import BookState
from exchange.market.explain import explain
from exchange.market.reference import ReferenceBook
from exchange.market.terms import Placement
from tests.properties.market.books import LATER_THAN_ALL, Maker

SEEDS_EACH = 60
STEPS = {"latest_slot": -1, "earliest_slot": 1, "max_rtt_us": -1, "max_cost_micro": -1}
LOOSER = {"min_green_share_bp": 1, "min_reliability_bp": 1, "max_pue_milli": -1}


def changed(order, miss, value):
    if miss.field == "limits":
        limits = tuple((g, value if g == miss.grade else limit) for g, limit in order.limits)
        return replace(order, limits=limits)
    if miss.field == "units":
        return replace(
            order, units=value, remaining_units=value, min_units=min(order.min_units, value)
        )
    if miss.field == "regions_allowed":
        allowed = order.regions_allowed
        return replace(
            order,
            regions_allowed=None if allowed is None else allowed | {value},
            regions_excluded=order.regions_excluded - {value},
        )
    return replace(order, **{miss.field: value})


def smaller(order, miss):
    """The next smaller change of the same kind, where there is one."""
    if miss.field == "limits":
        value = miss.value - 1
        return value if value > dict(reversed(order.limits))[miss.grade] else None
    step = STEPS.get(miss.field) or LOOSER.get(miss.field)
    if step is None:
        return None
    value = miss.value + step
    return value if value != getattr(order, miss.field) else None


@pytest.mark.parametrize("part", range(4))
def test_what_is_named_is_enough_and_no_less_is(part):
    named, tight = set(), 0
    for seed in range(part * SEEDS_EACH, (part + 1) * SEEDS_EACH):
        maker = Maker(Random(seed))
        book = maker.network, list(maker.pools.values()), list(maker.offers.values())
        reference = ReferenceBook(*book, now_s=maker.now_s)
        engine = BookState(*book, now_s=maker.now_s)
        events = maker.batch(1)
        reference.apply(events, maker.now_s)
        engine.apply(events, maker.now_s)

        def is_whole(order, reference=reference, now_s=maker.now_s):
            fills = reference.quote(order, now_s)
            return sum(fill.units for fill in fills) == order.remaining_units

        for i in range(6):
            order = maker.order(10**9 + i, LATER_THAN_ALL)
            if order.placement is not Placement.ANYWHERE and i % 2:
                order = replace(order, placement=Placement.ANYWHERE)
            for miss in explain(engine, order, maker.now_s).near_misses:
                assert is_whole(changed(order, miss, miss.value)), (seed, miss)
                named.add(miss.change)
                less = smaller(order, miss)
                if less is not None:
                    assert not is_whole(changed(order, miss, less)), (seed, miss)
                    tight += 1
    assert {"limit", "window", "units"} <= named
    assert tight > SEEDS_EACH // 4
