"""`make bench`: run the rooms' contests, print a table, write `var/bench.json`.

Environment: `ONLY=room` (ledger, market) runs one room's; `QUICK=1` is a smoke run.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import cast

from exchangectl.running import ROOT, start_exchange
from tests.bench.contest import Figure, Room, Stage, decide, merged, table

RESULTS = ROOT / "var" / "bench.json"
# Each room and its modules, in the order in which they run.
ROOMS: dict[str, tuple[str, ...]] = {
    "ledger": ("ledger",),
    "market": ("market_engine", "market_auction", "market_http", "market_durable"),
}


def main() -> None:
    """Start an exchange of its own, run what was asked for, stop it."""
    only = os.environ.get("ONLY", "")
    if only and only not in ROOMS:
        sys.exit(f"ONLY={only}: the rooms are {', '.join(ROOMS)}")
    quick = os.environ.get("QUICK", "") not in ("", "0")
    exchange = start_exchange(
        Path(os.environ.get("BENCH_DATA", ROOT / "var" / "bench")),
        fresh=True,
        # What is measured is the work, not the limits by key.
        extra_env={
            "RATE_LIMIT_PER_MINUTE": "10000000",
            "RATE_LIMIT_REGISTRATIONS_PER_HOUR": "10000",
        },
        say=_say,
    )
    try:
        # Whatever a contest does in this process, it does as the exchange's own processes do.
        os.environ.update(exchange.owner_env)
        stage = Stage(exchange, quick)
        figures = [
            figure
            for room, modules in ROOMS.items()
            if only in ("", room)
            for module in modules
            for figure in _run(module, stage)
        ]
    finally:
        exchange.stop(_say)
    old = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(merged(old, figures), indent=1) + "\n")
    _say(table(figures))
    _say(f"written to {RESULTS}")


def _run(module: str, stage: Stage) -> list[Figure]:
    room = cast(Room, import_module(f"tests.bench.{module}"))
    figures = []
    for contest in room.contests(stage):
        started = time.monotonic()
        figure = decide(contest, rounds=1 if stage.quick else contest.rounds)
        figures.append(figure)
        _say(
            f"{figure.name}: {figure.value:,.1f} to {figure.reference:,.1f} {figure.unit}, "
            f"ratio {figure.ratio:.3f} ({time.monotonic() - started:.0f} s)"
        )
    return figures


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
