"""One cell settled in whole numbers: flows that lose no welfare, and all prices that fit them.

Given what blocks bring to each node, steps and links are a network flow. Prices that fit exist if
and only if no residual path is worth taking; so a search for prices either finds the lowest and the
highest of each node, or a path along which to send more. The prices that fit are closed under
minimum, maximum and, rounded down, midpoint, since each condition ties two prices by whole numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from exchange.market.auction.layout import UNBOUNDED, Cell, Curve, Layout


class _Way(NamedTuple):
    """A residual direction of an arc: `room` units more can go from tail to head at `cost`."""

    tail: int
    head: int
    cost: int
    room: int
    arc: int
    sign: int


class _Break(NamedTuple):
    """Where prices contradict each other: the ways to send more along, from node to node."""

    source: int | None  # None for a round trip
    target: int | None
    ways: list[_Way]


@dataclass(frozen=True, slots=True)
class Settled:
    """What a cell trades: net step supply by node, flow by arc, and the prices that fit."""

    net_units: dict[int, int]
    flows: dict[int, int]
    lowest: dict[int, int]
    highest: dict[int, int]
    preferred: dict[int, int] | None  # the tie rule's prices; None where nothing could trade


class CellBook:
    """The curves and limits of a cell under one set of refused incomes."""

    def __init__(self, layout: Layout, cell: Cell, refused: frozenset[int]) -> None:
        self.layout = layout
        self.cell = cell
        self.curves: dict[int, Curve] = {n: layout.curve(n, refused) for n in cell.nodes}


def settle(
    book: CellBook,
    brought: Mapping[int, int],
    flows: Sequence[int],
    others: Mapping[int, tuple[int, int]],
) -> Settled | None:
    """Settle a cell, starting from `flows` by arc; None where no flow or no price fits.

    `brought` is what blocks supply at each node, net; `others` what the arcs of other grades take
    of a limit, (forward, backward).
    """
    layout, cell = book.layout, book.cell
    flow = {arc: flows[arc] for arc in cell.arcs}
    net = {node: -brought.get(node, 0) for node in cell.nodes}
    for arc, units in flow.items():
        net[layout.arcs[arc].tail] += units
        net[layout.arcs[arc].head] -= units
    floor, ceiling = layout.problem.lowest_price_micro, layout.problem.highest_price_micro
    while True:
        bounds = {n: book.curves[n].interval(net[n]) for n in cell.nodes}
        if any(b is None for b in bounds.values()):
            return None
        known = {n: b for n, b in bounds.items() if b is not None}
        ways = _ways(layout, flow, others)
        found = _prices(known, ways, floor, ceiling)
        if not isinstance(found, _Break):
            break
        if not _send(book, net, flow, found):
            return None
    lowest, highest = found
    return Settled(net, flow, lowest, highest, _preferred(layout, cell, known, ways, found))


def _ways(
    layout: Layout, flow: Mapping[int, int], others: Mapping[int, tuple[int, int]]
) -> list[_Way]:
    ways: list[_Way] = []
    for arc, units in flow.items():
        tail, head, cost, limit = layout.arcs[arc]
        taken_forward, taken_backward = others.get(limit, (0, 0))
        forward = layout.limits[limit].forward - taken_forward
        backward = layout.limits[limit].backward - taken_backward
        # The cheap way first: what flows the other way is taken back before more is sent.
        if units < 0:
            ways.append(_Way(tail, head, -cost, -units, arc, 1))
        elif units < forward:
            ways.append(_Way(tail, head, cost, forward - units, arc, 1))
        if units > 0:
            ways.append(_Way(head, tail, -cost, units, arc, -1))
        elif -units < backward:
            ways.append(_Way(head, tail, cost, backward + units, arc, -1))
    return ways


def _prices(
    bounds: Mapping[int, tuple[int, int]], ways: list[_Way], floor: int, ceiling: int
) -> tuple[dict[int, int], dict[int, int]] | _Break:
    """The lowest and highest prices under `bounds` and floor and ceiling, or where they break."""
    highest = {n: min(high, ceiling) for n, (_, high) in bounds.items()}
    came_by: dict[int, _Way] = {}
    for turn in range(len(bounds) + 1):
        moved: _Way | None = None
        for way in ways:
            price = highest[way.tail] + way.cost
            if price < highest[way.head]:
                highest[way.head], came_by[way.head], moved = price, way, way
        if moved is None:
            break
        if turn == len(bounds):
            return _round_trip(came_by, moved, len(bounds))
    for node, (low, _) in bounds.items():
        if highest[node] < max(low, floor):
            return _trace(came_by, node)
    lowest = {n: max(low, floor) for n, (low, _) in bounds.items()}
    moving = True
    while moving:
        moving = False
        for way in ways:
            price = lowest[way.head] - way.cost
            if price > lowest[way.tail]:
                lowest[way.tail], moving = price, True
    return lowest, highest


def _trace(came_by: Mapping[int, _Way], target: int) -> _Break:
    ways: list[_Way] = []
    at = target
    while at in came_by:
        ways.append(came_by[at])
        at = came_by[at].tail
    return _Break(at, target, ways[::-1])


def _round_trip(came_by: Mapping[int, _Way], last: _Way, nodes: int) -> _Break:
    at = last.head
    for _ in range(nodes):
        at = came_by[at].tail
    ways = [came_by[at]]
    while ways[-1].tail != at:
        ways.append(came_by[ways[-1].tail])
    return _Break(None, None, ways[::-1])


def _send(book: CellBook, net: dict[int, int], flow: dict[int, int], found: _Break) -> bool:
    """Send as much as can go along the ways found; False where it is nothing."""
    room = min((way.room for way in found.ways), default=UNBOUNDED)
    if found.source is not None and found.target is not None:
        source, target = book.curves[found.source], book.curves[found.target]
        if net[found.source] >= source.sold or net[found.target] <= -target.bought:
            return False  # only the auction's own price limits contradict the steps
        room = min(
            room,
            source.room(net[found.source], more=True),
            target.room(net[found.target], more=False),
        )
        net[found.source] += room
        net[found.target] -= room
    for way in found.ways:
        flow[way.arc] += way.sign * room
    return room > 0 and bool(found.ways)


def _preferred(
    layout: Layout,
    cell: Cell,
    bounds: Mapping[int, tuple[int, int]],
    ways: list[_Way],
    widest: tuple[dict[int, int], dict[int, int]],
) -> dict[int, int] | None:
    """The midpoint of the prices that fit, within the range of the cell's orders if that can be."""
    order_range = layout.range_of[layout.cell_of[cell.nodes[0]]]
    if order_range is None:
        return None
    floor = max(order_range[0], layout.problem.lowest_price_micro)
    ceiling = min(order_range[1], layout.problem.highest_price_micro)
    found = _prices(bounds, ways, floor, ceiling)
    lowest, highest = widest if isinstance(found, _Break) else found
    return {n: (lowest[n] + highest[n]) // 2 for n in cell.nodes}
