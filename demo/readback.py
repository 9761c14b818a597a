"""What is read back from the API when the day is over."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from demo.client import Api
from demo.clockwork import DayClock
from demo.demand import HOURS
from demo.orders import Placed
from demo.registration import text
from demo.scenario import Scenario
from demo.summary import Asked, FirstTrade, Supply, Traded, latencies_ms

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the market went, as the API says it."""

    asked: list[Asked]
    states: Mapping[str, int]
    trades: list[Traded]
    latencies_ms: list[float]
    supplies: list[Supply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """A region's books in yuan: `by_code` is what stands on the accounts of each kind."""

    region: str
    difference: Decimal  # debits less credits: money that came in less money that is accounted for
    by_code: Mapping[str, Decimal]


async def read_market(
    api: Api, key: str, *, scenario: Scenario, placed: Placed, clock: DayClock
) -> Outcome:
    """Orders, trades and utilisation of the day, through an operator's key."""
    orders = [row async for row in api.pages("/orders", key=key)]
    trades = [row async for row in api.pages("/trades", key=key)]
    statistics = await api.get(
        "/market/statistics", key=key, from_at=text(clock.at(0)), to_at=text(clock.at(HOURS))
    )
    return Outcome(
        asked=[
            Asked(o["book"], o["units"], o["filled_units"], o["duration_hours"]) for o in orders
        ],
        states=Counter(order["state"] for order in orders),
        trades=[_traded(row, placed) for row in trades],
        latencies_ms=latencies_ms(_first_trades(trades, placed, clock)),
        supplies=_supplies(statistics["utilisation"], scenario),
    )


def _traded(row: Mapping[str, Any], placed: Placed) -> Traded:
    hours = (_at(row["ends_at"]) - _at(row["starts_at"])) / _HOUR
    limits = dict(placed.planned[row["order_id"]].limits)
    return Traded(
        grade=row["grade"],
        unit_hours=row["units"] * Decimal(str(round(hours, 6))),
        price_per_unit_hour=Decimal(row["price_per_unit_hour"]),
        limit_per_unit_hour=limits[row["grade"]],
    )


def _first_trades(
    trades: Iterable[Mapping[str, Any]], placed: Placed, clock: DayClock
) -> list[FirstTrade]:
    first: dict[str, datetime] = {}
    for row in trades:
        at = _at(row["traded_at"])
        first[row["order_id"]] = min(at, first.get(row["order_id"], at))
    return [
        FirstTrade(
            book=placed.planned[order_id].resource_class,
            placed_ms=clock.wall_ms(placed.placed_at[order_id] - clock.midnight),
            traded_ms=clock.wall_ms(at - clock.midnight),
        )
        for order_id, at in first.items()
    ]


def _supplies(rows: Iterable[Mapping[str, Any]], scenario: Scenario) -> list[Supply]:
    """Rows of the statistics, weighted by the class's mean reference price in the city."""
    units: dict[tuple[str, str], int] = defaultdict(int)
    value: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for pool in scenario.pools:
        place = scenario.region_of_centre[pool.centre], pool.resource_class
        units[place] += pool.units
        value[place] += pool.units * scenario.reference_prices[pool.grade]
    return [
        Supply(
            city=row["region"],
            resource_class=row["resource_class"],
            registered=row["registered_unit_hours"],
            sold=row["sold_unit_hours"],
            weight=value[place] / units[place],
        )
        for row in rows
        if (place := (row["region"], row["resource_class"])) in units
    ]


async def read_books(api: Api, key: str) -> list[Books]:
    """Each region's books."""
    found = await api.get("/ledger/trial-balance", key=key)
    return [
        Books(
            region=row["region"],
            difference=Decimal(row["debits"]) - Decimal(row["credits"]),
            by_code=_by_kind(row["by_code"]),
        )
        for row in found["results"]
    ]


def _by_kind(by_code: Mapping[str, str]) -> dict[str, Decimal]:
    """Amounts by kind of account, clearing with all regions together, liabilities above zero."""
    kinds: dict[str, Decimal] = defaultdict(Decimal)
    for code, amount in by_code.items():
        kind = code.partition(":")[0]
        kinds[kind] += Decimal(amount) if kind == "bank" else -Decimal(amount)
    return kinds


def _at(value: str) -> datetime:
    return datetime.fromisoformat(value)
