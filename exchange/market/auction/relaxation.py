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

_WHOLE: Final = 1e-4  # units that the solver's whole number may be off

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
    reduced: Floats  # reduced cost by column, in yuan by the solver's unit; of a linear one only


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
    """Columns: rungs, arcs forward, arcs backward, lots by block, yes by block, yes by income.

    An elastic model has two more for each node, units too many and units missing, dearer than any
    price: what can not balance is answered too, with prices that show who is to blame.
    """

    def __init__(self, layout: Layout, *, elastic: bool = False) -> None:
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
            ("threads", 1),
            ("primal_feasibility_tolerance", 1e-9),
            ("dual_feasibility_tolerance", 1e-9),
            ("mip_feasibility_tolerance", 1e-7),
        ):
            self.highs.setOptionValue(option, value)
        self._pass(self._costs(), self._rows())
        if elastic:
            self._add_imbalance()

    def decide(self, decision: Decision) -> Answer:
        """The best steps and flows under a decision, with the prices of its dual."""
        values = self._decided(decision)
        columns = np.arange(self.lots, self.columns, dtype=np.int32)
        if len(columns):
            self.highs.changeColsBounds(len(columns), columns, values, values)
        return self._linear()

    def _decided(self, decision: Decision) -> Floats:
        """A decision as values of the columns from `lots` on."""
        taken = [float(i not in decision.refused) for i in range(len(self.layout.incomes))]
        yes = [min(lots, 1) for lots in decision.lots]
        return np.array([*decision.lots, *yes, *taken], np.float64)

    def relax(self, fixed: Mapping[int, float]) -> Answer:
        """The linear relaxation, with the yes of some blocks and incomes (by place) fixed."""
        columns = np.arange(self.lots, self.columns, dtype=np.int32)
        lower, upper = self._lower[self.lots :].copy(), self._upper[self.lots :].copy()
        for place, value in fixed.items():
            at = place + self.yes - self.lots
            lower[at] = upper[at] = value
        if len(columns):
            self.highs.changeColsBounds(len(columns), columns, lower, upper)
        return self._linear()

    def yes_of(self, values: Floats) -> Floats:
        """The yes of blocks, then of incomes, in a solution."""
        return values[self.yes : self.columns]

    def decision_of(self, values: Floats) -> Decision:
        """The decision in a solution of the integer programme."""
        blocks = len(self.layout.blocks)
        lots = np.rint(values[self.lots : self.lots + blocks]).astype(int)
        taken = np.rint(values[self.income : self.columns]).astype(int)
        return Decision(
            tuple(int(k) for k in lots), frozenset(int(i) for i in np.flatnonzero(taken == 0))
        )

    def imbalance(self, values: Floats) -> float:
        """Units that an elastic model left out of balance."""
        return float(values[self.columns :].sum()) * self.scale

    def unbalanced_nodes(self, values: Floats) -> set[int]:
        """Where they are."""
        beyond = np.flatnonzero(values[self.columns :] * self.scale > _WHOLE)
        return {int(i) % len(self.layout.nodes) for i in beyond}

    def flows_of(self, values: Floats) -> tuple[list[int], list[int]]:
        """Net flow by arc in whole units: the nearest, and the nearest towards zero.

        Grades that share limits may flow in fractions, so that the nearest do not fit together.
        """
        net = (
            values[self.forward : self.backward] - values[self.backward : self.lots]
        ) * self.scale
        toward_zero = np.trunc(net + np.sign(net) * _WHOLE)
        return [int(units) for units in np.rint(net)], [int(units) for units in toward_zero]

    def as_integer(self) -> Self:
        """Make it the integer programme over all decisions.

        The lots of a block that is not cut follow from its yes, and stay continuous.
        """
        cut = [i for i, b in enumerate(self.layout.blocks) if b.least_lots < b.lots]
        whole = [self.lots + i for i in cut] + list(range(self.yes, self.columns))
        if whole:
            kinds = np.full(len(whole), highspy.HighsVarType.kInteger)
            self.highs.changeColsIntegrality(len(whole), np.array(whole, np.int32), kinds)
        return self

    def leave_out(self, root: Answer, missing: float) -> None:
        """Narrow columns to what can still gain on a solution that `missing` yuan lie below `root`.

        A column that leaves its bound in the relaxation costs its reduced cost for each unit, so it
        can not leave it by more than what is missing divided by that.
        """
        slack = max(missing, 0.0) / self.scale * (1 + 1e-6) + 1e-7 * (1 + abs(missing) / self.scale)
        values, reduced = root.values[: self.columns], root.reduced[: self.columns]
        costly = np.abs(reduced) > 1e-6
        reach = np.where(costly, slack / np.where(costly, np.abs(reduced), 1.0), _INF)
        whole = np.arange(self.columns) >= self.lots
        lower = np.where(reduced < -1e-6, np.maximum(self._lower, values - reach), self._lower)
        upper = np.where(reduced > 1e-6, np.minimum(self._upper, values + reach), self._upper)
        lower = np.where(whole, np.ceil(lower - 1e-6), lower)
        upper = np.where(whole, np.floor(upper + 1e-6), upper)
        columns = np.arange(self.columns, dtype=np.int32)
        self.highs.changeColsBounds(self.columns, columns, lower, np.maximum(lower, upper))

    def with_whole_flows(self) -> Self:
        """Make flows whole where they are counted in units, for grades that share limits."""
        if self.scale == 1.0 and self.lots > self.forward:
            columns = np.arange(self.forward, self.lots, dtype=np.int32)
            kinds = np.full(len(columns), highspy.HighsVarType.kInteger)
            self.highs.changeColsIntegrality(len(columns), columns, kinds)
            self.highs.setOptionValue("mip_rel_gap", 0.0)
        return self

    def search(self, *, seconds: float, relative_gap: float) -> Answer:
        """Solve the integer programme. Raises SolverFailed where the solver gave up.

        It is given no solution to start from: with one, HiGHS 1.16 has misreported the objective.
        """
        self.highs.setOptionValue("time_limit", max(seconds, 0.01))
        self.highs.setOptionValue("mip_rel_gap", relative_gap)
        self._run()
        status = self.highs.getModelStatus()
        info = self.highs.getInfo()
        proven = status in (_STATUS.kOptimal, _STATUS.kInfeasible)
        if status == _STATUS.kInfeasible:
            none = np.zeros(0)
            return Answer(none, -_INF, -_INF, none, proven, none)
        if not proven and status != _STATUS.kTimeLimit:
            raise SolverFailed(self.highs.modelStatusToString(status))
        found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        values = np.array(self.highs.getSolution().col_value) if found else np.zeros(0)
        welfare = -info.objective_function_value * self.scale if found else -_INF
        bound = -info.mip_dual_bound * self.scale
        return Answer(values, welfare, bound, np.zeros(0), proven, np.zeros(0))

    def add_cut(self, cut: Cut) -> None:
        """Forbid what the cut forbids, in the integer programme."""
        terms: dict[int, float] = {}
        for literal in cut.absent:
            terms[self._column(literal)] = -1.0
        for literal in cut.present:
            terms[self._column(literal)] = 1.0
        self._add_row(terms, 1.0 - len(cut.absent), _INF)

    def _add_imbalance(self) -> None:
        problem, nodes = self.layout.problem, len(self.layout.nodes)
        most = max(abs(problem.lowest_price_micro), problem.highest_price_micro)
        dearest = max(
            [abs(r.price_micro) for r in self.layout.rungs]
            + [abs(b.block.price_micro) for b in self.layout.blocks]
            + [MICRO]
        )
        cost = 100.0 * min(most, 10 * dearest) / MICRO
        for sign in (-1.0, 1.0):
            self.highs.addCols(
                nodes,
                np.full(nodes, cost),
                np.zeros(nodes),
                np.full(nodes, _INF),
                nodes,
                np.arange(nodes, dtype=np.int32),
                np.arange(nodes, dtype=np.int32),
                np.full(nodes, sign),
            )

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
            none = np.zeros(0)
            return Answer(none, -_INF, -_INF, none, proven=True, reduced=none)
        if status != _STATUS.kOptimal:
            raise SolverFailed(self.highs.modelStatusToString(status))
        solution = self.highs.getSolution()
        welfare = -self.highs.getInfo().objective_function_value * self.scale
        duals = np.array(solution.row_dual[: len(self.layout.nodes)])
        reduced = np.array(solution.col_dual)
        values = np.array(solution.col_value)
        return Answer(values, welfare, welfare, duals, proven=True, reduced=reduced)

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
