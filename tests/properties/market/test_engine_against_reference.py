"""The fast engine gives what the reference gives, whatever the book and the events."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.market.engine import BookState
from exchange.market.reference import ReferenceBook
from exchange.market.terms import Claim, ClockTicked
from tests.properties.market.books import LATER_THAN_ALL, Maker

SEEDS_EACH = 100


def tell(random: Random) -> int:
    """One story, told to both engines; how many fills it had."""
    maker = Maker(random)
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


@given(st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
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
