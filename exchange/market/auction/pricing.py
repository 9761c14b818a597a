"""Prices for a decision under which nobody accepted is at a loss, or why there are none.

Each cell has a preferred price (`settling`). Only where a block or a minimum income would lose by
them are they moved: to the prices that fit with the least sum of absolute changes.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import highspy
import numpy as np

from exchange.market.auction.layout import Layout
from exchange.market.auction.problem import Side, Step
from exchange.market.auction.relaxation import MICRO, Answer, Decision, Model
from exchange.market.auction.settling import CellBook, Settled, settle


@dataclass(frozen=True, slots=True)
class Outcome:
    """A decision settled: net step supply and price by node, flow by arc. All whole numbers."""

    decision: Decision
    net_units: tuple[int, ...]
    prices: tuple[int | None, ...]
    flows: tuple[int, ...]


class Demand(NamedTuple):
    """What an accepted block or income asks of prices: sum of weight x price is at least this.

    `block` or `income` is the index of whose demand it is, the other is -1.
    """

    weights: tuple[tuple[int, int], ...]
    least: int
    block: int
    income: int


@dataclass(frozen=True, slots=True)
class NoPrices:
    """Why a decision has none: these alone lose at their best prices, or these together.

    `losers` are demands none of which any fitting price meets; `together` those that some prices
    meet one by one. Both empty: the flows themselves have no prices.
    """

    losers: tuple[Demand, ...] = ()
    together: tuple[Demand, ...] = ()


class Pricer:
    """Settles decisions on one layout; keeps the curves it has computed."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.seconds = 0.0  # spent inside the solver
        self._books: dict[tuple[int, frozenset[int]], CellBook] = {}

    def outcome(self, decision: Decision, answer: Answer, model: Model) -> Outcome | NoPrices:
        """Settle what the linear programme found and price it."""
        outcome: Outcome | NoPrices = NoPrices()
        for flows in model.flows_of(answer.values):
            outcome = self.settled(decision, flows)
            if outcome != NoPrices():
                break
        return outcome

    def unbalanced(self, decision: Decision, answer: Answer, model: Model) -> NoPrices:
        """The blocks in the slots that do not balance, the one most out of place first."""
        nodes = self.layout.nodes
        slots = {nodes[n].slot for n in model.unbalanced_nodes(answer.values)}
        prices = {n: round(p * MICRO) for n, p in enumerate(answer.prices)}
        blocks = [
            demand
            for demand in self._demands(decision, {}, {})
            if any(nodes[n].slot in slots for n, _ in demand.weights)
        ]
        return NoPrices((), tuple(sorted(blocks, key=lambda d: -shortfall(d, prices))))

    def settled(self, decision: Decision, flows: list[int]) -> Outcome | NoPrices:
        """Settle a decision from these flows by arc on, and price it."""
        cells = self._settle(decision, flows)
        if cells is None:
            return NoPrices()
        lowest: dict[int, int] = {}
        highest: dict[int, int] = {}
        preferred: dict[int, int] = {}
        net: dict[int, int] = {}
        flow: dict[int, int] = {}
        for cell in cells:
            net |= cell.net_units
            flow |= cell.flows
            if cell.preferred is not None:
                lowest |= cell.lowest
                highest |= cell.highest
                preferred |= cell.preferred
        demands = self._demands(decision, net, preferred)
        losing = [d for d in demands if shortfall(d, preferred) > 0]
        if losing:
            losers = [d for d in losing if shortfall_at_best(d, lowest, highest) > 0]
            if losers:
                losers.sort(key=lambda d: -shortfall_at_best(d, lowest, highest))
                return NoPrices(tuple(losers))
            losing.sort(key=lambda d: -shortfall(d, preferred))
            mover = _Mover(self.layout, cells, lowest, highest, preferred)
            moved = mover.move(demands, flow)
            self.seconds += mover.seconds
            if moved is None:
                return NoPrices(
                    (), tuple(losing + [d for d in _around(losing, demands) if d not in losing])
                )
            preferred = moved
        places = range(len(self.layout.nodes))
        return Outcome(
            decision,
            tuple(net[n] for n in places),
            tuple(preferred.get(n) for n in places),
            tuple(flow[a] for a in range(len(self.layout.arcs))),
        )

    def _settle(self, decision: Decision, flows: list[int]) -> list[Settled] | None:
        layout = self.layout
        brought: defaultdict[int, int] = defaultdict(int)
        for placed, lots in zip(layout.blocks, decision.lots, strict=True):
            for node, units in placed.parts:
                brought[node] += placed.sign * units * lots
        settled: list[Settled] = []
        for number, cell in enumerate(layout.cells):
            key = number, decision.refused
            if key not in self._books:
                self._books[key] = CellBook(layout, cell, decision.refused)
            others = self._others(cell.arcs, flows)
            if others is None:
                return None
            found = settle(self._books[key], brought, flows, others)
            if found is None:
                return None
            settled.append(found)
            for arc, units in found.flows.items():
                flows[arc] = units
        return settled

    def _others(
        self, arcs: Iterable[int], flows: Sequence[int]
    ) -> dict[int, tuple[int, int]] | None:
        """What other grades take of each limit; None where a limit is broken."""
        taken: dict[int, tuple[int, int]] = {}
        for arc in arcs:
            limit = self.layout.arcs[arc].limit
            forward = backward = 0
            for other in self.layout.arcs_under[limit]:
                if other != arc:
                    forward += max(flows[other], 0)
                    backward += max(-flows[other], 0)
            bound = self.layout.limits[limit]
            if (
                forward + max(flows[arc], 0) > bound.forward
                or backward + max(-flows[arc], 0) > bound.backward
            ):
                return None
            taken[limit] = forward, backward
        return taken

    def _demands(
        self, decision: Decision, net: dict[int, int], prices: dict[int, int]
    ) -> list[Demand]:
        demands: list[Demand] = []
        for i, (placed, lots) in enumerate(zip(self.layout.blocks, decision.lots, strict=True)):
            if lots:
                weights = tuple((node, placed.sign * units) for node, units in placed.parts)
                unit_hours = sum(units for _, units in placed.parts)
                least = placed.sign * unit_hours * placed.block.price_micro
                demands.append(Demand(weights, least, i, -1))
        accepted: list[list[tuple[int, int]]] = [[] for _ in self.layout.incomes]
        if self.layout.incomes and prices:
            for i, units in enumerate(accepted_of_rungs(self.layout, decision, net, prices)):
                rung = self.layout.rungs[i]
                if rung.income >= 0 and units:
                    accepted[rung.income].append((rung.node, units))
        for i, income in enumerate(self.layout.incomes):
            if i not in decision.refused and accepted[i]:
                units = sum(u for _, u in accepted[i])
                least = income.fixed_micro + income.price_micro * units
                demands.append(Demand(tuple(accepted[i]), least, -1, i))
        return demands


