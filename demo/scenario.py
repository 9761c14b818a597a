"""Who and what takes part: the scenario of `data/henan.json` as plain data."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, Final

HENAN: Final = Path(__file__).parent / "data" / "henan.json"
REGIONS: Final = Path("exchange/topology/data/regions.json")
CLASSES: Final = ("general", "intelligent", "super", "edge", "quantum")


@dataclass(frozen=True, slots=True)
class Party:
    """An organisation that is to be registered."""

    code: str
    name: str
    credit_code: str
    region: str


@dataclass(frozen=True, slots=True)
class Want:
    """What a buyer asks for: ranges from which an order's figures are drawn."""

    resource_class: str
    weight: int
    grades: tuple[str, ...]
    units: tuple[int, int]
    duration_slots: tuple[int, int]
    limit_factor: tuple[Decimal, Decimal]  # of the grade's reference price
    slack_slots: tuple[int, int]
    placement: str = "anywhere"
    accepts_reclaimable: bool = False
    max_rtt_ms: str | None = None  # to the buyer's own region
    regions_allowed: tuple[str, ...] = ()
    data_in_gb: int = 0  # for each unit, from the buyer's own region
    min_green_share: str = "0"

    @classmethod
    def read(cls, row: Mapping[str, Any], below: Mapping[str, tuple[str, ...]]) -> Want:
        """One entry of a buyer's ``wants``; a province stands for its cities (``below``)."""
        return cls(
            resource_class=row["class"],
            weight=row["weight"],
            grades=tuple(row["grades"]),
            units=_pair(row["units"]),
            duration_slots=_pair(row["duration_slots"]),
            limit_factor=(Decimal(row["limit_factor"][0]), Decimal(row["limit_factor"][1])),
            slack_slots=_pair(row["slack_slots"]),
            placement=row.get("placement", "anywhere"),
            accepts_reclaimable=row.get("accepts_reclaimable", False),
            max_rtt_ms=str(row["max_rtt_ms"]) if "max_rtt_ms" in row else None,
            regions_allowed=tuple(
                city for region in row.get("regions_allowed", ()) for city in below[region]
            ),
            data_in_gb=row.get("data_in_gb", 0),
            min_green_share=row.get("min_green_share", "0"),
        )


@dataclass(frozen=True, slots=True)
class Buyer:
    """A buyer with its prepaid money and its wants."""

    party: Party
    prepaid_yuan: int
    wants: tuple[Want, ...]


@dataclass(frozen=True, slots=True)
class Centre:
    """A data centre as its provider registers it."""

    code: str
    provider: str
    region: str
    name: str
    standard_racks: int
    pue: str
    green_share: str
    power_profile: str
    green_profile: str


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool and the one offer that its provider makes of it."""

    code: str
    centre: str
    grade: str
    units: int
    offer: Mapping[str, Any]

    @property
    def resource_class(self) -> str:
        """The class that the grade's code begins with."""
        return self.grade.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Failure:
    """The centre that stops answering, when (hours after midnight) and for how long."""

    centre: str
    from_hour: int
    hours: int


@dataclass(frozen=True)
class Scenario:
    """Everything that `data/henan.json` says, typed."""

    providers: tuple[Party, ...]
    carriers: tuple[Party, ...]
    buyers: tuple[Buyer, ...]
    centres: tuple[Centre, ...]
    pools: tuple[Pool, ...]
    reference_prices: Mapping[str, Decimal]
    failure: Failure
    offer_window_slots: int
    orders: int
    orders_by_local_hour: tuple[float, ...]
    orders_by_class: Mapping[str, int]
    power_price_per_kwh: Mapping[str, tuple[str, ...]]
    green_share_shape: Mapping[str, tuple[str, ...]]

    @cached_property
    def region_of_centre(self) -> dict[str, str]:
        """The region in which each centre stands."""
        return {centre.code: centre.region for centre in self.centres}

    @cached_property
    def units_by_grade(self) -> dict[str, int]:
        """How many units of each grade all pools have together."""
        units: dict[str, int] = defaultdict(int)
        for pool in self.pools:
            units[pool.grade] += pool.units
        return dict(units)

    @cached_property
    def units_by_class(self) -> dict[str, int]:
        """How many units of each class all pools have together."""
        units: dict[str, int] = dict.fromkeys(CLASSES, 0)
        for pool in self.pools:
            units[pool.resource_class] += pool.units
        return units

    @cached_property
    def largest_pool(self) -> dict[str, int]:
        """The units of the largest pool of each grade."""
        units: dict[str, int] = defaultdict(int)
        for pool in self.pools:
            units[pool.grade] = max(units[pool.grade], pool.units)
        return dict(units)


def load(path: Path = HENAN) -> Scenario:
    """Read a scenario; `KeyError` or `ValueError` where the file is not one."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    below = _regions_below()
    buyers = [
        Buyer(
            _party(row),
            row["prepaid_yuan"],
            tuple(Want.read(want, below) for want in row["wants"]),
        )
        for row in data["buyers"]
    ]
    pools = [
        Pool(row["code"], row["centre"], row["grade"], row["units"], row["offer"])
        for row in data["pools"]
    ]
    demand = data["demand"]
    return Scenario(
        providers=tuple(_party(row) for row in data["providers"]),
        carriers=tuple(_party(row) for row in data["carriers"]),
        buyers=tuple(buyers),
        centres=tuple(_centre(row) for row in data["centres"]),
        pools=tuple(pools),
        reference_prices={g: Decimal(price) for g, price in data["reference_prices"].items()},
        failure=Failure(**data["failure"]),
        offer_window_slots=data["offer_window"]["window_slots"],
        orders=demand["orders"],
        orders_by_local_hour=tuple(float(share) for share in demand["orders_by_local_hour"]),
        orders_by_class={name: row["orders"] for name, row in demand["classes"].items()},
        power_price_per_kwh={n: tuple(row) for n, row in data["power_price_per_kwh"].items()},
        green_share_shape={n: tuple(row) for n, row in data["green_share_shape"].items()},
    )


def _regions_below() -> dict[str, tuple[str, ...]]:
    """Each region with all cities in it, itself among them where it is one."""
    rows = json.loads(REGIONS.read_text(encoding="utf-8"))["regions"]
    parents: dict[str, str | None] = {row["code"]: row["parent"] for row in rows}
    below: dict[str, list[str]] = {code: [] for code in parents}
    for row in rows:
        region: str | None = row["code"] if row["kind"] == "city" else None
        while region is not None:
            below[region].append(row["code"])
            region = parents[region]
    return {code: tuple(cities) for code, cities in below.items()}


def _party(row: Mapping[str, Any]) -> Party:
    return Party(row["code"], row["name_zh"], row["credit_code"], row["region"])


def _centre(row: Mapping[str, Any]) -> Centre:
    return Centre(**{name: row[name] for name in Centre.__dataclass_fields__})


def _pair(row: list[int]) -> tuple[int, int]:
    return row[0], row[1]
