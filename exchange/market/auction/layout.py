"""A problem laid out for computing: everything by index, sorted by id, equal steps put together.

Steps at one node, side and price (and under one minimum income) are one `Rung`, so that splitting
an order changes nothing. A `Cell` is one grade in one slot: a small network of zones of its own.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple

from exchange.market.auction.problem import Block, MinimumIncome, Node, Problem, Side, Step

UNBOUNDED: Final = 1 << 62
NO_INCOME: Final = -1


class Rung(NamedTuple):
    """All steps of one side and price at a node, and under one minimum income."""

    node: int
    side: Side
    price_micro: int
    income: int  # index into Layout.incomes, or NO_INCOME
    units: int
    steps: tuple[Step, ...]


class Arc(NamedTuple):
    """A link in a slot for one grade, from node to node; index of the shared limit it is under."""

    tail: int
    head: int
    price_micro: int
    limit: int


class Limit(NamedTuple):
    """A link's limit in a slot, shared by the arcs of all grades."""

    link: int
    slot: int
    backward: int
    forward: int


class Placed(NamedTuple):
    """A block by index: `parts` are (node, units of one lot), `sign` +1 for a seller."""

    block: Block
    sign: int
    parts: tuple[tuple[int, int], ...]
    lots: int
    least_lots: int
    parent: int  # index, or -1


@dataclass(frozen=True, slots=True)
class Cell:
    """One grade in one slot: its nodes and its arcs, by index."""

    nodes: tuple[int, ...]
    arcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """Net step supply at a node by price: between `below[i]` and `upto[i]` at `prices[i]`.

    `below` counts sellers under the price less buyers at it or above; `upto` sellers up to it less
    buyers above it. Both rise; net supply can be anything from -`bought` to `sold`.
    """

    prices: list[int]
    below: list[int]
    upto: list[int]
    sold: int
    bought: int

    def interval(self, net_units: int) -> tuple[int, int] | None:
        """The lowest and highest price at which the steps give this net supply; None: never."""
        if not -self.bought <= net_units <= self.sold:
            return None
        low, high = -UNBOUNDED, UNBOUNDED
        if net_units > -self.bought:
            low = self.prices[bisect_left(self.upto, net_units)]
        if net_units < self.sold:
            high = self.prices[bisect_right(self.below, net_units) - 1]
        return low, high

    def room(self, net_units: int, more: bool) -> int:
        """By how much net supply can rise (or fall) at its present upper (lower) price."""
        if more:
            return self.upto[bisect_right(self.below, net_units) - 1] - net_units
        return net_units - self.below[bisect_left(self.upto, net_units)]


@dataclass(frozen=True, slots=True)
class Layout:
    """See the module. Build with `lay_out`."""

    problem: Problem
    nodes: tuple[Node, ...]
    rungs: tuple[Rung, ...]
    arcs: tuple[Arc, ...]
    limits: tuple[Limit, ...]
    blocks: tuple[Placed, ...]
    incomes: tuple[MinimumIncome, ...]
    cells: tuple[Cell, ...]
    cell_of: tuple[int, ...]
    rungs_at: tuple[tuple[int, ...], ...]
    range_of: tuple[tuple[int, int] | None, ...]  # of order prices, by cell
    arcs_under: tuple[tuple[int, ...], ...]  # by limit
    _curves: dict[tuple[int, frozenset[int]], Curve] = field(default_factory=dict)

    def curve(self, node: int, refused: frozenset[int]) -> Curve:
        """The node's steps without those of the refused minimum incomes."""
        rungs = [self.rungs[i] for i in self.rungs_at[node]]
        key = node, frozenset(r.income for r in rungs) & refused
        if key not in self._curves:
            self._curves[key] = _curve([r for r in rungs if r.income not in key[1]])
        return self._curves[key]


def lay_out(problem: Problem) -> Layout:
    """The layout of a valid problem."""
    nodes = tuple(problem.nodes())
    index = {node: i for i, node in enumerate(nodes)}
    incomes = tuple(sorted(problem.minimum_incomes, key=lambda m: m.id))
    rungs = _rungs(problem.steps, index, incomes)
    blocks = _blocks(problem.blocks, index)
    limits, arcs = _arcs(problem, index)
    cells, cell_of = _cells(nodes, arcs)
    rungs_at: list[list[int]] = [[] for _ in nodes]
    for i, rung in enumerate(rungs):
        rungs_at[rung.node].append(i)
    arcs_under: list[list[int]] = [[] for _ in limits]
    for i, arc in enumerate(arcs):
        arcs_under[arc.limit].append(i)
    return Layout(
        problem=problem,
        nodes=nodes,
        rungs=rungs,
        arcs=arcs,
        limits=limits,
        blocks=blocks,
        incomes=incomes,
        cells=cells,
        cell_of=cell_of,
        rungs_at=tuple(map(tuple, rungs_at)),
        range_of=_ranges(len(cells), cell_of, rungs, blocks),
        arcs_under=tuple(map(tuple, arcs_under)),
    )


