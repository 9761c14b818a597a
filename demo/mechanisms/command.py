"""The command's options and its way: read, plan, run each mechanism, show."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from demo import traces
from demo.mechanisms import auction, book, demand, files, plots, report
from demo.mechanisms.figures import measure
from demo.mechanisms.options import Options

ROOT: Final = Path(__file__).resolve().parents[2]
_WIDTH: Final = 120
_HELP: Final[Mapping[str, tuple[type, str]]] = {
    "seed": (int, "of everything that is drawn"),
    "orders": (int, "at most so many; supply shrinks with them"),
    "load": (float, "unit-hours asked for, as a share of what the pools have in the day"),
    "regions": (int, "over which the nodes are dealt"),
    "yuan_per_usd": (Decimal, "the exchange rate"),
    "limit_median": (float, "median limit, as a multiple of the grade's mean list price"),
    "limit_spread": (float, "standard deviation of the limits' logarithm"),
    "deferrable_share": (float, "of the orders, which have a long window"),
    "deferrable_slack_slots": (int, "hours that a deferrable order may wait"),
    "slack_slots": (int, "hours that any other order may wait"),
    "green_share": (float, "of the other orders, which ask for half carbon-free power"),
    "firm_share": (float, "of each pool, at the list price; the rest is given out as spot"),
    "auction_share": (float, "of every offer, that goes to the auction first"),
    "auction_seconds": (float, "for the auction of one pool, at most"),
    "auction_gap": (float, "how far below the best welfare an auction may stay"),
}


class Differs(RuntimeError):
    """The real exchange did otherwise than the engine."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Files, what to write, and one option for each of `Options`."""
    for name, what in (("supply", "nodes or prices"), ("demand", "a trace")):
        parser.add_argument(
            f"--{name}", action="append", type=Path, required=True, help=f"{what}; repeatable"
        )
    parser.add_argument("--json", type=Path, help="write all figures there")
    parser.add_argument(
        "--through-exchange",
        type=int,
        metavar="ORDERS",
        help="also place so many orders of the demand on a real exchange (make demo's), and check "
        "that its trades are those that the engine makes of its admission log",
    )
    parser.add_argument("--plots", type=Path, help="draw SVG files into that folder")
    defaults = Options()
    for field in fields(Options):
        kind, what = _HELP[field.name]
        default = getattr(defaults, field.name)
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            type=kind,
            default=default,
            help=f"{what} ({'all' if default is None else default})",
        )


def run(given: Mapping[str, Any], console: Console) -> None:
    """The whole comparison. `TraceError` for files that cannot be used, `NoPlots`,
    `Differs`."""
    options = Options(**{field.name: given[field.name] for field in fields(Options)})
    supplied = files.read(given["supply"])
    wanted = [traces.read(path) for path in given["demand"]]
    day = demand.plan(supplied, wanted, options)
    console.print(
        f"{len(day.wanted):,} orders, {len(day.offers):,} offers of {len(day.pools):,} pools; "
        "limits are drawn, since no trace has them"
    )
    results = (
        book.run(day, waits=False),
        book.run(day, waits=True),
        auction.run(day, options),
    )
    measured = [measure(day, result) for result in results]
    report.show(day, measured, console)
    if given["json"]:
        paths = [*given["supply"], *given["demand"]]
        report.write_json(given["json"], report.as_json(day, options, measured, paths))
    if given["plots"]:
        for path in plots.draw(day, measured, given["plots"]):
            console.print(f"wrote {path}")
    orders = given["through_exchange"]
    if orders and through_exchange(given["demand"], orders):
        raise Differs("the exchange did not verify, or its trades differ from its admission logs")


def through_exchange(paths: Sequence[Path], orders: int) -> int:
    """Place the traces' orders on an exchange of the demonstration's kind; its exit status.

    Supply is the demonstration's province. Exit status 0 only where `manage.py verify` and
    `manage.py replay_admissions` are clean.
    """
    env = {
        **os.environ,
        "TRACE": ",".join(str(path.resolve()) for path in paths),
        "ORDERS": str(orders),
        "KEEP": "0",
    }
    command = [sys.executable, "-m", "demo"]
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode  # noqa: S603


def console_for(stream: Any = None) -> Console:
    """A console that is wide enough for the tables, whatever the stream."""
    console = Console(file=stream, highlight=False)
    return console if console.is_terminal else Console(file=stream, highlight=False, width=_WIDTH)