def shortfall(demand: Demand, prices: dict[int, int]) -> int:
    """How much is missing for the demand at these prices; not above zero: it is met."""
    return demand.least - sum(weight * prices[node] for node, weight in demand.weights)


def shortfall_at_best(demand: Demand, lowest: dict[int, int], highest: dict[int, int]) -> int:
    """The same at the best price for it in each place."""
    return demand.least - sum(w * (highest if w > 0 else lowest)[n] for n, w in demand.weights)


def accepted_of_rungs(
    layout: Layout, decision: Decision, net: dict[int, int], prices: dict[int, int]
) -> list[int]:
    """Units accepted of each rung at these prices."""
    units = accepted_of_steps(layout, decision, net, prices)
    return [sum(units.get(step.id, 0) for step in rung.steps) for rung in layout.rungs]


def accepted_of_steps(
    layout: Layout, decision: Decision, net: dict[int, int], prices: dict[int, int]
) -> dict[str, int]:
    """Units accepted of each step at these prices, zeros left out.

    In the money all, out of it none; at the price as much as can be traded there, shared among the
    steps of a side pro rata.
    """
    accepted: dict[str, int] = {}
    for node, rungs in enumerate(layout.rungs_at):
        if node not in prices:
            continue
        price, rest = prices[node], net[node]
        at: dict[Side, list[Step]] = {Side.SELL: [], Side.BUY: []}
        for i in rungs:
            rung = layout.rungs[i]
            if rung.income in decision.refused:
                continue
            sign = 1 if rung.side is Side.SELL else -1
            if rung.price_micro == price:
                at[rung.side] += rung.steps
            elif sign * rung.price_micro < sign * price:
                accepted.update((step.id, step.units) for step in rung.steps)
                rest -= sign * rung.units
        wanted = sum(step.units for step in at[Side.BUY])
        offered = sum(step.units for step in at[Side.SELL])
        sold = min(offered, wanted + rest)
        for side, units in ((Side.SELL, sold), (Side.BUY, sold - rest)):
            steps = sorted(at[side], key=lambda step: step.id)
            for step, given in zip(steps, share(units, [s.units for s in steps]), strict=True):
                if given:
                    accepted[step.id] = given
    return accepted


