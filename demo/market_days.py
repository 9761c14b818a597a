"""Days of a published day-ahead electricity market as auction problems, with their answers.

Reads gzip CSV files of the kinds named in `docs/auction.md` out of any folder, whatever the days in
their names. Energy comes in MWh and euros: here a unit is 0.001 MWh and money whole micro-euros.
Zones are those that have orders; flows to all others are given, as published.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Final

from exchange.market.auction.problem import Block, FlowLimit, Link, Problem, Side, Step

UNITS_PER_MWH: Final = 1000
MICRO: Final = 1_000_000
GRADE: Final = "energy"
LOWEST, HIGHEST = -500 * MICRO, 4000 * MICRO
_SIDES: Final = {"demand": Side.BUY, "supply": Side.SELL}
_KINDS: Final = (
    "simple_bid_curves",
    "bid_curves",
    "block_orders",
    "transfer_capacities",
    "published_exchanges",
    "published_prices",
)

Place = tuple[str, int]
"""Zone and slot."""
Curve = Mapping[tuple[Place, Side, int], int]
"""Units by place, side and price."""


@dataclass(slots=True)
class MarketDay:
    """One day: `folded` has the accepted blocks in it as published, `simple` has none."""

    date: str
    folded: Counter[tuple[Place, Side, int]] = field(default_factory=Counter)
    simple: Counter[tuple[Place, Side, int]] = field(default_factory=Counter)
    blocks: dict[str, Block] = field(default_factory=dict)
    status: dict[str, str] = field(default_factory=dict)  # published: ACC, REJ or PREJ
    limits: dict[tuple[str, str], list[FlowLimit]] = field(default_factory=dict)
    exports: Counter[Place] = field(default_factory=Counter)
    prices: dict[Place, int] = field(default_factory=dict)

    @property
    def zones(self) -> tuple[str, ...]:
        """The zones that have orders."""
        return tuple(sorted({zone for (zone, _), _, _ in self.simple}))

    @property
    def slots(self) -> tuple[int, ...]:
        """The hours of the day, by the market's own count."""
        return tuple(sorted({slot for (_, slot), _, _ in self.simple}))

    def problem(
        self,
        curve: Curve,
        blocks: Iterable[Block] = (),
        *,
        limits_times: float | None = 1.0,
        supply_times: float = 1.0,
    ) -> Problem:
        """The day's auction. Without a factor for limits, links carry whatever is asked of them."""
        steps = [
            Step(
                f"{zone} {slot} {side} {price}",
                side,
                GRADE,
                zone,
                slot,
                price,
                round(units * (supply_times if side is Side.SELL else 1)),
            )
            for ((zone, slot), side, price), units in curve.items()
        ]
        for (zone, slot), units in self.exports.items():
            if zone in self.zones and units:
                side, price = (Side.BUY, HIGHEST) if units > 0 else (Side.SELL, LOWEST)
                steps.append(
                    Step(f"{zone} {slot} abroad", side, GRADE, zone, slot, price, abs(units))
                )
        return Problem(
            zones=self.zones,
            grades=(GRADE,),
            slots=self.slots,
            steps=tuple(steps),
            blocks=tuple(blocks),
            links=tuple(self._links(limits_times)),
            lowest_price_micro=LOWEST,
            highest_price_micro=HIGHEST,
        )

    def _links(self, times: float | None) -> Iterator[Link]:
        for (start, end), limits in sorted(self.limits.items()):
            if start in self.zones and end in self.zones:
                scaled = tuple(
                    FlowLimit(slot, -(10**9), 10**9)
                    if times is None
                    else FlowLimit(slot, round(least * times), round(most * times))
                    for slot, least, most in limits
                )
                yield Link(f"{start}-{end}", start, end, 0, scaled)


def read_days(folder: Path) -> list[MarketDay]:
    """All days in a folder. Raises FileNotFoundError naming the kind of file that is missing."""
    files = {kind: _files(folder, kind) for kind in _KINDS}
    days: defaultdict[str, MarketDay] = defaultdict(lambda: MarketDay(""))
    for kind, paths in files.items():
        for path in paths:
            for row in _rows(path):
                day = days[row["delivery_day"]]
                day.date = row["delivery_day"]
                _take(kind, day, row, int(row["period"]))
    return [days[date] for date in sorted(days)]


def _take(kind: str, day: MarketDay, row: Mapping[str, str], slot: int) -> None:
    if kind == "transfer_capacities":
        limits = day.limits.setdefault((row["from_zone"], row["to_zone"]), [])
        limits.append(FlowLimit(slot, _units(row["min_flow_mwh"]), _units(row["max_flow_mwh"])))
        return
    place = row["zone"], slot
    if kind == "published_exchanges":
        day.exports[place] += _units(row["exchange_mwh"])
    elif kind == "published_prices":
        day.prices[place] = _micro(row["price_eur_per_mwh"])
    elif kind == "block_orders":
        _take_block(day, row, slot)
    else:
        curve = day.simple if kind == "simple_bid_curves" else day.folded
        units = _units(row["quantity_mwh"])
        if units:
            curve[place, _SIDES[row["side"]], _micro(row["price_eur_per_mwh"])] += units


def _take_block(day: MarketDay, row: Mapping[str, str], slot: int) -> None:
    id_ = row["block_id"]
    earlier = day.blocks[id_].units_by_slot if id_ in day.blocks else ()
    day.blocks[id_] = Block(
        id_,
        _SIDES[row["side"]],
        GRADE,
        row["zone"],
        _micro(row["price_eur_per_mwh"]),
        (*earlier, (slot, _units(row["quantity_mwh"]))),
    )
    day.status[id_] = row["published_status"]


def _files(folder: Path, kind: str) -> list[Path]:
    """Files of a kind; `bid_curves` is not `simple_bid_curves`."""
    found = sorted(
        path
        for path in folder.glob(f"*{kind}.csv.gz")
        if kind != "bid_curves" or not path.name.endswith("simple_bid_curves.csv.gz")
    )
    if not found:
        raise FileNotFoundError(f"{folder} has no file …{kind}.csv.gz")
    return found


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)


def _units(mwh: str) -> int:
    return round(Decimal(mwh) * UNITS_PER_MWH)


def _micro(euros: str) -> int:
    return round(Decimal(euros) * MICRO)
