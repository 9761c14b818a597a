"""What makes a problem one that can be cleared; each broken rule has a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from exchange.market.auction.problem import Block, Link, Problem, Side

MOST_UNITS: Final = 10**9  # of one order in one slot; sums stay far below what a float counts
MOST_PRICE_MICRO: Final = 10**12
MOST_ORDERS: Final = 2_000_000
MOST_NODES: Final = 1_000_000


class Rule(StrEnum):
    """The rules a problem may break."""

    DUPLICATE_ID = "duplicate_id"  # two things of one kind have the same id
    UNKNOWN_ZONE = "unknown_zone"  # an order or link names a zone that is none
    UNKNOWN_GRADE = "unknown_grade"  # an order names a grade that is none
    UNKNOWN_SLOT = "unknown_slot"  # an order or link names a slot that is none
    UNKNOWN_PARENT = "unknown_parent"  # a block's parent is no block
    UNKNOWN_STEP = "unknown_step"  # a minimum income names a step that is none
    PARENT_CYCLE = "parent_cycle"  # a block is its own ancestor
    UNITS_OUT_OF_RANGE = "units_out_of_range"  # not a whole number from 1 to MOST_UNITS
    PRICE_OUT_OF_RANGE = "price_out_of_range"  # not a whole number within the auction's limits
    RATIO_OUT_OF_RANGE = "ratio_out_of_range"  # a least ratio not above 0 and up to 1
    EMPTY_BLOCK = "empty_block"  # a block without slots
    REPEATED_SLOT = "repeated_slot"  # a block or link names a slot twice
    FLOW_LIMIT_OUT_OF_RANGE = "flow_limit_out_of_range"  # not min <= 0 <= max, or absurd
    LINK_TO_ITSELF = "link_to_itself"  # both ends are one zone
    INCOME_OF_A_BUYER = "income_of_a_buyer"  # a minimum income names a buy step
    INCOME_SHARED = "income_shared"  # a step stands under two minimum incomes
    INCOME_OUT_OF_RANGE = "income_out_of_range"  # negative or absurd
    TOO_LARGE = "too_large"  # more orders or nodes than an auction takes


class ProblemRefused(ValueError):
    """A problem that breaks `rule`; `where` names the thing that does."""

    def __init__(self, rule: Rule, where: str) -> None:
        super().__init__(f"{rule.value}: {where}")
        self.rule = rule
        self.where = where


def validate(problem: Problem) -> None:
    """Raise ProblemRefused for the first rule that is broken."""
    _sizes(problem)
    low, high = problem.lowest_price_micro, problem.highest_price_micro
    _whole(low, -MOST_PRICE_MICRO, high, Rule.PRICE_OUT_OF_RANGE, "lowest price")
    _whole(high, low, MOST_PRICE_MICRO, Rule.PRICE_OUT_OF_RANGE, "highest price")
    _distinct("zones", problem.zones)
    _distinct("grades", problem.grades)
    _distinct("slots", map(str, problem.slots))
    _distinct("steps", (step.id for step in problem.steps))
    _distinct("blocks", (block.id for block in problem.blocks))
    _distinct("links", (link.id for link in problem.links))
    _distinct("minimum incomes", (income.id for income in problem.minimum_incomes))
    known = _Known(problem)
    for step in problem.steps:
        known.place(f"step {step.id}", step.grade, step.zone, (step.slot,))
        _whole(step.units, 1, MOST_UNITS, Rule.UNITS_OUT_OF_RANGE, f"step {step.id}")
        _whole(step.price_micro, low, high, Rule.PRICE_OUT_OF_RANGE, f"step {step.id}")
    for block in problem.blocks:
        _block(block, known, low, high)
    for link in problem.links:
        _link(link, known)
    _parents(problem.blocks)
    _incomes(problem)


class _Known:
    """The names that orders and links may use."""

    def __init__(self, problem: Problem) -> None:
        self.zones = frozenset(problem.zones)
        self.grades = frozenset(problem.grades)
        self.slots = frozenset(problem.slots)

    def place(self, where: str, grade: str, zone: str, slots: Iterable[int]) -> None:
        if grade not in self.grades:
            raise ProblemRefused(Rule.UNKNOWN_GRADE, f"{where}: {grade}")
        if zone not in self.zones:
            raise ProblemRefused(Rule.UNKNOWN_ZONE, f"{where}: {zone}")
        self.hours(where, slots)

    def hours(self, where: str, slots: Iterable[int]) -> None:
        seen: set[int] = set()
        for slot in slots:
            if slot not in self.slots:
                raise ProblemRefused(Rule.UNKNOWN_SLOT, f"{where}: {slot}")
            if slot in seen:
                raise ProblemRefused(Rule.REPEATED_SLOT, f"{where}: {slot}")
            seen.add(slot)


def _sizes(problem: Problem) -> None:
    orders = len(problem.steps) + len(problem.blocks)
    nodes = len(problem.zones) * len(problem.grades) * len(problem.slots)
    if orders > MOST_ORDERS:
        raise ProblemRefused(Rule.TOO_LARGE, f"{orders} orders")
    if nodes > MOST_NODES:
        raise ProblemRefused(Rule.TOO_LARGE, f"{nodes} prices to make")


def _block(block: Block, known: _Known, low: int, high: int) -> None:
    where = f"block {block.id}"
    if not block.units_by_slot:
        raise ProblemRefused(Rule.EMPTY_BLOCK, where)
    known.place(where, block.grade, block.zone, (slot for slot, _ in block.units_by_slot))
    for _, units in block.units_by_slot:
        _whole(units, 1, MOST_UNITS, Rule.UNITS_OUT_OF_RANGE, where)
    _whole(block.price_micro, low, high, Rule.PRICE_OUT_OF_RANGE, where)
    if not 0 < block.least_ratio <= 1:
        raise ProblemRefused(Rule.RATIO_OUT_OF_RANGE, where)


def _link(link: Link, known: _Known) -> None:
    where = f"link {link.id}"
    for zone in (link.from_zone, link.to_zone):
        if zone not in known.zones:
            raise ProblemRefused(Rule.UNKNOWN_ZONE, f"{where}: {zone}")
    if link.from_zone == link.to_zone:
        raise ProblemRefused(Rule.LINK_TO_ITSELF, where)
    _whole(link.price_micro, 0, MOST_PRICE_MICRO, Rule.PRICE_OUT_OF_RANGE, where)
    known.hours(where, (limit.slot for limit in link.limits))
    for limit in link.limits:
        _whole(limit.min_flow, -MOST_UNITS, 0, Rule.FLOW_LIMIT_OUT_OF_RANGE, where)
        _whole(limit.max_flow, 0, MOST_UNITS, Rule.FLOW_LIMIT_OUT_OF_RANGE, where)


def _parents(blocks: Iterable[Block]) -> None:
    parent_of = {block.id: block.parent for block in blocks}
    settled: set[str] = set()
    for start in sorted(parent_of):
        trail: list[str] = []
        at: str | None = start
        while at is not None and at not in settled:
            if at in trail:
                raise ProblemRefused(Rule.PARENT_CYCLE, f"block {at}")
            if at not in parent_of:
                raise ProblemRefused(Rule.UNKNOWN_PARENT, f"block {trail[-1]}: {at}")
            trail.append(at)
            at = parent_of[at]
        settled.update(trail)


def _incomes(problem: Problem) -> None:
    sides = {step.id: step.side for step in problem.steps}
    taken: set[str] = set()
    for income in problem.minimum_incomes:
        where = f"minimum income {income.id}"
        _whole(income.fixed_micro, 0, 10**18, Rule.INCOME_OUT_OF_RANGE, where)
        _whole(income.price_micro, 0, MOST_PRICE_MICRO, Rule.INCOME_OUT_OF_RANGE, where)
        for step_id in income.step_ids:
            if step_id not in sides:
                raise ProblemRefused(Rule.UNKNOWN_STEP, f"{where}: {step_id}")
            if sides[step_id] is Side.BUY:
                raise ProblemRefused(Rule.INCOME_OF_A_BUYER, f"{where}: {step_id}")
            if step_id in taken:
                raise ProblemRefused(Rule.INCOME_SHARED, f"{where}: {step_id}")
            taken.add(step_id)


def _distinct(kind: str, ids: Iterable[str]) -> None:
    for key, count in Counter(ids).items():
        if count > 1:
            raise ProblemRefused(Rule.DUPLICATE_ID, f"{kind}: {key}")


def _whole(value: object, low: int, high: int, rule: Rule, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ProblemRefused(rule, f"{where}: {value}")
