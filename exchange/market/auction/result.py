"""What an auction answers, in the problem's own ids and whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from exchange.market.auction.problem import Node


class Method(StrEnum):
    """How the decision was found. All of them keep every rule but the greatest welfare."""

    OPTIMAL = "optimal"  # no other decision has more welfare, within the gap that is stated
    TIME_LIMIT = "time_limit"  # the best found when time was up; the gap says how good
    FALLBACK = "fallback"  # the solver failed: steps alone, then blocks one by one while it holds


class Reason(StrEnum):
    """Why a block is not, or not wholly, accepted."""

    OUT_OF_THE_MONEY = "out_of_the_money"  # at these prices it would not want to trade
    PARADOXICAL = (
        "paradoxical"  # it would want to, and somebody would be at a loss, or welfare less
    )
    PARENT_REJECTED = "parent_rejected"  # in the money, but the block it depends on is rejected


@dataclass(frozen=True, slots=True)
class BlockAnswer:
    """What a block got: `lots` of the block's `lots`, and why not all.

    `surplus_micro` is what it gains, `forgone_micro` what the rejected part would have gained.
    """

    id: str
    lots: int
    units_by_slot: tuple[tuple[int, int], ...]
    surplus_micro: int
    forgone_micro: int
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class IncomeAnswer:
    """Whether a minimum income was accepted, what its steps earn and the least they had to."""

    id: str
    accepted: bool
    income_micro: int
    least_micro: int


@dataclass(frozen=True, slots=True)
class Flow:
    """Units of a grade on a link in a slot, positive from `from_zone` to `to_zone`.

    `transport_micro` goes to the carrier; `rent_micro` is what the price difference brings above.
    """

    link: str
    grade: str
    slot: int
    units: int
    transport_micro: int
    rent_micro: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Money of the whole auction: payments = receipts + transport + rent."""

    payments_micro: int
    receipts_micro: int
    transport_micro: int
    rent_micro: int


@dataclass(frozen=True, slots=True)
class Result:
    """The answer. `prices_micro` lacks a node where nothing could trade for want of any order.

    `objective_micro` is the welfare: what buyers accepted at their limits, less sellers at theirs,
    less transport. No decision under the same rules has more than `bound_micro`.
    """

    problem_digest: str
    method: Method
    prices_micro: Mapping[Node, int]
    step_units: Mapping[str, int]  # every step, 0 included
    blocks: tuple[BlockAnswer, ...]
    incomes: tuple[IncomeAnswer, ...]
    flows: tuple[Flow, ...]  # without zeros
    totals: Totals
    objective_micro: int
    bound_micro: int
    seconds: float
    solver_seconds: float
    solver: str
    note: str = ""  # what failed, where a fallback was taken

    @property
    def gap(self) -> float:
        """How much more welfare there could be at most, as a share of the bound."""
        if self.bound_micro <= self.objective_micro:
            return 0.0
        return (self.bound_micro - self.objective_micro) / abs(self.bound_micro)

    @property
    def rejected_blocks(self) -> tuple[BlockAnswer, ...]:
        """Blocks not, or not wholly, accepted."""
        return tuple(answer for answer in self.blocks if answer.reason is not None)
