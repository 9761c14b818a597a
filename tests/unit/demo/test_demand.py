"""The built-in demand is the same at every run, and is what its description says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from core.clock import Clock
from demo import demand, scenario
from demo.clockwork import DayClock
from demo.demand import PlannedOrder
from demo.orders import order_body

MIDNIGHT = datetime(2026, 11, 22, 16, tzinfo=UTC)
CLOCK = DayClock(Clock(MIDNIGHT, MIDNIGHT, 900.0), MIDNIGHT)


@pytest.fixture(scope="module")
def henan() -> scenario.Scenario:
    return scenario.load()


@pytest.fixture(scope="module")
def plan(henan: scenario.Scenario) -> list[PlannedOrder]:
    return demand.plan(henan)


def test_scenario_is_of_the_size_that_is_promised(henan: scenario.Scenario) -> None:
    assert len(henan.providers) == 12
    assert len(henan.buyers) == 30
    assert len(henan.centres) >= 40
    assert len(henan.pools) >= 150
    assert {pool.resource_class for pool in henan.pools} == set(scenario.CLASSES)
    assert henan.failure.centre in henan.region_of_centre


def test_plan_is_equal_for_equal_seeds_and_differs_for_others(
    henan: scenario.Scenario, plan: list[PlannedOrder]
) -> None:
    assert demand.plan(henan) == plan
    assert demand.plan(henan, seed=1) != plan


def test_plan_has_5000_orders_in_the_sequence_of_their_placement(plan: list[PlannedOrder]) -> None:
    assert len(plan) == 5000
    assert [order.number for order in plan] == list(range(1, 5001))
    assert [order.at_s for order in plan] == sorted(order.at_s for order in plan)
    assert plan[0].at_s >= 0
    assert plan[-1].at_s < 24 * 3600


def test_every_kind_of_order_occurs(plan: list[PlannedOrder]) -> None:
    assert set(Counter(order.time_in_force for order in plan)) == {"gtc", "gtd", "ioc", "fok"}
    for trait in (
        lambda order: order.on_demand,
        lambda order: not order.on_demand,
        lambda order: len(order.limits) > 1,
        lambda order: order.placement == "same_centre",
        lambda order: order.max_rtt_ms is not None,
        lambda order: order.min_green_share != "0",
        lambda order: order.data_in_gb > 0,
        lambda order: order.accepts_reclaimable,
        lambda order: order.min_units > 1,
        lambda order: order.max_cost is not None,
    ):
        assert sum(map(trait, plan)) >= 50


def test_demand_of_each_large_class_comes_to_the_stated_load(
    henan: scenario.Scenario, plan: list[PlannedOrder]
) -> None:
    for name in ("general", "intelligent", "super", "edge"):
        asked = sum(order.unit_hours_in_day for order in plan if order.resource_class == name)
        share = asked / (henan.units_by_class[name] * 24)
        stated = demand.DAY_CONTRACT_LOAD + demand.LOAD_THROUGH_THE_DAY
        assert share == pytest.approx(stated, abs=0.02), name


def test_orders_ask_only_for_what_some_pool_could_give(
    henan: scenario.Scenario, plan: list[PlannedOrder]
) -> None:
    for order in plan:
        assert 1 <= order.min_units <= order.units
        assert order.duration_slots >= 1
        assert all(limit > 0 for _, limit in order.limits)
        assert {grade.partition(".")[0] for grade, _ in order.limits} == {order.resource_class}
        largest = max(henan.largest_pool[grade] for grade, _ in order.limits)
        assert order.units <= max(1, largest // 2)


ORDER = PlannedOrder(
    number=7,
    buyer="b",
    buyer_region="kaifeng",
    at_s=3600.0,
    resource_class="general",
    limits=(("general.kunpeng-920.8", Decimal("0.700000")),),
    units=5,
    duration_slots=3,
    start_hour=2,
)


def test_a_plain_order_sends_no_constraint_that_it_does_not_have() -> None:
    now = MIDNIGHT + timedelta(hours=1)
    assert order_body(ORDER, CLOCK, now) == {
        "grades": [{"grade": "general.kunpeng-920.8", "limit_price_per_unit_hour": "0.700000"}],
        "units": 5,
        "min_units": 1,
        "duration_hours": 3,
        "on_demand": False,
        "earliest_start_at": "2026-11-22T18:00:00Z",
        "latest_end_at": "2026-11-22T22:00:00Z",
        "placement": "anywhere",
        "time_in_force": "gtc",
        "client_reference": "demo-7",
    }


def test_a_late_order_asks_for_the_next_hour_instead_of_a_past_one() -> None:
    body = order_body(ORDER, CLOCK, MIDNIGHT + timedelta(hours=4, minutes=50))
    assert body["earliest_start_at"] == "2026-11-22T22:00:00Z"
    assert body["latest_end_at"] == "2026-11-23T02:00:00Z"


def test_on_demand_takes_the_rest_of_the_hour_too() -> None:
    now = MIDNIGHT + timedelta(hours=1, minutes=30)
    body = order_body(replace(ORDER, on_demand=True), CLOCK, now)
    assert body["earliest_start_at"] is None
    assert body["latest_end_at"] == "2026-11-22T22:00:00Z"


def test_constraints_name_the_buyers_region() -> None:
    asked = replace(
        ORDER,
        max_rtt_ms="5",
        data_in_gb=50,
        has_ceiling=True,
        at_least_half=True,
        time_in_force="gtd",
    )
    body = order_body(asked, CLOCK, MIDNIGHT + timedelta(hours=1))
    assert (body["max_rtt_ms"], body["rtt_region"]) == ("5", "kaifeng")
    assert (body["data_in_gb_per_unit"], body["data_region"]) == ("50", "kaifeng")
    assert body["max_cost"] == "10.500000"
    assert body["min_units"] == 3
    assert body["good_till_at"] == "2026-11-22T20:00:00Z"
