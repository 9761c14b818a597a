"""A contest: a figure and its reference, run in turns; the median of the ratios counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Protocol

from exchangectl.running import Running

ROUNDS = 5


@dataclass(frozen=True)
class Stage:
    """What a room's contests run on: a whole exchange with servers of its own."""

    exchange: Running
    quick: bool  # a smoke run: the smallest sizes, one round

    def size(self, full: int, quick: int) -> int:
        """The one of two sizes that this run is about."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Contest:
    """Two measurements that are taken in turns, each giving a rate (or a time) in `unit`.

    `name` is `room.figure`, `measure` a sentence, `better` "higher" or "lower".
    """

    name: str
    measure: str
    unit: str
    better: str
    run: Callable[[], float]
    reference: Callable[[], float]
    reference_is: str = ""
    rounds: int = ROUNDS


@dataclass(frozen=True)
class Figure:
    """The outcome: medians of value and reference, and the median of the rounds' ratios."""

    name: str
    measure: str
    value: float
    reference: float
    ratio: float
    unit: str
    better: str

    def as_json(self) -> dict[str, Any]:
        """As it stands in `var/bench.json`."""
        return asdict(self)


class Room(Protocol):
    """A module of this package that brings contests."""

    def contests(self, stage: Stage) -> Iterator[Contest]:
        """The room's contests. What a contest needs is laid out before it is yielded."""
        ...


def decide(contest: Contest, *, rounds: int) -> Figure:
    """Run the contest; in every second round the reference goes first."""
    values: list[float] = []
    references: list[float] = []
    for turn in range(rounds):
        if turn % 2:
            references.append(contest.reference())
            values.append(contest.run())
        else:
            values.append(contest.run())
            references.append(contest.reference())
    return Figure(
        name=contest.name,
        measure=contest.measure,
        value=median(values),
        reference=median(references),
        ratio=median(v / r for v, r in zip(values, references, strict=True)),
        unit=contest.unit,
        better=contest.better,
    )


def table(figures: list[Figure]) -> str:
    """The figures for people."""
    rows = [("figure", "value", "reference", "ratio", "unit")]
    rows += [
        (f.name, f"{f.value:,.1f}", f"{f.reference:,.1f}", f"{f.ratio:.3f}", f.unit)
        for f in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in (0, 4) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def merged(old: list[Mapping[str, Any]], new: list[Figure]) -> list[dict[str, Any]]:
    """The new figures, and of the old ones those of other rooms, by name."""
    fresh = {figure.name: figure.as_json() for figure in new}
    rooms = {name.partition(".")[0] for name in fresh}
    kept = {
        str(row["name"]): dict(row)
        for row in old
        if str(row["name"]).partition(".")[0] not in rooms
    }
    return [row for _, row in sorted({**kept, **fresh}.items())]
