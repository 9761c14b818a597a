"""The comparison as tables on a terminal and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from demo.mechanisms.day import Day
from demo.mechanisms.figures import ALL, Figures, Measured
from demo.mechanisms.options import Options
from demo.report import PLAN_UTILISATION

NAMES: Final[Mapping[str, str]] = {
    "posted": "posted price",
    "continuous": "continuous book",
    "auction": "auction, then book",
}
Cell = Callable[[Figures], str]
_ROWS: Final[Sequence[tuple[str, Cell]]] = (
    ("orders served", lambda f: f"{f.orders_served:.1%}"),
    ("unit-hours served", lambda f: f"{f.unit_hours_served:.1%}"),
    ("utilisation of the day", lambda f: _utilisation(f.utilisation)),
    ("buyers' cost, yuan", lambda f: f"{f.buyers_cost:,.0f}"),
    ("mean price, yuan per unit-hour", lambda f: _price(f.price_mean)),
    ("price p10 / p50 / p90", lambda f: _percentiles(f.price_percentiles, 2)),
    ("buyers' surplus, yuan", lambda f: f"{f.buyers_surplus:,.0f}"),
    ("sellers' surplus, yuan", lambda f: f"{f.sellers_surplus:,.0f}"),
    ("welfare, yuan", lambda f: f"{f.welfare:,.0f}"),
    ("order to delivery, h: p50 / p90 / p99", lambda f: _percentiles(f.wait_percentiles, 1)),
    ("start delayed, h: p50 / p90 / p99", lambda f: _percentiles(f.delay_percentiles, 0)),
    ("unserved by reason", lambda f: _reasons(f.unserved_by_reason)),
)


def show(day: Day, measured: Sequence[Measured], console: Console) -> None:
    """A table for all classes together, and one for each class."""
    for name in (ALL, *sorted(day.units_by_class)):
        figures = [m.by_class[name] for m in measured]
        units = sum(day.units_by_class.values()) if name == ALL else day.units_by_class[name]
        title = (
            f"{name}: {figures[0].orders:,} orders for {figures[0].unit_hours:,} unit-hours, "
            f"{units:,} units"
        )
        table = Table(title=title, title_justify="left")
        table.add_column("")
        for m in measured:
            table.add_column(NAMES[m.mechanism], justify="right")
        for label, cell in _ROWS:
            table.add_row(label, *map(cell, figures))
        console.print(table)
    for m in measured:
        notes = ", ".join(f"{key} {value}" for key, value in m.notes.items())
        console.print(f"{NAMES[m.mechanism]}: {m.seconds:.0f} s" + (f" ({notes})" if notes else ""))
    console.print(f"* at or above the plan's {PLAN_UTILISATION:.0%}")


def as_json(
    day: Day, options: Options, measured: Sequence[Measured], files: Sequence[Path]
) -> dict[str, Any]:
    """Everything that was measured and chosen; equal for equal files and options, as long as no
    auction ended for want of time.
    """
    chosen = {name: _plain(value) for name, value in asdict(options).items()}
    return {
        "files": [path.name for path in files],
        "options": chosen,
        "units_by_class": dict(sorted(day.units_by_class.items())),
        "pools": len(day.pools),
        "mechanisms": {m.mechanism: m.as_json() for m in measured},
    }


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write it, sorted."""
    path.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | str | type(None)) else str(value)


def _utilisation(share: float) -> str:
    return f"{share:.1%}" + (" *" if share >= PLAN_UTILISATION else "")


def _price(price: float | None) -> str:
    return "" if price is None else f"{price:.2f}"


def _percentiles(found: Mapping[str, float], places: int) -> str:
    return " / ".join(f"{value:.{places}f}" for value in found.values())


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
