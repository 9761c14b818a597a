"""Traces turned into the day's orders.

The first tenth of a trace, which in some of them covers most of its time, is left out; the rest is
stretched over two days. The second is the day; of the first only what would still run at midnight
is kept, and enters when the day opens, with what remains of it. So the day begins as full as it
goes on. No trace says a price: limits are drawn.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from core.money import to_micro
from core.slots import SECONDS_PER_SLOT
from demo.mechanisms import supply
from demo.mechanisms.day import FIRST_SLOT, HOURS, Day, Wanted
from demo.mechanisms.files import Files, Node
from demo.mechanisms.options import Options
from demo.mechanisms.supply import Supply
from demo.replay import sample
from demo.traces import Task, TraceError
from exchange.market.terms import OrderTerms, Placement

LONGEST_SLOTS: Final = HOURS
SECONDS_PER_DAY: Final = HOURS * SECONDS_PER_SLOT
_FIRST_BUYER: Final = 1_000_000
NO_GRADE: Final = 0  # of an order for models that nobody supplies
_HALF_GREEN_BP: Final = 5_000
# Jobs that compute together stay together; single requests and cores may be anywhere.
_PLACEMENTS: Final = {"intelligent": Placement.SAME_POOL, "super": Placement.SAME_POOL}


@dataclass(frozen=True, slots=True)
class Ask:
    """A task on the day's clock: `at_s` from midnight on, whole slots."""

    at_s: int
    duration_slots: int
    task: Task
    runs_already: bool = False  # at midnight: it cannot wait

    @property
    def unit_hours(self) -> int:
        """How much it asks for."""
        return self.task.units * self.duration_slots


def plan(files: Files, traces: Sequence[Sequence[Task]], options: Options) -> Day:
    """The day that the files and the options say. `TraceError` where they do not fit together."""
    asks = [ask for tasks in traces for ask in _on_the_clock(tasks)]
    nodes, asks = balanced(supply.nodes_of(files), asks, options)
    supplied = supply.build(files, nodes, options)
    return Day(
        pools=supplied.pools,
        offers=supplied.offers,
        wanted=tuple(_wanted(asks, supplied, options)),
        grades=supplied.grades,
    )


