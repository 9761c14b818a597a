"""Readers of supply files: nodes that say how much there is, and prices that say where and at what.

What a file is, is told by its columns. Files may be gzipped.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from demo.traces import TraceError, opened

VCPUS_PER_UNIT: Final = 8
CPU: Final = "cpu"  # the model of a node without cards
HPC: Final = "hpc"  # the model of a supercomputer's node
# Machine types of the catalogue that stand for a unit without cards.
_MACHINES: Final = {"n2-standard-8": CPU, "c2d-highcpu-56": HPC}
# Names of cards in the catalogue and (a word of them) in the list of offers, and our models.
_ACCELERATORS: Final = {"a100": "A100", "a100-80gb": "A100-80GB", "h100-80gb": "H100", "l4": "L4"}
_CARD_WORDS: Final = (
    ("A800", "A100-80GB"),
    ("A100 80GB", "A100-80GB"),
    ("A100", "A100"),
    ("H100", "H100"),
    ("V100", "V100"),
    ("L40", ""),  # not an L4
    ("L4", "L4"),
    ("A10", "A10"),
    ("T4", "T4"),
)
# Models of node lists that are priced as another one: the same chip under another name, or, where
# no list quotes it (P100) or its maker does not disclose it (the rest), one thought to be near.
PRICED_AS: Final[Mapping[str, str]] = {
    "V100M16": "V100",
    "V100M32": "V100",
    "A100-SXM4-80GB": "A100-80GB",
    "A800-SXM4-80GB": "A100-80GB",
    "H800": "H100",
    "P100": "V100",
    "G2": "A10",
    "G3": "A100",
    "GPU-series-1": "A10",
    "GPU-series-2": "A100",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A machine: `units` cards of a model, or units of 8 vCPUs where it has none."""

    model: str
    units: int


@dataclass(frozen=True, slots=True)
class Quote:
    """Price of a unit-hour in US dollars, firm and spot; `region` empty: anywhere."""

    model: str
    region: str
    usd: float
    usd_spot: float | None


@dataclass
class Files:
    """Everything that the files say, in their order."""

    nodes: list[Node] = field(default_factory=list)
    quotes: list[Quote] = field(default_factory=list)
    green: dict[str, float] = field(default_factory=dict)  # share of carbon-free power by region

    @property
    def regions(self) -> list[str]:
        """Regions that quote every card that any region quotes, by name."""
        models: dict[str, set[str]] = defaultdict(set)
        for quote in self.quotes:
            if quote.region:
                models[quote.region].add(quote.model)
        most = max(map(len, models.values()), default=0)
        return sorted(region for region, known in models.items() if len(known) == most)


Row = Mapping[str, str]


def read(paths: Sequence[Path]) -> Files:
    """All supply files together. `TraceError` where one cannot be read or is of no known kind."""
    files = Files()
    for path in paths:
        with opened(path) as text:
            rows = csv.DictReader(text)
            columns = set(rows.fieldnames or ())
            try:
                _read(path, columns, list(rows), files)
            except TraceError:
                raise
            except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
                raise TraceError(f"{path}: {error!r}") from error
    return files


def _read(path: Path, columns: set[str], rows: list[Row], files: Files) -> None:
    if {"sn", "cpu_milli", "gpu", "model"} <= columns:
        files.nodes += map(_openb_node, rows)
    elif {"gpu_model", "gpu_capacity_num"} <= columns:
        files.nodes += [Node(row["gpu_model"], int(row["gpu_capacity_num"])) for row in rows]
    elif {"machine_type", "region", "usd_hour", "cfe_2024"} <= columns:
        files.quotes += _catalogue(rows)
        files.green |= {row["region"]: float(row["cfe_2024"]) for row in rows if row["cfe_2024"]}
    elif {"gpu_model", "is_spot", "usd_gpu_hour"} <= columns:
        files.quotes += _offers(rows)
    else:
        raise TraceError(
            f"{path} is no known supply file: its columns are {', '.join(sorted(columns))}"
        )


def _openb_node(row: Row) -> Node:
    cards = int(row["gpu"])
    if cards:
        return Node(row["model"], cards)
    return Node(CPU, int(row["cpu_milli"]) // 1000 // VCPUS_PER_UNIT)


def _catalogue(rows: Iterable[Row]) -> list[Quote]:
    """The cheapest quote of a unit in each region."""
    best: dict[tuple[str, str], Quote] = {}
    for row in rows:
        model = _ACCELERATORS.get(row["accelerator"]) or _MACHINES.get(row["machine_type"])
        if model is None or not row["usd_hour"]:
            continue
        units = float(row["accelerator_count"] or 1)
        spot = float(row["usd_hour_spot"]) / units if row["usd_hour_spot"] else None
        quote = Quote(model, row["region"], float(row["usd_hour"]) / units, spot)
        known = best.get((model, row["region"]))
        if quote.usd > 0 and (known is None or quote.usd < known.usd):
            best[model, row["region"]] = quote
    return list(best.values())


def _offers(rows: Iterable[Row]) -> list[Quote]:
    """The medians of what providers ask for a card, firm and spot."""
    asked: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for row in rows:
        model = next((m for word, m in _CARD_WORDS if word in row["gpu_model"]), "")
        if model:
            asked[model, row["is_spot"] == "1"].append(float(row["usd_gpu_hour"]))
    return [
        Quote(model, "", median(prices), median(asked[model, True]) if asked[model, True] else None)
        for (model, is_spot), prices in sorted(asked.items())
        if not is_spot
    ]
