"""The fast engine gives what the reference gives, whatever the book and the events."""

from __future__ import annotations

import os
from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.market.engine import BookState
from exchange.market.reference import ReferenceBook
from exchange.market.terms import Claim, ClockTicked, Placement
from tests.properties.market.books import LATER_THAN_ALL, YUAN, Maker

MORE = int(os.environ.get("MARKET_STORIES", "1"))
"""How many times the stories of every run are told: 1, or 50 at night, which are 50,000 books."""
SEEDS_EACH = 100 * MORE


def tell(random: Random, kind: type[Maker] = Maker) -> int:
    """One story, told to both engines; how many fills it had."""
    maker = kind(random)
    book = maker.network, list(maker.pools.values()), list(maker.offers.values())
    reference = ReferenceBook(*book, now_s=maker.now_s)
    engine = BookState(*book, now_s=maker.now_s)
    fills = 0
    for number in range(1, maker.some(2, 8)):
        events = maker.batch(number)
        order = maker.order(10**9, LATER_THAN_ALL)
        quote = reference.quote(order, maker.now_s)
        assert engine.quote(order, maker.now_s) == quote
        expected = reference.apply(events, maker.now_s)
        assert engine.apply(events, maker.now_s) == expected
        assert engine.orders == reference.orders
        fills += len(expected.fills)
        maker.remember(expected)
    return fills


@pytest.mark.parametrize("tenth", range(10))
def test_seeded_stories(tenth):
    fills = sum(tell(Random(seed)) for seed in range(tenth * SEEDS_EACH, (tenth + 1) * SEEDS_EACH))
    assert fills > SEEDS_EACH  # the stories are about something


class Crowded(Maker):
    """Books in which the kernel meets what is rare elsewhere: shelves of several blocks with ties,
    windows over the borders of words and days, and offers sold out to the last unit.
    """

    def __init__(self, random):
        super().__init__(random)
        self.pools = {i: self.pool(i) for i in range(1, 2 + random.randrange(60))}
        self.offers = {}
        for i in range(random.randrange(150)):
            self._keep(self.offer(1_000 + i, (0, i // 3)))

    def pool(self, id_):
        return replace(super().pool(id_), units=self.some(1, 4))

    def offer(self, id_, entry, pool=None):
        offer = super().offer(id_, entry, pool)
        if offer.end_slot - offer.start_slot < 20:
            offer = replace(offer, end_slot=offer.start_slot + self.one_of(64, 129, 300))
        if self.one_of(True, False):
            offer = replace(offer, prices=(self.some(3, 4) * YUAN,))
        return offer

    def order(self, id_, entry):
        order = super().order(id_, entry)
        if order.on_demand or self.one_of(True, False):
            return order
        wait, slack = self.one_of(0, 23, 60, 64, 120), self.one_of(0, 24, 70, 140)
        return replace(
            order,
            placement=self.one_of(*[Placement.ANYWHERE] * 4, Placement.SAME_CENTRE),
            max_cost_micro=None,
            earliest_slot=order.earliest_slot + wait,
            latest_slot=order.latest_slot + wait + slack,
        )


@pytest.mark.parametrize("part", range(4))
def test_seeded_stories_of_crowded_books(part):
    each = 8 * MORE
    fills = sum(tell(Random(seed), Crowded) for seed in range(part * each, (part + 1) * each))
    assert fills > each


@given(st.randoms(use_true_random=False))
@settings(max_examples=200 * MORE, deadline=None, suppress_health_check=list(HealthCheck))
def test_stories_that_shrink(random):
    tell(random)


@pytest.mark.parametrize("seed", range(100))
def test_a_state_rebuilt_from_rows_goes_on_as_one_that_was_kept(seed):
    maker = Maker(Random(seed))
    kept = BookState(maker.network, maker.pools.values(), maker.offers.values(), now_s=maker.now_s)
    fills = []
    for number in range(1, 5):
        events = [e for e in maker.batch(number) if type(e).__name__ != "CapacityReleased"]
        result = kept.apply(events, maker.now_s)
        fills += result.fills
        maker.remember(result)
        claims = [Claim(f.offer, f.pool, f.units, f.start_slot, f.end_slot) for f in fills]
        rebuilt = BookState(
            maker.network,
            kept.pools(),
            kept.offers(),
            list(kept.orders.values()),
            claims,
            now_s=maker.now_s,
        )
        probe = maker.order(10**9, LATER_THAN_ALL)
        assert rebuilt.quote(probe, maker.now_s) == kept.quote(probe, maker.now_s)
        after = ReferenceBook(
            maker.network,
            kept.pools(),
            kept.offers(),
            list(kept.orders.values()),
            claims,
            now_s=maker.now_s,
        )
        tick = [ClockTicked()]
        assert rebuilt.apply(tick, maker.now_s) == after.apply(tick, maker.now_s)
