"""A thing and its place on the trip of an order: what a thing's page is made of. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from console.cells import Cell, Fact, Table, Words

# The trip of one order, from the request to the payout.
STOPS: Final = ("order", "trade", "lease", "usage", "charge", "batch", "payout")


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of the trip: where it leads, and how many things stand there."""

    kind: str
    href: str
    count: int | None
    is_here: bool


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing, shown: its facts, its tables and its links up and down the trip."""

    kind: str
    id: UUID
    title: Words
    state: Cell | None
    facts: list[Fact]
    tables: list[Table] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)


def stops(here: str, links: Mapping[str, tuple[str, int | None]]) -> list[Stop]:
    """All stops in order; ``links`` gives the address and the count of those that are known."""
    found = []
    for kind in STOPS:
        href, count = links.get(kind, ("", None))
        found.append(Stop(kind, "" if kind == here else href, count, kind == here))
    return found