def _on_the_clock(tasks: Sequence[Task]) -> Iterable[Ask]:
    """The tasks of one trace; `at_s` is below zero on the day before."""
    kept = tasks[len(tasks) // 10 :]
    first_s, last_s = kept[0].arrival_s, kept[-1].arrival_s
    for task in kept:
        part = (task.arrival_s - first_s) / max(last_s - first_s, 1e-9)
        at_s = min(int((2 * part - 1) * SECONDS_PER_DAY), SECONDS_PER_DAY - 1)
        duration = min(LONGEST_SLOTS, ceil(task.duration_s / SECONDS_PER_SLOT))
        yield Ask(at_s, duration, task)


def balanced(
    nodes: Sequence[Node], asks: Sequence[Ask], options: Options
) -> tuple[list[Node], list[Ask]]:
    """Nodes and tasks of the classes that have both, thinned evenly to the load.

    In each class the longer side gives way: tasks where they ask for more than the load, else
    nodes. Sizes and durations stay as they are. Before that the classes are thinned alike, where
    fewer orders are wanted.
    """
    units = supply.units_by_class(nodes)
    day_hours: dict[str, int] = dict.fromkeys(units, 0)
    for ask in asks:
        if ask.at_s >= 0 and ask.task.resource_class in units:
            day_hours[ask.task.resource_class] += ask.unit_hours
    kept_nodes: list[Node] = []
    kept_asks: list[Ask] = []
    for resource_class, asked in day_hours.items():
        if not asked:
            continue
        ratio = options.load * HOURS * units[resource_class] / asked
        of_class = [node for node in nodes if supply.class_of(node) == resource_class]
        wants = [ask for ask in asks if ask.task.resource_class == resource_class]
        # By arrival, so that an even sample keeps every trace's part of the day.
        wants.sort(key=lambda ask: ask.at_s)
        kept_nodes += sample(of_class, max(1, round(len(of_class) * min(1.0, 1 / ratio))))
        kept_asks += sample(wants, max(1, round(len(wants) * min(1.0, ratio))))
    if not kept_asks:
        raise TraceError("demand and supply have no resource class in common")
    in_day = [remaining for ask in kept_asks if (remaining := _in_day(ask)) is not None]
    if options.orders is not None and options.orders < len(in_day):
        part = options.orders / len(in_day)
        kept_nodes = _sampled_by_grade(kept_nodes, part)
        in_day = sample(in_day, options.orders)
    return kept_nodes, sorted(in_day, key=lambda ask: ask.at_s)


def _sampled_by_grade(nodes: Sequence[Node], part: float) -> list[Node]:
    by_grade: dict[str, list[Node]] = {}
    for node in nodes:
        by_grade.setdefault(supply.grade_name(node), []).append(node)
    return [
        node
        for of_grade in by_grade.values()
        for node in sample(of_grade, max(1, round(len(of_grade) * part)))
    ]


def _in_day(ask: Ask) -> Ask | None:
    """The ask as the day sees it: what still runs at midnight, with what remains; or None."""
    if ask.at_s >= 0:
        return ask
    remaining = ceil((ask.at_s + ask.duration_slots * SECONDS_PER_SLOT) / SECONDS_PER_SLOT)
    if remaining <= 0:
        return None
    return replace(ask, at_s=0, duration_slots=remaining, runs_already=True)


def _wanted(asks: Sequence[Ask], supplied: Supply, options: Options) -> Iterable[Wanted]:
    dice = random.Random(options.seed)  # noqa: S311 - a replay wants to be repeatable
    homes = _homes(supplied)
    for number, ask in enumerate(asks, start=1):
        edge = ask.task.resource_class == "edge"
        grades, value_micro = _grades_and_value(dice, ask.task, supplied, options)
        # Each order takes as many draws as any other, so that an option moves only what it is for.
        deferrable = dice.random() < options.deferrable_share and not edge and not ask.runs_already
        green = dice.random() < options.green_share and not edge and not deferrable
        home = dice.random()
        slack = options.deferrable_slack_slots if deferrable else options.slack_slots
        if edge or ask.runs_already:
            slack = 0
        earliest = FIRST_SLOT + -(-ask.at_s // SECONDS_PER_SLOT)
        yield Wanted(
            at_s=ask.at_s,
            resource_class=ask.task.resource_class,
            deferrable=deferrable,
            order=OrderTerms(
                id=number,
                buyer=_FIRST_BUYER + number,
                entry=(1, number),
                limits=tuple((grade, value_micro) for grade in grades),
                units=ask.task.units,
                remaining_units=ask.task.units,
                min_units=ask.task.units,
                duration_slots=ask.duration_slots,
                earliest_slot=earliest,
                latest_slot=earliest + ask.duration_slots + slack,
                placement=_PLACEMENTS.get(ask.task.resource_class, Placement.ANYWHERE),
                regions_allowed=frozenset({_at(homes, home)}) if edge else None,
                min_green_share_bp=_HALF_GREEN_BP if green else 0,
            ),
        )


def _grades_and_value(
    dice: random.Random, task: Task, supplied: Supply, options: Options
) -> tuple[list[int], int]:
    """The grades that a task accepts, and what a unit-hour of any of them is worth to it.

    The value is a factor of the list price of one grade, drawn by how much there is of it. Where
    the trace says nothing of models or grades, the task takes that grade only.
    """
    known = {name: grade for grade, name in supplied.grades.items()}
    of_class = [g for name, g in known.items() if name.startswith(task.resource_class + ".")]
    names = task.grades
    if task.models is not None:
        names = tuple(f"{task.resource_class}.{model.lower()}" for model in task.models)
    accepted = [known[name] for name in names if name in known] or [NO_GRADE] * bool(names)
    wished = [grade for grade in accepted or of_class if grade in supplied.units] or of_class
    wish = dice.choices(wished, weights=[supplied.units[grade] for grade in wished])[0]
    factor = options.limit_median * dice.lognormvariate(0.0, options.limit_spread)
    value_micro = max(1, round(supplied.list_prices_micro[wish] * factor))
    if task.limit_price_per_unit_hour is not None:
        value_micro = to_micro(task.limit_price_per_unit_hour)
    says_any = task.models is not None and not names
    return accepted or (of_class if says_any else [wish]), value_micro


def _at(weights: dict[str, int], share: float) -> str:
    """The one that lies at a share, from 0 to below 1, of all the weights."""
    left = share * sum(weights.values())
    for name, weight in weights.items():
        left -= weight
        if left < 0:
            return name
    return next(reversed(weights))


def _homes(supplied: Supply) -> dict[str, int]:
    """Units of the edge by region."""
    homes: dict[str, int] = {}
    for pool in supplied.pools:
        if supplied.grades[pool.grade].startswith("edge."):
            homes[pool.region] = homes.get(pool.region, 0) + pool.units
    return homes
