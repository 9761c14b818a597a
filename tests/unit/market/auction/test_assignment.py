"""Cleared units find pools, consecutive slots together."""

from __future__ import annotations

import pytest

from exchange.market.auction.assignment import Cleared, NotEnoughCapacity, Share, assign


def test_a_run_goes_whole_to_the_pool_with_least_to_spare():
    capacity = {"big": dict.fromkeys(range(4), 9), "snug": dict.fromkeys(range(4), 5)}
    assert assign([Cleared("o", {0: 5, 1: 5, 2: 5})], capacity) == (Share("o", "snug", 0, 3, 5),)


def test_units_are_split_before_slots():
    capacity = {"a": {0: 3, 1: 3}, "b": {0: 2, 1: 2}}
    assert assign([Cleared("o", {0: 5, 1: 5})], capacity) == (
        Share("o", "a", 0, 2, 3),
        Share("o", "b", 0, 2, 2),
    )


def test_a_gap_makes_two_runs_and_uneven_units_two_layers():
    assert assign([Cleared("o", {0: 1, 1: 3, 5: 2})], {"a": dict.fromkeys(range(6), 9)}) == (
        Share("o", "a", 0, 2, 1),
        Share("o", "a", 1, 2, 2),
        Share("o", "a", 5, 6, 2),
    )


def test_the_order_of_what_is_given_does_not_matter():
    cleared = [Cleared(f"o{i}", {0: 2, 1: 2}) for i in range(4)]
    pools = {f"p{i}": {0: 3, 1: 3} for i in range(3)}
    backwards = dict(reversed(pools.items()))
    assert assign(cleared, pools) == assign(cleared[::-1], backwards)


def test_enough_in_all_pools_together_is_enough():
    pools = {"a": {0: 1, 1: 2}, "b": {0: 2, 1: 1}}
    shares = assign([Cleared("o", {0: 3, 1: 3})], pools)
    for slot in (0, 1):
        assert sum(s.units for s in shares if s.start <= slot < s.end) == 3


def test_too_little_is_refused_by_its_slot():
    with pytest.raises(NotEnoughCapacity) as refused:
        assign([Cleared("o", {0: 1, 1: 2})], {"a": {0: 5, 1: 1}})
    assert refused.value.slot == 1