def _rungs(
    steps: Iterable[Step], index: dict[Node, int], incomes: tuple[MinimumIncome, ...]
) -> tuple[Rung, ...]:
    income_of = {step: i for i, income in enumerate(incomes) for step in income.step_ids}
    together: defaultdict[tuple[int, Side, int, int], list[Step]] = defaultdict(list)
    for step in steps:
        income = income_of.get(step.id, NO_INCOME)
        together[index[step.node], step.side, step.price_micro, income].append(step)
    return tuple(
        Rung(*key, sum(s.units for s in group), tuple(sorted(group, key=lambda s: s.id)))
        for key, group in sorted(together.items())
    )


def _blocks(blocks: Iterable[Block], index: dict[Node, int]) -> tuple[Placed, ...]:
    ordered = sorted(blocks, key=lambda b: b.id)
    place = {block.id: i for i, block in enumerate(ordered)}
    return tuple(
        Placed(
            block=block,
            sign=1 if block.side is Side.SELL else -1,
            parts=tuple(
                (index[Node(block.grade, block.zone, slot)], units // block.lots)
                for slot, units in sorted(block.units_by_slot)
            ),
            lots=block.lots,
            least_lots=block.least_lots,
            parent=-1 if block.parent is None else place[block.parent],
        )
        for block in ordered
    )


def _arcs(problem: Problem, index: dict[Node, int]) -> tuple[tuple[Limit, ...], tuple[Arc, ...]]:
    limits: list[Limit] = []
    arcs: list[Arc] = []
    for number, link in enumerate(sorted(problem.links, key=lambda k: k.id)):
        for slot, least, most in sorted(link.limits):
            if least == most == 0:
                continue
            limits.append(Limit(number, slot, -least, most))
            for grade in sorted(problem.grades):
                tail = index[Node(grade, link.from_zone, slot)]
                head = index[Node(grade, link.to_zone, slot)]
                arcs.append(Arc(tail, head, link.price_micro, len(limits) - 1))
    return tuple(limits), tuple(arcs)


def _cells(
    nodes: tuple[Node, ...], arcs: tuple[Arc, ...]
) -> tuple[tuple[Cell, ...], tuple[int, ...]]:
    """The connected parts of each grade and slot."""
    root = list(range(len(nodes)))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for arc in arcs:
        root[max(find(arc.tail), find(arc.head))] = min(find(arc.tail), find(arc.head))
    members: defaultdict[int, list[int]] = defaultdict(list)
    for i in range(len(nodes)):
        members[find(i)].append(i)
    number = {first: cell for cell, first in enumerate(sorted(members))}
    cell_of = tuple(number[find(i)] for i in range(len(nodes)))
    inside: list[list[int]] = [[] for _ in members]
    for i, arc in enumerate(arcs):
        inside[cell_of[arc.tail]].append(i)
    cells = tuple(
        Cell(tuple(members[first]), tuple(inside[cell])) for first, cell in number.items()
    )
    return cells, cell_of


def _ranges(
    cells: int, cell_of: tuple[int, ...], rungs: tuple[Rung, ...], blocks: tuple[Placed, ...]
) -> tuple[tuple[int, int] | None, ...]:
    lows, highs = [UNBOUNDED] * cells, [-UNBOUNDED] * cells

    def widen(node: int, price: int) -> None:
        cell = cell_of[node]
        lows[cell], highs[cell] = min(lows[cell], price), max(highs[cell], price)

    for rung in rungs:
        widen(rung.node, rung.price_micro)
    for placed in blocks:
        for node, _ in placed.parts:
            widen(node, placed.block.price_micro)
    return tuple(
        (low, high) if low <= high else None for low, high in zip(lows, highs, strict=True)
    )


def _curve(rungs: list[Rung]) -> Curve:
    prices = sorted({rung.price_micro for rung in rungs})
    place = {price: i for i, price in enumerate(prices)}
    sells, buys = [0] * len(prices), [0] * len(prices)
    for rung in rungs:
        (sells if rung.side is Side.SELL else buys)[place[rung.price_micro]] += rung.units
    sold, bought = sum(sells), sum(buys)
    upto, below = [], []
    for under, cheaper, here_sold, here_bought in zip(
        accumulate(sells, initial=0), accumulate(buys, initial=0), sells, buys, strict=False
    ):
        below.append(under - (bought - cheaper))
        upto.append(under + here_sold - (bought - cheaper - here_bought))
    return Curve(prices, below, upto, sold, bought)
