"""Readers of real demand traces, and of the neutral CSV of `docs/demo.md`.

A trace says when somebody wanted how much for how long; none of those known here says at what
price. Files may be gzipped. What a file is, is told by its columns; three of the public samples
share theirs, so that for them the name decides.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from math import ceil, isfinite
from pathlib import Path
from typing import IO, Final

from demo.scenario import CLASSES

NEUTRAL_COLUMNS: Final = ("arrival_s", "duration_s", "units", "resource_class")
VCPUS_PER_UNIT: Final = 8
TOKENS_PER_UNIT: Final = 1000
_GAIA_COLUMNS: Final = ("arrival_time", "length", "cpus")
# The samples of GAIA: what the name of each file contains, and the class that it stands for.
_GAIA_CLASSES: Final = {"pai": "intelligent", "azure": "general", "mustang": "super"}
# Cards of the openb cluster and the nearest cards of the scenario. G2 and G3 are undisclosed.
OPENB_GRADES: Final[Mapping[str, tuple[str, ...]]] = {
    "V100M16": ("intelligent.v100-32g.1",),
    "V100M32": ("intelligent.v100-32g.1",),
    "P100": ("intelligent.v100-32g.1", "intelligent.iluvatar-bi-v100.1"),
    "T4": ("intelligent.kunlun-r200.1", "intelligent.enflame-t20.1"),
    "A10": ("intelligent.l40s-48g.1", "intelligent.mlu370-x8.1"),
}


class TraceError(ValueError):
    """A trace that cannot be read; the message names the file, the line and what is wrong."""


@dataclass(frozen=True, slots=True)
class Task:
    """Somebody wanted `units` for `duration_s` from `arrival_s` (seconds from any origin)."""

    arrival_s: float
    duration_s: float
    units: int
    resource_class: str
    grades: tuple[str, ...] = ()  # empty: any of the class
    limit_price_per_unit_hour: Decimal | None = None  # None: to be drawn
    models: tuple[str, ...] | None = None  # accepted, as the trace names them; (): any of the class


def read(path: Path) -> list[Task]:
    """All tasks of a trace, in order of arrival.

    `TraceError` where the columns are unknown, a row is bad or nothing is left.
    """
    with opened(path) as file:
        rows = csv.DictReader(file)
        columns = tuple(rows.fieldnames or ())
        reader = _reader_for(path, columns)
        tasks = list(_each(path, rows, reader))
    if not tasks:
        raise TraceError(f"{path} holds no task")
    return sorted(tasks, key=lambda task: task.arrival_s)


RowReader = Callable[[Mapping[str, str]], Task | None]


def _reader_for(path: Path, columns: tuple[str, ...]) -> RowReader:
    if set(NEUTRAL_COLUMNS) <= set(columns):
        return _neutral
    if columns == _GAIA_COLUMNS:
        for word, resource_class in _GAIA_CLASSES.items():
            if word in path.name:
                return lambda row: _gaia(row, resource_class)
        raise TraceError(
            f"{path} has the columns of GAIA's samples, but its name says none of "
            f"{', '.join(_GAIA_CLASSES)}: rename it, or write the neutral CSV of docs/demo.md"
        )
    if {"gpu_spec", "num_gpu", "creation_time"} <= set(columns):
        return _openb
    if {"TIMESTAMP", "ContextTokens", "GeneratedTokens"} <= set(columns):
        return _llm_requests
    raise TraceError(
        f"{path} has unknown columns ({', '.join(columns) or 'none'}); "
        f"a neutral CSV has {', '.join(NEUTRAL_COLUMNS)}"
    )


def _each(path: Path, rows: Iterable[Mapping[str, str]], reader: RowReader) -> Iterator[Task]:
    """The tasks of all rows, leaving out those that the reader passes over with None."""
    for line, row in enumerate(rows, start=2):
        try:
            task = reader(row)
        except (ValueError, TypeError, KeyError, InvalidOperation) as error:
            raise TraceError(f"{path} line {line}: {error}") from error
        if task is None:
            continue
        problem = _problem_with(task)
        if problem:
            raise TraceError(f"{path} line {line}: {problem}")
        yield task


def _problem_with(task: Task) -> str | None:
    if not (isfinite(task.arrival_s) and isfinite(task.duration_s)):
        return "times must be finite numbers"
    if task.duration_s <= 0 or task.units <= 0:
        return "duration and units must be above zero"
    if task.resource_class not in CLASSES:
        return f"resource_class must be one of {', '.join(CLASSES)}"
    limit = task.limit_price_per_unit_hour
    if limit is not None and not (limit.is_finite() and limit > 0):
        return "limit_price_per_unit_hour must be above zero"
    return None


def _neutral(row: Mapping[str, str]) -> Task:
    limit = row.get("limit_price_per_unit_hour") or ""
    return Task(
        arrival_s=float(row["arrival_s"]),
        duration_s=float(row["duration_s"]),
        units=int(row["units"]),
        resource_class=row["resource_class"],
        grades=tuple(grade for grade in (row.get("grades") or "").split("|") if grade),
        limit_price_per_unit_hour=Decimal(limit) if limit else None,
    )


def _gaia(row: Mapping[str, str], resource_class: str) -> Task:
    """Times in hours. `cpus` are accelerators (pai), vCPUs (azure) or nodes (mustang)."""
    asked = float(row["cpus"])
    per_unit = VCPUS_PER_UNIT if resource_class == "general" else 1
    return Task(
        arrival_s=float(row["arrival_time"]) * 3600,
        duration_s=float(row["length"]) * 3600,
        units=ceil(asked / per_unit),
        resource_class=resource_class,
    )


def _openb(row: Mapping[str, str]) -> Task | None:
    """A pod. One that was never scheduled has no duration and is left out.

    A share of a card counts as a whole one, since a unit is a whole card; a pod without cards
    is general compute by its processors.
    """
    if not row["scheduled_time"]:
        return None
    arrival_s = float(row["creation_time"])
    duration_s = float(row["deletion_time"]) - float(row["scheduled_time"])
    if duration_s <= 0:
        return None
    cards = int(row["num_gpu"])
    if cards == 0:
        units = max(1, ceil(int(row["cpu_milli"]) / 1000 / VCPUS_PER_UNIT))
        return Task(arrival_s, duration_s, units, "general")
    models = tuple(dict.fromkeys(model for model in row["gpu_spec"].split("|") if model))
    grades = {grade: None for model in models for grade in OPENB_GRADES.get(model, ())}
    return Task(arrival_s, duration_s, cards, "intelligent", tuple(grades), models=models)


def _llm_requests(row: Mapping[str, str]) -> Task:
    """A request to a language model at the edge: an hour of one unit for each 1,000 tokens.

    Only the pattern of arrivals and the spread of sizes are real: requests last seconds.
    """
    second = row["TIMESTAMP"][:26]  # seven decimals are one more than Python reads
    arrival_s = datetime.fromisoformat(second + "+00:00").timestamp()
    tokens = int(row["ContextTokens"]) + int(row["GeneratedTokens"])
    return Task(arrival_s, 3600.0, max(1, ceil(tokens / TOKENS_PER_UNIT)), "edge")


@contextmanager
def opened(path: Path) -> Iterator[IO[str]]:
    """The text of a file, gzipped or not; `TraceError` where it cannot be read."""
    try:
        with path.open("rb") as probe:
            zipped = probe.read(2) == b"\x1f\x8b"
        opener = gzip.open if zipped else open
        with opener(path, "rt", encoding="utf-8", newline="") as file:  # type: ignore[operator]
            yield file
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path} cannot be read: {error}") from error
