"""The problem as HiGHS sees it: one model, solved as a linear or as a mixed-integer programme.

Units are divided by a power of two and prices taken in yuan, so that the solver works with numbers
near one; its answers are rounded to whole units and never trusted further than that (`settling`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

import highspy
import numpy as np
from numpy.typing import NDArray

from exchange.market.auction.layout import NO_INCOME, Layout
from exchange.market.auction.problem import Side

MICRO: Final = 1_000_000
_INF: Final = highspy.kHighsInf
_STATUS = highspy.HighsModelStatus

Floats = NDArray[np.float64]


class SolverFailed(RuntimeError):
    """HiGHS gave no answer: its status says why."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided in whole: lots accepted of each block, and which incomes are refused."""

    lots: tuple[int, ...]
    refused: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Literal:
    """A yes-or-no fact about a decision: block `block` has at least `lots` lots accepted,
    or, with `block` -1, minimum income `income` is accepted."""

    block: int
    lots: int = 1
    income: int = -1

    def holds(self, decision: Decision) -> bool:
        """Whether the decision has it so."""
        if self.block < 0:
            return self.income not in decision.refused
        return decision.lots[self.block] >= self.lots


@dataclass(frozen=True, slots=True)
class Cut:
    """At least one of `absent` must not hold, or one of `present` must."""

    absent: tuple[Literal, ...]
    present: tuple[Literal, ...]

    def allows(self, decision: Decision) -> bool:
        """Whether the decision satisfies the cut."""
        return any(not x.holds(decision) for x in self.absent) or any(
            x.holds(decision) for x in self.present
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What HiGHS said: `values` by column, in its own scale; welfare and its bound in yuan."""

    values: Floats
    welfare: float
    bound: float
    prices: Floats  # by node, in yuan; of a linear programme only
    proven: bool  # optimal within the gap that was asked for


class _Rows:
    """Rows gathered one by one, then given to HiGHS at once."""

    def __init__(self) -> None:
        self.starts: list[int] = [0]
        self.columns: list[int] = []
        self.values: list[float] = []
        self.lower: list[float] = []
        self.upper: list[float] = []

    def add(self, terms: Iterable[tuple[int, float]], lower: float, upper: float) -> None:
        for column, value in terms:
            self.columns.append(column)
            self.values.append(value)
        self.starts.append(len(self.columns))
        self.lower.append(lower)
        self.upper.append(upper)


class Model:
    """Columns: rungs, arcs forward, arcs backward, lots by block, yes by block, yes by income."""

    def __init__(self, layout: Layout, *, seed: int = 0) -> None:
        self.layout = layout
        self.seconds = 0.0  # spent inside the solver
        rungs, arcs = len(layout.rungs), len(layout.arcs)
        blocks, incomes = len(layout.blocks), len(layout.incomes)
        self.forward, self.backward = rungs, rungs + arcs
        self.lots, self.yes = rungs + 2 * arcs, rungs + 2 * arcs + blocks
        self.income = self.yes + blocks
        self.columns = self.income + incomes
        self._extra: dict[Literal, int] = {}
        most = max(
            [r.units for r in layout.rungs]
            + [u * b.lots for b in layout.blocks for _, u in b.parts]
            + [1]
        )
        self.scale = float(2 ** max(0, most.bit_length() - 14))
        self._lower = np.zeros(self.columns)
        self._upper = self._upper_bounds()
        self.highs = highspy.Highs()
        for option, value in (
            ("output_flag", False),
            ("random_seed", seed),
            ("threads", 1),
            ("primal_feasibility_tolerance", 1e-9),
            ("dual_feasibility_tolerance", 1e-9),
            ("mip_feasibility_tolerance", 1e-7),
        ):
            self.highs.setOptionValue(option, value)
        self._pass(self._costs(), self._rows())

    def decide(self, decision: Decision) -> Answer:
        """The best steps and flows under a decision, with the prices of its dual."""
        fixed = self.columns - self.lots
        values = np.zeros(fixed)
        blocks = len(self.layout.blocks)
        values[:blocks] = decision.lots
        values[blocks : 2 * blocks] = np.minimum(values[:blocks], 1.0)
        for i in range(len(self.layout.incomes)):
            values[2 * blocks + i] = float(i not in decision.refused)
        columns = np.arange(self.lots, self.columns, dtype=np.int32)
        if fixed:
            self.highs.changeColsBounds(fixed, columns, values, values)
        return self._linear()

    def decision_of(self, values: Floats) -> Decision:
        """The decision in a solution of the integer programme."""
        blocks = len(self.layout.blocks)
        lots = np.rint(values[self.lots : self.lots + blocks]).astype(int)
        taken = np.rint(values[self.income : self.columns]).astype(int)
        return Decision(
            tuple(int(k) for k in lots), frozenset(int(i) for i in np.flatnonzero(taken == 0))
        )

    def flows_of(self, values: Floats) -> list[int]:
        """Net flow by arc in whole units."""
        net = values[self.forward : self.backward] - values[self.backward : self.lots]
        return [int(units) for units in np.rint(net * self.scale).astype(np.int64)]

    def as_integer(self) -> Self:
        """Make it the integer programme over all decisions."""
        kinds = np.full(self.columns - self.lots, highspy.HighsVarType.kInteger)
        columns = np.arange(self.lots, self.columns, dtype=np.int32)
        if len(columns):
            self.highs.changeColsIntegrality(len(columns), columns, kinds)
        return self

    def search(self, *, seconds: float, relative_gap: float, start: Floats | None) -> Answer:
        """Solve the integer programme. Raises SolverFailed where it found nothing."""
        self.highs.setOptionValue("time_limit", self.highs.getRunTime() + max(seconds, 0.01))
        self.highs.setOptionValue("mip_rel_gap", relative_gap)
        if start is not None and len(start) == self.highs.getNumCol():
            solution = highspy.HighsSolution()
            solution.col_value = list(start)
            self.highs.setSolution(solution)
        self._run()
        status = self.highs.getModelStatus()
        info = self.highs.getInfo()
        proven = status == _STATUS.kOptimal
        if not proven and status != _STATUS.kTimeLimit:
            raise SolverFailed(self.highs.modelStatusToString(status))
        found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        values = np.array(self.highs.getSolution().col_value) if found else np.zeros(0)
        welfare = -info.objective_function_value * self.scale if found else -_INF
        return Answer(values, welfare, -info.mip_dual_bound * self.scale, np.zeros(0), proven)

    def add_cut(self, cut: Cut) -> None:
        """Forbid what the cut forbids, in the integer programme."""
        terms: dict[int, float] = {}
        for literal in cut.absent:
            terms[self._column(literal)] = -1.0
        for literal in cut.present:
            terms[self._column(literal)] = 1.0
        self._add_row(terms, 1.0 - len(cut.absent), _INF)

    def _column(self, literal: Literal) -> int:
        """The binary column of a literal; one is made where a block is cut into lots."""
        if literal.block < 0:
            return self.income + literal.income
        placed = self.layout.blocks[literal.block]
        if literal.lots <= placed.least_lots:
            return self.yes + literal.block
        if literal not in self._extra:
            column = self.highs.getNumCol()
            self.highs.addCol(0.0, 0.0, 1.0, 0, np.zeros(0, np.int32), np.zeros(0))
            self.highs.changeColIntegrality(column, highspy.HighsVarType.kInteger)
            lots = self.lots + literal.block
            self._add_row({lots: 1.0, column: -float(literal.lots)}, 0.0, _INF)
            above = float(placed.lots - literal.lots + 1)
            self._add_row({lots: 1.0, column: -above}, -_INF, float(literal.lots - 1))
            self._extra[literal] = column
        return self._extra[literal]

    def _add_row(self, terms: Mapping[int, float], lower: float, upper: float) -> None:
        self.highs.addRow(
            lower,
            upper,
            len(terms),
            np.array(list(terms), np.int32),
            np.array(list(terms.values()), np.float64),
        )

    def _run(self) -> None:
        begun = time.perf_counter()
        self.highs.run()
        self.seconds += time.perf_counter() - begun

    def _linear(self) -> Answer:
        self._run()
        status = self.highs.getModelStatus()
        if status == _STATUS.kInfeasible:
            return Answer(np.zeros(0), -_INF, -_INF, np.zeros(0), proven=True)
        if status != _STATUS.kOptimal:
            raise SolverFailed(self.highs.modelStatusToString(status))
        solution = self.highs.getSolution()
        welfare = -self.highs.getInfo().objective_function_value * self.scale
        duals = np.array(solution.row_dual[: len(self.layout.nodes)])
        return Answer(np.array(solution.col_value), welfare, welfare, duals, proven=True)

    def _upper_bounds(self) -> Floats:
        layout = self.layout
        upper = np.ones(self.columns)
        upper[: self.forward] = [r.units / self.scale for r in layout.rungs]
        limits = [layout.limits[arc.limit] for arc in layout.arcs]
        upper[self.forward : self.backward] = [x.forward / self.scale for x in limits]
        upper[self.backward : self.lots] = [x.backward / self.scale for x in limits]
        upper[self.lots : self.yes] = [b.lots for b in layout.blocks]
        return upper

    def _costs(self) -> Floats:
        layout = self.layout
        costs = np.zeros(self.columns)
        costs[: self.forward] = [
            (1 if r.side is Side.SELL else -1) * r.price_micro / MICRO for r in layout.rungs
        ]
        carriage = [arc.price_micro / MICRO for arc in layout.arcs]
        costs[self.forward : self.backward] = carriage
        costs[self.backward : self.lots] = carriage
        costs[self.lots : self.yes] = [
            b.sign * b.block.price_micro / MICRO * sum(u for _, u in b.parts) / self.scale
            for b in layout.blocks
        ]
        return costs

    def _rows(self) -> _Rows:
        rows = _Rows()
        self._balances(rows)
        self._limits(rows)
        self._decisions(rows)
        return rows

    def _balances(self, rows: _Rows) -> None:
        layout = self.layout
        balance: list[list[tuple[int, float]]] = [[] for _ in layout.nodes]
        for i, rung in enumerate(layout.rungs):
            balance[rung.node].append((i, 1.0 if rung.side is Side.SELL else -1.0))
        for i, arc in enumerate(layout.arcs):
            balance[arc.tail] += [(self.forward + i, -1.0), (self.backward + i, 1.0)]
            balance[arc.head] += [(self.forward + i, 1.0), (self.backward + i, -1.0)]
        for i, placed in enumerate(layout.blocks):
            for node, units in placed.parts:
                balance[node].append((self.lots + i, placed.sign * units / self.scale))
        for terms in balance:
            rows.add(terms, 0.0, 0.0)

    def _limits(self, rows: _Rows) -> None:
        """Limits that several grades share; one grade's alone bounds its column."""
        for limit, arcs in zip(self.layout.limits, self.layout.arcs_under, strict=True):
            if len(arcs) > 1:
                for first, most in (
                    (self.forward, limit.forward),
                    (self.backward, limit.backward),
                ):
                    rows.add(((first + a, 1.0) for a in arcs), -_INF, most / self.scale)

    def _decisions(self, rows: _Rows) -> None:
        """Lots between least and all where accepted; parents first; no steps under a refusal."""
        for i, placed in enumerate(self.layout.blocks):
            lots, yes = self.lots + i, self.yes + i
            rows.add([(lots, 1.0), (yes, -float(placed.lots))], -_INF, 0.0)
            rows.add([(lots, 1.0), (yes, -float(placed.least_lots))], 0.0, _INF)
            if placed.parent >= 0:
                rows.add([(yes, 1.0), (self.yes + placed.parent, -1.0)], -_INF, 0.0)
        for i, rung in enumerate(self.layout.rungs):
            if rung.income != NO_INCOME:
                most = rung.units / self.scale
                rows.add([(i, 1.0), (self.income + rung.income, -most)], -_INF, 0.0)

    def _pass(self, costs: Floats, rows: _Rows) -> None:
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.columns, len(rows.lower)
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = costs, self._lower, self._upper
        lp.row_lower_, lp.row_upper_ = np.array(rows.lower), np.array(rows.upper)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.array(rows.starts, np.int32)
        lp.a_matrix_.index_ = np.array(rows.columns, np.int32)
        lp.a_matrix_.value_ = np.array(rows.values, np.float64)
        if self.highs.passModel(lp) == highspy.HighsStatus.kError:
            raise SolverFailed("the model was refused")
