"""Who delivers to whom: cleared units are paired along the flows. Pure.

Within a grade and slot the auction says how much each order takes in its zone, how much each offer
gives in its own, and what each link carries. Here that becomes matches of an order with an offer
over a path of links, for as many slots in a row as it lasts: what was together in the slot before
stays together as far as both and the path still have it, the rest is met from the nearest zone.

It always comes out even: what a zone takes and sends on is what it gives and is sent, and a path
taken out of that leaves it true. So wherever units are still wanted, walking back along links that
still carry some leads to a zone that still gives some.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Party:
    """What an order takes, or an offer gives, in each slot, in its zone."""

    key: str
    grade: str
    zone: str
    units: Mapping[int, int]


class Carried(NamedTuple):
    """Units of a grade that a link carries in a slot, in the direction of the flow."""

    link: str
    tail: str
    head: str
    grade: str
    slot: int
    units: int


class Match(NamedTuple):
    """Units of an offer for an order over slots `[start, end)`; `path` runs from the offer on."""

    order: str
    offer: str
    path: tuple[str, ...]
    start: int
    end: int
    units: int


class CannotPair(ValueError):
    """What is taken, given and carried does not balance in some zone."""


_Tie = tuple[str, str, tuple[str, ...]]
"""Order, offer, path."""

_Arc = tuple[str, str, str]
"""Tail, link, head."""


def pair(orders: Iterable[Party], offers: Iterable[Party], flows: Iterable[Carried]) -> list[Match]:
    """Matches that take exactly what the orders take and the offers give, sorted.

    Equal input in whatever order gives equal output. Raises CannotPair.
    """
    wants, gives = _by_grade(orders), _by_grade(offers)
    carried: defaultdict[str, list[Carried]] = defaultdict(list)
    for flow in flows:
        carried[flow.grade].append(flow)
    matches: list[Match] = []
    for grade in sorted(wants.keys() | gives.keys()):
        matches += _Grade(wants[grade], gives[grade], carried[grade]).matches()
    return sorted(matches)


def _by_grade(parties: Iterable[Party]) -> defaultdict[str, list[Party]]:
    found: defaultdict[str, list[Party]] = defaultdict(list)
    for party in sorted(parties, key=lambda p: p.key):
        found[party.grade].append(party)
    return found


class _Grade:
    def __init__(
        self, orders: Sequence[Party], offers: Sequence[Party], flows: Sequence[Carried]
    ) -> None:
        self.orders, self.offers, self.flows = orders, offers, flows

    def matches(self) -> list[Match]:
        slots = {slot for party in (*self.orders, *self.offers) for slot in party.units}
        ties: dict[_Tie, dict[int, int]] = defaultdict(dict)
        before: dict[_Tie, int] = {}
        for slot in sorted(slots):
            before = _Slot(self, slot).meet(before)
            for tie, units in before.items():
                ties[tie][slot] = units
        return [
            Match(*tie, start, end, units)
            for tie, by_slot in ties.items()
            for start, end, units in _layers(by_slot)
        ]


class _Slot:
    def __init__(self, of: _Grade, slot: int) -> None:
        self.orders = {p.key: p for p in of.orders}
        self.wanted = {p.key: p.units.get(slot, 0) for p in of.orders}
        self.given = {p.key: p.units.get(slot, 0) for p in of.offers}
        self.givers: defaultdict[str, list[str]] = defaultdict(list)
        for party in of.offers:
            self.givers[party.zone].append(party.key)
        self.room: dict[_Arc, int] = {}
        for flow in sorted(flow for flow in of.flows if flow.slot == slot):
            self.room[flow.tail, flow.link, flow.head] = flow.units
        self.arc_of = {(link, head): (tail, link, head) for tail, link, head in self.room}
        self.into: defaultdict[str, list[_Arc]] = defaultdict(list)
        for arc in self.room:
            self.into[arc[2]].append(arc)
        self.met: dict[_Tie, int] = {}

    def meet(self, before: Mapping[_Tie, int]) -> dict[_Tie, int]:
        """All units wanted in this slot; those of the slot before stay where they were."""
        for (order, offer, path), units in before.items():
            arcs = self._arcs(order, path)
            if arcs is not None:
                self._take(order, offer, arcs, units)
        for order in self.orders:
            while self.wanted[order]:
                self._take(order, *self._nearest(order), self.wanted[order])
        if any(self.given.values()):
            raise CannotPair("more is given than taken")
        return self.met

    def _arcs(self, order: str, path: tuple[str, ...]) -> list[_Arc] | None:
        """The arcs of a path that ends where the order is; None where one of them is idle."""
        arcs: list[_Arc] = []
        at = self.orders[order].zone
        for link in reversed(path):
            arc = self.arc_of.get((link, at))
            if arc is None:
                return None
            arcs.append(arc)
            at = arc[0]
        return arcs[::-1]

    def _take(self, order: str, offer: str, arcs: Sequence[_Arc], units: int) -> None:
        units = min(units, self.wanted[order], self.given[offer], *(self.room[arc] for arc in arcs))
        if units:
            tie = (order, offer, tuple(link for _tail, link, _head in arcs))
            self.met[tie] = self.met.get(tie, 0) + units
            self.wanted[order] -= units
            self.given[offer] -= units
            for arc in arcs:
                self.room[arc] -= units

    def _nearest(self, order: str) -> tuple[str, list[_Arc]]:
        """An offer with units left in the nearest zone, and the arcs from there."""
        home = self.orders[order].zone
        way: dict[str, _Arc | None] = {home: None}
        waiting = deque([home])
        while waiting:
            zone = waiting.popleft()
            for offer in self.givers[zone]:
                if self.given[offer]:
                    return offer, _walk(way, zone)
            for arc in self.into[zone]:
                if self.room[arc] and arc[0] not in way:
                    way[arc[0]] = arc
                    waiting.append(arc[0])
        raise CannotPair(f"order {order}: {self.wanted[order]} units reach no offer")


def _walk(way: Mapping[str, _Arc | None], zone: str) -> list[_Arc]:
    arcs: list[_Arc] = []
    arc = way[zone]
    while arc is not None:
        arcs.append(arc)
        arc = way[arc[2]]
    return arcs


def _layers(by_slot: Mapping[int, int]) -> list[tuple[int, int, int]]:
    """Units by slot as runs of constant units, the long ones kept whole: the last to begin ends
    first."""
    done: list[tuple[int, int, int]] = []
    running: list[tuple[int, int]] = []  # start, units
    last = 0
    for slot, units in [*sorted(by_slot.items()), (max(by_slot) + 2, 0)]:
        if running and slot > last + 1:
            done += [(start, last + 1, layer) for start, layer in running]
            running = []
        level = sum(layer for _start, layer in running)
        while level > units:
            start, layer = running.pop()
            done.append((start, slot, min(layer, level - units)))
            if layer > level - units:
                running.append((start, layer - (level - units)))
            level = max(units, level - layer)
        if units > level:
            running.append((slot, units - level))
        last = slot
    return [
        (start, end, sum(layer[2] for layer in same))
        for (start, end), same in groupby(sorted(done), key=lambda layer: layer[:2])
    ]
