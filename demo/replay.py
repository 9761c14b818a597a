"""A trace turned into the day's orders: sampled, compressed and scaled to the supply. Pure.

What is kept: the sizes and durations, each in proportion, and the pattern of arrivals. What is
drawn, since no trace says it: who buys, and at what limit (1.00 to 1.40 of the reference price of
each grade, evenly, with a stated seed).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from math import ceil
from typing import Final, TypeVar

from demo.demand import HOURS, OPENING_S, SECONDS_PER_HOUR, SEED, PlannedOrder, scaled
from demo.scenario import Scenario
from demo.traces import Task, TraceError

# Arrivals are spread over this much of the day, so that the last ones can still be delivered.
ARRIVALS_S: Final = 22 * SECONDS_PER_HOUR
LONGEST_SLOTS: Final = 24
WAIT_SLOTS: Final = 4
LOAD: Final = 0.80
EDGE_MAX_RTT_MS: Final = "8"
_LOWEST_FACTOR, _HIGHEST_FACTOR = Decimal("1.00"), Decimal("1.40")
_PRICE_STEP: Final = Decimal("0.000001")
Item = TypeVar("Item")


def plan(
    scenario: Scenario, tasks: Sequence[Task], *, orders: int, seed: int = SEED
) -> list[PlannedOrder]:
    """At most `orders` orders, in the sequence in which they are placed.

    `TraceError` where a task names a grade that the scenario does not have.
    """
    dice = random.Random(seed)  # noqa: S311 - a rehearsal wants to be repeatable
    place_at_s = _compression(tasks)
    drawn: list[PlannedOrder] = []
    for resource_class, in_class in _by_class(tasks).items():
        share = max(1, orders * len(in_class) // len(tasks))
        supply = scenario.units_by_class[resource_class] * HOURS
        kept = [
            _order(dice, scenario, task, place_at_s(task.arrival_s))
            for task in sample(in_class, share)
        ]
        kept = _few_enough(kept, round(supply * LOAD))
        drawn += scaled(kept, round(supply * LOAD), scenario.largest_pool)
    drawn.sort(key=lambda order: order.at_s)
    return [replace(order, number=number) for number, order in enumerate(drawn[:orders], start=1)]


def _compression(tasks: Sequence[Task]) -> Callable[[float], float]:
    """From a trace's arrival to seconds after midnight, linear in two pieces.

    The first tenth of the tasks is what stood when the day began: it is placed in the first two
    hours. (In some traces it covers most of the time.) The others are spread over the day.
    """
    first_s, last_s = tasks[0].arrival_s, tasks[-1].arrival_s
    dawn_s = tasks[len(tasks) // 10].arrival_s

    def place_at_s(arrival_s: float) -> float:
        if arrival_s < dawn_s:
            return OPENING_S * (arrival_s - first_s) / (dawn_s - first_s)
        return ARRIVALS_S * (arrival_s - dawn_s) / max(last_s - dawn_s, 1e-9)

    return place_at_s


def sample(items: Sequence[Item], count: int) -> list[Item]:
    """`count` of the items, evenly spread over them; all where there are no more."""
    if count >= len(items):
        return list(items)
    return [items[position * len(items) // count] for position in range(count)]


def _by_class(tasks: Sequence[Task]) -> Mapping[str, list[Task]]:
    classes: dict[str, list[Task]] = {}
    for task in tasks:
        classes.setdefault(task.resource_class, []).append(task)
    return classes


def _few_enough(orders: list[PlannedOrder], unit_hours: int) -> list[PlannedOrder]:
    """Fewer orders where even one unit for each would ask for more than `unit_hours`."""
    least = sum(replace(order, units=1).unit_hours_in_day for order in orders)
    return orders if least <= unit_hours else sample(orders, len(orders) * unit_hours // least)


def _order(dice: random.Random, scenario: Scenario, task: Task, at_s: float) -> PlannedOrder:
    buyer = dice.choice(
        [
            buyer
            for buyer in scenario.buyers
            if any(want.resource_class == task.resource_class for want in buyer.wants)
        ]
    )
    hour = int(at_s // SECONDS_PER_HOUR)
    on_demand = task.duration_s < SECONDS_PER_HOUR
    return PlannedOrder(
        number=0,
        buyer=buyer.party.code,
        buyer_region=buyer.party.region,
        at_s=at_s,
        resource_class=task.resource_class,
        limits=_limits(dice, scenario, task),
        units=task.units,
        duration_slots=min(LONGEST_SLOTS, ceil(task.duration_s / SECONDS_PER_HOUR)),
        start_hour=hour if on_demand else hour + 1,
        slack_slots=WAIT_SLOTS,
        on_demand=on_demand,
        max_rtt_ms=EDGE_MAX_RTT_MS if task.resource_class == "edge" else None,
        accepts_reclaimable=dice.random() < 0.3,
    )


def _limits(dice: random.Random, scenario: Scenario, task: Task) -> tuple[tuple[str, Decimal], ...]:
    supplied = scenario.units_by_grade
    grades = task.grades or tuple(g for g in supplied if g.startswith(task.resource_class + "."))
    unknown = [grade for grade in grades if grade not in supplied]
    if unknown:
        raise TraceError(f"the scenario has no {', '.join(unknown)}")
    if task.limit_price_per_unit_hour is not None:
        return tuple((grade, task.limit_price_per_unit_hour) for grade in grades)
    factor = _LOWEST_FACTOR + (_HIGHEST_FACTOR - _LOWEST_FACTOR) * Decimal(
        str(round(dice.random(), 4))
    )
    return tuple(
        (grade, (scenario.reference_prices[grade] * factor).quantize(_PRICE_STEP))
        for grade in grades
    )
