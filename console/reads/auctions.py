"""One auction as its page shows it: prices, curves of a node, flows, blocks, method."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q

from console import network
from console.curve import CurveChart, curve_chart
from core.slots import slot_start_at
from exchange.market.day_ahead.models import Auction, AuctionState, EntryState
from exchange.market.day_ahead.outcome import (
    BlockPoint,
    FlowPoint,
    Outcome,
    PricePoint,
    curves,
    outcome,
)
from exchange.topology.models import Region

BLOCKS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A zone's prices by hour; None where nothing could trade."""

    zone: Region | None
    code: str
    cells: list[PricePoint | None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the page shows of a result."""

    said: Mapping[str, Any]
    gap_percent: float
    grades: list[str]
    grade: str
    hours: list[datetime]
    rows: list[PriceRow]
    node: PricePoint | None
    node_at: datetime | None
    curve: CurveChart | None
    diagram: network.Diagram
    lines: list[network.Line]
    names: dict[str, Region]
    blocks: list[BlockPoint]
    blocks_left_out: int


def entered(auction: Auction) -> dict[str, int]:
    """How many orders and offers take part."""
    counts: dict[str, int] = auction.entries.exclude(state=EntryState.CANCELLED).aggregate(
        orders=Count("id", filter=Q(side="buy")), offers=Count("id", filter=Q(side="sell"))
    )
    return counts


def answer(auction: Auction, wanted: Mapping[str, str]) -> Answer | None:
    """The result, with the node that ``grade``, ``zone`` and ``slot`` choose; None before it."""
    if auction.state not in (AuctionState.CLEARED, AuctionState.PUBLISHED):
        return None
    problem, said = auction.problem.document, auction.result.certificate
    public = outcome(problem, said)
    names = {region.code: region for region in Region.objects.filter(code__in=problem["zones"])}
    grades = sorted({point.grade for point in public.prices})
    grade = wanted.get("grade", "")
    if grade not in grades:
        grade = max(grades, key=lambda g: (_volume(public, g), g), default="")
    of_grade = [point for point in public.prices if point.grade == grade]
    node = _node(of_grade, wanted)
    lines = _lines(public.flows)
    return Answer(
        said=said,
        gap_percent=said["gap"] * 100,
        grades=grades,
        grade=grade,
        hours=[slot_start_at(slot) for slot in range(auction.first_slot, auction.end_slot)],
        rows=_rows(auction, of_grade, names),
        node=node,
        node_at=None if node is None else slot_start_at(node.slot),
        curve=None if node is None else _curve(problem, said, node),
        diagram=network.diagram(_zones(public, names), lines),
        lines=lines,
        names=names,
        blocks=list(public.blocks[:BLOCKS_SHOWN]),
        blocks_left_out=max(len(public.blocks) - BLOCKS_SHOWN, 0),
    )


def _volume(public: Outcome, grade: str) -> int:
    return sum(point.bought_units for point in public.prices if point.grade == grade)


def _node(points: list[PricePoint], wanted: Mapping[str, str]) -> PricePoint | None:
    """The node asked for, else the one with the most units."""
    asked = (wanted.get("zone", ""), wanted.get("slot", ""))
    found = next((p for p in points if (p.zone, str(p.slot)) == asked), None)
    return found or max(points, key=lambda p: (p.bought_units, -p.slot, p.zone), default=None)


def _rows(
    auction: Auction, points: list[PricePoint], names: Mapping[str, Region]
) -> list[PriceRow]:
    by_zone: defaultdict[str, dict[int, PricePoint]] = defaultdict(dict)
    for point in points:
        by_zone[point.zone][point.slot] = point
    slots = range(auction.first_slot, auction.end_slot)
    return [
        PriceRow(names.get(zone), zone, [by_zone[zone].get(slot) for slot in slots])
        for zone in sorted(by_zone)
    ]


def _curve(problem: Mapping[str, Any], said: Mapping[str, Any], node: PricePoint) -> CurveChart:
    found = curves(problem, said, (node.grade, node.zone, node.slot))
    return curve_chart(found.demand, found.supply, price_micro=found.price_micro, units=found.units)


def _lines(flows: tuple[FlowPoint, ...]) -> list[network.Line]:
    units: defaultdict[tuple[str, str], int] = defaultdict(int)
    rent: defaultdict[tuple[str, str], int] = defaultdict(int)
    full: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for flow in flows:
        way = (flow.from_zone, flow.to_zone)
        units[way] += flow.units
        rent[way] += flow.rent_micro
        if flow.is_full:
            full[way].add(flow.slot)
    return [
        network.Line(tail, head, units[tail, head], len(full[tail, head]), rent[tail, head])
        for tail, head in sorted(units, key=lambda way: (-units[way], way))
    ]


def _zones(public: Outcome, names: Mapping[str, Region]) -> list[network.Zone]:
    net: defaultdict[str, int] = defaultdict(int)
    for point in public.prices:
        net[point.zone] += point.sold_units - point.bought_units
    return [
        network.Zone(
            code,
            code,
            float(region.longitude or 0),
            float(region.latitude or 0),
            net[code],
        )
        for code, region in sorted(names.items())
    ]
