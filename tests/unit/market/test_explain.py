"""What a buyer is told about an order that is not filled."""

from __future__ import annotations

import pytest

from exchange.market.engine import BookState
from exchange.market.explain import NAMES, explain
from exchange.market.misses import NearMiss
from exchange.market.terms import Claim, Placement
from tests.unit.market.scene import NOW_S, SLOT, YUAN, book, offer, order, pool

AT_ONCE = {"latest_slot": SLOT + 2}


def told(explanation):
    return {
        row.name: (row.turned_away, row.first_to_refuse)
        for row in explanation.tests
        if row.turned_away or row.first_to_refuse
    }


def misses(explanation):
    return {miss.change: (miss.value, miss.cost_micro) for miss in explanation.near_misses}


def test_each_test_says_how_many_pools_it_turns_away_alone_and_as_the_first():
    pools = [
        pool(1),
        pool(2, grade=2),
        pool(3, region="luoyang", green_share_bp=0),
        pool(4, green_share_bp=9_000),
        pool(5),
    ]
    offers = [offer(i, 9 if i == 4 else 5, pool_id=i) for i in range(1, 5)]
    state = book(BookState, pools=pools, offers=offers)
    picky = order(100, 7, 1, regions_allowed=frozenset({"zhengzhou"}), min_green_share_bp=5_000)
    answer = explain(state, picky, NOW_S)
    assert (answer.pools_in_book, answer.pools_of_grade, answer.pools_that_fit) == (5, 4, 0)
    assert told(answer) == {
        "offer": (1, 1),  # pool 5
        "grade": (1, 1),  # pool 2
        "region": (1, 1),  # pool 3, before its green share is asked for
        "green": (3, 1),  # pools 1, 2 and 3; the first to refuse pool 1
        "price": (1, 1),  # pool 4
    }
    assert [row.name for row in answer.tests] == list(NAMES)


def test_a_pool_stands_for_its_offer_that_gets_furthest():
    state = book(BookState, offers=[offer(1, 5, reclaimable=True), offer(2, 9)])
    answer = explain(state, order(100, 7, 1), NOW_S)
    assert told(answer) == {"price": (0, 1)}  # alone, the reclaimable one passes it


def test_options_come_best_first_with_the_price_by_component():
    pools = [pool(1), pool(2, region="luoyang")]
    offers = [offer(1, 9), offer(2, 6, pool_id=2)]
    data = {"data_region": "zhengzhou", "data_milli_gb": 500_000}  # 1 yuan an hour for two hours
    state = book(BookState, pools=pools, offers=offers)
    answer = explain(state, order(100, 10, 1, **data), NOW_S)
    rows = [
        (
            o.pool,
            o.all_in_micro_per_unit_hour,
            o.compute_micro_per_unit_hour,
            o.transport_micro_per_unit_hour,
        )
        for o in answer.options
    ]
    assert rows == [(2, 7 * YUAN, 6 * YUAN, 1 * YUAN), (1, 9 * YUAN, 9 * YUAN, 0)]
    assert answer.near_misses == ()
    assert [fill.offer for fill in answer.fills] == [2]


def test_the_nearest_limit_is_the_dearest_unit_that_is_needed():
    state = book(BookState, offers=[offer(1, 8), offer(2, 9)])
    answer = explain(state, order(100, 7, 12, **AT_ONCE), NOW_S)
    assert answer.near_misses[0] == NearMiss("limit", "limits", 9 * YUAN, 1, 196 * YUAN)


def test_the_nearest_window_ends_as_early_as_it_can():
    claims = [Claim(1, 1, 10, SLOT, SLOT + 5)]
    state = book(BookState, offers=[offer(1, 8)], claims=claims)
    answer = explain(state, order(100, 8, 10, **AT_ONCE), NOW_S)
    assert misses(answer) == {"window": (SLOT + 7, 160 * YUAN)}


def test_the_units_that_would_be_filled_now():
    state = book(BookState, offers=[offer(1, 8)])
    answer = explain(state, order(100, 8, 14, min_units=14, **AT_ONCE), NOW_S)
    assert misses(answer)["units"] == (10, 160 * YUAN)
    assert told(answer) == {}  # each by itself, the pool passes every test


@pytest.mark.parametrize(
    ("facts", "wish", "change", "value"),
    [
        ({"region": "luoyang"}, {"rtt_region": "zhengzhou", "max_rtt_us": 650}, "circle", 1_700),
        ({"region": "luoyang"}, {"regions_excluded": frozenset({"luoyang"})}, "region", "luoyang"),
        ({"region": "luoyang"}, {"regions_allowed": frozenset()}, "region", "luoyang"),
        ({"green_share_bp": 3_000}, {"min_green_share_bp": 5_000}, "green", 3_000),
        ({"pue_milli": 1_400}, {"max_pue_milli": 1_200}, "pue", 1_400),
        ({"reliability_bp": 9_900}, {"min_reliability_bp": 9_990}, "reliability", 9_900),
    ],
)
def test_each_wish_has_its_nearest_miss(facts, wish, change, value):
    state = book(BookState, pools=[pool(1, **facts)], offers=[offer(1, 5)])
    assert misses(explain(state, order(100, 5, 1, **wish), NOW_S)) == {change: (value, 10 * YUAN)}


def test_reclaimable_capacity_ceiling_and_placement_are_offered_too():
    state = book(
        BookState,
        pools=[pool(1, centre=5), pool(2, centre=5)],
        offers=[offer(1, 5), offer(2, 5, pool_id=2)],
    )
    together = order(100, 5, 15, min_units=15, placement=Placement.SAME_POOL, **AT_ONCE)
    assert misses(explain(state, together, NOW_S))["placement"] == (
        Placement.SAME_CENTRE,
        150 * YUAN,
    )
    capped = order(100, 5, 10, min_units=10, max_cost_micro=80 * YUAN, **AT_ONCE)
    assert misses(explain(state, capped, NOW_S))["ceiling"] == (100 * YUAN, 100 * YUAN)
    reclaimable = book(BookState, offers=[offer(1, 5, reclaimable=True)])
    assert misses(explain(reclaimable, order(100, 5, 1), NOW_S)) == {
        "reclaimable": (True, 10 * YUAN)
    }


def test_explaining_changes_nothing():
    state = book(BookState, offers=[offer(1, 8)])
    asked = order(100, 7, 3)
    first = explain(state, asked, NOW_S)
    assert explain(state, asked, NOW_S) == first
    assert state.orders == {}
