"""What is left to the kernel, and what is not."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from exchange.market.conditions import TESTS
from exchange.market.engine import BookState
from exchange.market.quick import ANSWERED_TESTS
from exchange.market.terms import (
    CapacityReleased,
    OrderEntered,
    OrderTerms,
    Placement,
    TimeInForce,
)
from tests.unit.market.scene import NOW_S, SLOT, YUAN, book, offer, order, pool

KNOWN = {
    "id",
    "buyer",
    "entry",
    "limits",
    "units",
    "remaining_units",
    "duration_slots",
    "earliest_slot",
    "latest_slot",
    "min_units",
    "on_demand",
    "placement",
    "rtt_region",
    "max_rtt_us",
    "regions_allowed",
    "regions_excluded",
    "min_green_share_bp",
    "max_pue_milli",
    "min_reliability_bp",
    "data_region",
    "data_milli_gb",
    "accept_reclaimable",
    "max_cost_micro",
    "time_in_force",
    "good_till_s",
    "anchor",
    "spent_micro",
}


def test_the_kernel_knows_each_test_and_each_term_of_an_order():
    """A new one is answered in the kernel, or `Quick.answers` leaves its orders to the walk."""
    assert {name for name, _ in TESTS} == ANSWERED_TESTS
    assert {field.name for field in fields(OrderTerms)} == KNOWN


@pytest.mark.parametrize(
    ("facts", "answered"),
    [
        ({}, True),
        ({"limits": ((1, 5), (2, 5))}, True),
        ({"limits": ((1, 5), (2, 5), (3, 5))}, False),
        ({"placement": Placement.SAME_POOL}, False),
        ({"max_cost_micro": 1}, False),
        ({"limits": ((1, 10**12),), "duration_slots": 1_440}, False),  # beyond 64 bits
        ({"data_region": "xinyang", "data_milli_gb": 10**12}, False),
    ],
)
def test_which_orders_the_kernel_answers(facts, answered):
    state = book(BookState, offers=[offer(1, 5)])
    assert state.answers_fast(replace(order(100, 7, 1), **facts)) is answered


def test_what_does_not_fit_64_bits_is_matched_all_the_same():
    state = book(BookState, offers=[offer(1, 999_999, units=5)])
    dear = replace(order(100, 1_000_000, 3), duration_slots=90, latest_slot=1_100)
    result = state.apply([OrderEntered(dear)], NOW_S)
    assert [fill.units for fill in result.fills] == [3]
    assert result.fills[0].price_numerator == 999_999 * YUAN * 90 * 3600


def test_an_order_of_more_parts_than_the_buffer_holds(monkeypatch):
    monkeypatch.setattr("exchange.market.quick._PARTS", 2)
    state = book(BookState, offers=[offer(i, 5, units=1) for i in range(1, 8)])
    orders = [
        OrderEntered(order(100 + i, 7, units, latest_slot=1_002))
        for i, units in enumerate((1, 5, 1))
    ]
    result = state.apply(orders, NOW_S)
    assert [(f.order, f.offer) for f in result.fills] == [
        (100, 1),
        (101, 2),
        (101, 3),
        (101, 4),
        (101, 5),
        (101, 6),
        (102, 7),
    ]


@pytest.mark.parametrize("back", [True, False])
def test_what_an_order_gives_back_is_found_again(back):
    """A fok order takes all that 40 pools have and gives it back. Meanwhile their other offers have
    nothing, and the block that holds the last of these must not be summed up like that.
    """
    pools = [pool(i, units=1, region="luoyang" if i == 1 else "zhengzhou") for i in range(1, 41)]
    offers = [offer(i, 5, pool_id=i, units=1, reclaimable=True) for i in range(1, 41)]
    offers += [offer(100 + i, 6, pool_id=41 - i, units=1) for i in range(1, 41)]
    state = book(BookState, pools=pools, offers=offers)
    one = {"duration_slots": 1, "latest_slot": SLOT + 1}
    wish = {"accept_reclaimable": True, **one}
    for i in range(3):  # as many claims as make the sums of the skip index old
        fok = order(100 + i, 7, 41, time_in_force=TimeInForce.FOK, **wish)
        if back:
            assert not state.apply([OrderEntered(fok)], NOW_S).fills
        else:
            assert not state.quote(fok, NOW_S)
    result = state.apply([OrderEntered(order(200, 7, 40, **one))], NOW_S)
    assert [fill.offer for fill in result.fills] == list(range(101, 141))
    assert not state.quote(order(201, 7, 1, **one), NOW_S)
    state.apply([CapacityReleased(107, 34, 1, SLOT, SLOT + 1)], NOW_S)
    assert [fill.offer for fill in state.quote(order(201, 7, 1, **one), NOW_S)] == [107]
