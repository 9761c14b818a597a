"""`make auction-oracle DATA=folder`: the auction's engine against a market that was published.

First with the blocks as published: every published price must lie between what one hundredth of a
MWh less and more is worth, by the engine's prices; three engines made wrong on purpose must not
pass. Then blind: the engine decides the blocks itself. Writes `var/auction-oracle.json`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from demo.market_days import GRADE, UNITS_PER_MWH, MarketDay, read_days
from exchange.market.auction.certificate import certificate
from exchange.market.auction.checker import check
from exchange.market.auction.clearing import clear
from exchange.market.auction.layout import lay_out
from exchange.market.auction.problem import Node, Problem
from exchange.market.auction.relaxation import MICRO, Decision, Model
from exchange.market.auction.result import Result
from exchange.market.auction.search import Search
from exchange.market.auction.settling import CellBook, settle

GAP: Final = 1e-7  # demand at any price is most of the welfare, so this is little money
NUDGE_UNITS: Final = UNITS_PER_MWH // 100
WRONG: Final[Mapping[str, Mapping[str, Any]]] = {
    "no_internal_limits": {"limits_times": None},
    "limits_0_9": {"limits_times": 0.9},
    "supply_plus_0_1_percent": {"supply_times": 1.001},
}


@dataclass(slots=True)
class Blind:
    """What came of deciding the blocks without the answer."""

    blocks: int = 0
    right: int = 0
    prej: int = 0
    prej_right: int = 0
    losses: int = 0
    welfare: float = 0.0
    published_welfare: float = 0.0
    seconds: list[float] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


def bracketed(problem: Problem, published: Mapping[tuple[str, int], int]) -> int:
    """How many published prices lie between those with a little more and a little less supply.

    The little is one hundredth of a MWh at every balance at once: what is published is rounded.
    """
    layout = lay_out(problem)
    model = Model(layout)
    flows, _ = model.flows_of(model.decide(Decision(())).values)
    right = 0
    for cell in layout.cells:
        book = CellBook(layout, cell, frozenset())
        more = settle(book, dict.fromkeys(cell.nodes, NUDGE_UNITS), flows, {})
        less = settle(book, dict.fromkeys(cell.nodes, -NUDGE_UNITS), flows, {})
        if more is None or less is None:
            continue
        for node in cell.nodes:
            place = layout.nodes[node].zone, layout.nodes[node].slot
            right += more.highest[node] <= published[place] <= less.lowest[node]
    return right


def decide_blind(day: MarketDay, seen: Blind) -> Result:
    """Clear the day with its blocks undecided, and compare."""
    problem = day.problem(day.simple, day.blocks.values())
    begun = time.perf_counter()
    result = clear(problem, time_limit_s=120, gap=GAP)
    seen.seconds.append(time.perf_counter() - begun)
    seen.findings += [
        f"{day.date} {finding}" for finding in check(problem.as_json(), certificate(result))
    ]
    layout = lay_out(problem)
    as_published = tuple(
        placed.lots if day.status[placed.block.id] == "ACC" else 0 for placed in layout.blocks
    )
    # Where a block was awarded in part, taking it whole leaves somebody at a loss: out with it.
    judge = Search(layout, seconds=60, gap=GAP)
    _, (_, published) = judge.improver.repair(Decision(as_published))
    seen.welfare += result.objective_micro / MICRO
    seen.published_welfare += published
    seen.blocks += len(result.blocks)
    for block in result.blocks:
        status = day.status[block.id]
        right = (block.lots > 0) == (status == "ACC")
        seen.right += right
        seen.prej += status == "PREJ"
        seen.prej_right += right and status == "PREJ"
        seen.losses += block.surplus_micro < 0
        if not right:
            seen.differences.append(_difference(day, result, block.id))
    return result


def _difference(day: MarketDay, result: Result, id_: str) -> str:
    """One block that is not as published, with its gain per MWh by our prices and by theirs."""
    block = day.blocks[id_]
    answer = next(b for b in result.blocks if b.id == id_)
    sign = 1 if block.side == "sell" else -1

    def gain(prices: Iterator[int]) -> float:
        units = (u for _, u in block.units_by_slot)
        total = sum(u * (p - block.price_micro) for u, p in zip(units, prices, strict=True))
        return sign * total / block.unit_hours / MICRO

    slots = [slot for slot, _ in block.units_by_slot]
    ours = gain(result.prices_micro[Node(GRADE, block.zone, slot)] for slot in slots)
    theirs = gain(day.prices[block.zone, slot] for slot in slots)
    return (
        f"{day.date} {id_} {block.side} {block.unit_hours / UNITS_PER_MWH:,.1f} MWh: published "
        f"{day.status[id_]}, here {'accepted' if answer.lots else answer.reason}; gains per MWh "
        f"{ours:+.3f} by our prices, {theirs:+.3f} by the published ones"
    )


def run(days: list[MarketDay], *, say: Any = print) -> dict[str, Any]:
    """All figures of the oracle."""
    hours = sum(len(day.zones) * len(day.slots) for day in days)
    right = 0
    wrong = dict.fromkeys(WRONG, 0)
    seen = Blind()
    for day in days:
        right += bracketed(day.problem(day.folded), day.prices)
        for name, change in WRONG.items():
            wrong[name] += bracketed(day.problem(day.folded, **change), day.prices)
        result = decide_blind(day, seen)
        say(f"{day.date}: {result.method}, gap {result.gap:.2e}, {seen.seconds[-1]:.2f} s")
    for line in seen.differences + seen.findings:
        say(line)
    return {
        "zone_hours": hours,
        "bracketed": right,
        "wrong_engines": wrong,
        "blocks": seen.blocks,
        "blocks_right": seen.right,
        "prej": seen.prej,
        "prej_right": seen.prej_right,
        "accepted_at_a_loss": seen.losses,
        "welfare_over_published": seen.welfare / seen.published_welfare,
        "seconds_per_day_p50": round(median(seen.seconds), 3),
        "seconds_per_day_max": round(max(seen.seconds), 3),
    }


def main() -> int:
    """Run on the folder that DATA names; 2 where it lacks a file."""
    folder = Path(os.environ.get("DATA") or os.environ.get("EXCHANGE_DATA") or ".")
    try:
        days = read_days(folder)
    except FileNotFoundError as missing:
        sys.stderr.write(f"{missing}\n")
        return 2
    figures = run(days)
    target = Path("var/auction-oracle.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