def share(units: int, wishes: Sequence[int]) -> list[int]:
    """Share whole units by wish, largest remainder first, then the earlier in the list."""
    total = sum(wishes)
    if total == 0:
        return [0] * len(wishes)
    given = [units * wish // total for wish in wishes]
    by_remainder = sorted(range(len(wishes)), key=lambda i: (-(units * wishes[i] % total), i))
    for i in by_remainder[: units - sum(given)]:
        given[i] += 1
    return given


def _around(losing: Iterable[Demand], demands: Iterable[Demand]) -> list[Demand]:
    """The losing demands and all that are tied to them by common nodes, directly or not."""
    touched = {node for d in losing for node, _ in d.weights}
    rest, found = list(demands), list[Demand]()
    while True:
        tied = [d for d in rest if any(node in touched for node, _ in d.weights)]
        if not tied:
            return found
        found += tied
        rest = [d for d in rest if d not in tied]
        touched |= {node for d in tied for node, _ in d.weights}


class _Mover:
    """Moves prices within what fits, as little as it takes, by a small linear programme."""

    def __init__(
        self,
        layout: Layout,
        cells: Sequence[Settled],
        lowest: dict[int, int],
        highest: dict[int, int],
        preferred: dict[int, int],
    ) -> None:
        self.layout, self.cells = layout, cells
        self.lowest, self.highest, self.preferred = lowest, highest, preferred
        self.seconds = 0.0  # spent inside the solver

    def move(self, demands: Sequence[Demand], flows: dict[int, int]) -> dict[int, int] | None:
        """Prices in whole micro-yuan that meet all demands, or None.

        Rounding all prices up, or all down, keeps them fitting; a margin of one micro-yuan per
        unit-hour, where there is room for one, keeps every demand met by it.
        """
        for margin in (1, 0):
            found = self._solve(demands, flows, margin)
            if found is None:
                continue
            for rounded in (np.rint(found), np.ceil(found - 1e-6), np.floor(found + 1e-6)):
                prices = dict(zip(self.preferred, map(int, rounded), strict=True))
                if self._fits(prices, flows) and all(shortfall(d, prices) <= 0 for d in demands):
                    return prices
        return None

    def _ties(self, flows: dict[int, int]) -> list[tuple[int, int, int]]:
        """(head, tail, cost): the head's price is at most the tail's and the cost."""
        ties: list[tuple[int, int, int]] = []
        total: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
        for arc, units in flows.items():
            total[self.layout.arcs[arc].limit][units < 0] += abs(units)
        for arc, units in flows.items():
            tail, head, cost, number = self.layout.arcs[arc]
            if tail not in self.preferred:
                continue
            limit = self.layout.limits[number]
            if units < 0:
                ties.append((head, tail, -cost))
            elif total[number][0] < limit.forward:
                ties.append((head, tail, cost))
            if units > 0:
                ties.append((tail, head, -cost))
            elif total[number][1] < limit.backward:
                ties.append((tail, head, cost))
        return ties

    def _fits(self, prices: dict[int, int], flows: dict[int, int]) -> bool:
        return all(
            self.lowest[n] <= price <= self.highest[n] for n, price in prices.items()
        ) and all(prices[head] <= prices[tail] + cost for head, tail, cost in self._ties(flows))

    def _solve(
        self, demands: Sequence[Demand], flows: dict[int, int], margin: int
    ) -> np.ndarray | None:
        nodes = list(self.preferred)
        column = {node: 3 * i for i, node in enumerate(nodes)}
        highs = highspy.Highs()
        highs.setOptionValue("output_flag", False)
        highs.setOptionValue("threads", 1)
        highs.setOptionValue("primal_feasibility_tolerance", 1e-9)
        none = np.zeros(0)
        for node in nodes:  # price = preferred + up - down
            low, high = self.lowest[node] / MICRO, self.highest[node] / MICRO
            highs.addCol(0.0, low, high, 0, none.astype(np.int32), none)
            for _ in range(2):
                highs.addCol(1.0, 0.0, highspy.kHighsInf, 0, none.astype(np.int32), none)

        def row(terms: dict[int, float], lower: float, upper: float) -> None:
            highs.addRow(
                lower,
                upper,
                len(terms),
                np.array(list(terms), np.int32),
                np.array([*terms.values()]),
            )

        for node in nodes:
            at = column[node]
            want = self.preferred[node] / MICRO
            row({at: 1.0, at + 1: -1.0, at + 2: 1.0}, want, want)
        for head, tail, cost in self._ties(flows):
            row({column[head]: 1.0, column[tail]: -1.0}, -highspy.kHighsInf, cost / MICRO)
        for demand in demands:
            whole = sum(abs(weight) for _, weight in demand.weights)
            least = (demand.least + margin * whole) / MICRO / whole
            row(
                {column[node]: weight / whole for node, weight in demand.weights},
                least,
                highspy.kHighsInf,
            )
        begun = time.perf_counter()
        highs.run()
        self.seconds += time.perf_counter() - begun
        if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        values = np.array(highs.getSolution().col_value)
        return values[::3] * MICRO
