"""The flows of an auction on a map of its zones. Pure; the template draws it.

Zones lie by longitude and latitude; a line is as wide as what it carries, and marked where it was
full in any hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 900.0
HEIGHT: Final = 460.0
MARGIN: Final = 70.0
WIDEST: Final = 14.0
CIRCLE: Final = 7.0


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone, where it lies, and its net position: sold less bought, in unit-hours."""

    code: str
    name: str
    longitude: float
    latitude: float
    net: int


@dataclass(frozen=True, slots=True)
class Line:
    """What a link carried in one direction: unit-hours, in how many hours it was full, its rent."""

    tail: str
    head: str
    unit_hours: int
    full_hours: int
    rent_micro: int


@dataclass(frozen=True, slots=True)
class Dot:
    """A zone's circle and label."""

    zone: Zone
    x: float
    y: float
    label_y: float
    look: str


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line from tail to head; the arrow's head is a triangle of its own in the middle."""

    line: Line
    x1: float
    y1: float
    x2: float
    y2: float
    width: float
    arrow: str
    is_full: bool


@dataclass(frozen=True, slots=True)
class Diagram:
    """Everything that the template draws."""

    width: float
    height: float
    dots: list[Dot]
    strokes: list[Stroke]


def diagram(zones: Sequence[Zone], lines: Iterable[Line]) -> Diagram:
    """Lay zones and lines out, the wider lines below."""
    dots = {zone.code: _dot(zone, zones) for zone in zones}
    ranked = sorted(lines, key=lambda line: (-line.unit_hours, line.tail, line.head))
    most = max((line.unit_hours for line in ranked), default=1)
    strokes = [
        _stroke(line, dots[line.tail], dots[line.head], most)
        for line in ranked
        if line.tail in dots and line.head in dots
    ]
    return Diagram(WIDTH, HEIGHT, list(dots.values()), strokes)


def _dot(zone: Zone, zones: Sequence[Zone]) -> Dot:
    x = _place(zone.longitude, [z.longitude for z in zones], MARGIN, WIDTH - MARGIN)
    y = _place(-zone.latitude, [-z.latitude for z in zones], MARGIN / 2, HEIGHT - MARGIN / 2)
    look = "gives" if zone.net > 0 else "takes" if zone.net < 0 else "even"
    return Dot(zone, x, y, round(y - CIRCLE - 8, 1), look)


def _place(value: float, among: Sequence[float], low: float, high: float) -> float:
    least, most = min(among), max(among)
    if most == least:
        return round((low + high) / 2, 1)
    return round(low + (high - low) * (value - least) / (most - least), 1)


def _stroke(line: Line, tail: Dot, head: Dot, most: int) -> Stroke:
    width = round(max(WIDEST * line.unit_hours / most, 1.5), 2)
    dx, dy = head.x - tail.x, head.y - tail.y
    length = max((dx * dx + dy * dy) ** 0.5, 1.0)
    ux, uy = dx / length, dy / length
    size = width / 2 + 6
    mx, my = tail.x + dx * 0.55, tail.y + dy * 0.55
    points = [
        (mx + ux * size, my + uy * size),
        (mx - ux * size - uy * size, my - uy * size + ux * size),
        (mx - ux * size + uy * size, my - uy * size - ux * size),
    ]
    return Stroke(
        line=line,
        x1=tail.x,
        y1=tail.y,
        x2=head.x,
        y2=head.y,
        width=width,
        arrow=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
        is_full=line.full_hours > 0,
    )
