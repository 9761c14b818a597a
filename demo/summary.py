"""The figures of the day: pure arithmetic over what the demonstration saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any

from demo.demand import HOURS


@dataclass(frozen=True, slots=True)
class Sold:
    """What one trade takes of a pool, in whole hours after midnight (half-open)."""

    pool: str
    grade: str
    units: int
    start_hour: int
    end_hour: int
    price_per_unit_hour: Decimal

    @property
    def unit_hours_in_day(self) -> int:
        """Unit-hours of it that lie within the day."""
        return self.units * max(0, min(self.end_hour, HOURS) - max(self.start_hour, 0))

    @property
    def unit_hours(self) -> int:
        """Unit-hours of it in all."""
        return self.units * (self.end_hour - self.start_hour)


@dataclass(frozen=True, slots=True)
class Capacity:
    """A pool's part in the figures. `weight` makes units of different grades comparable."""

    city: str
    resource_class: str
    units: int
    weight: Decimal


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; 0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def utilisation(
    sold: Iterable[Sold], capacity: Mapping[str, Capacity], *, by: str
) -> dict[str, float]:
    """Sold unit-hours of the day over all unit-hours, by `city` or `resource_class`.

    Units are weighted (by the reference price of their grade), since a city's pools differ.
    """
    whole: dict[str, Decimal] = defaultdict(Decimal)
    taken: dict[str, Decimal] = defaultdict(Decimal)
    for pool in capacity.values():
        whole[getattr(pool, by)] += pool.units * HOURS * pool.weight
    for part in sold:
        pool = capacity[part.pool]
        taken[getattr(pool, by)] += part.unit_hours_in_day * pool.weight
    return {name: round(float(taken[name] / total), 4) for name, total in sorted(whole.items())}


def mean_price(sold: Iterable[Sold]) -> dict[str, Decimal]:
    """The mean price per unit-hour of each grade, weighted by unit-hours."""
    hours: dict[str, int] = defaultdict(int)
    value: dict[str, Decimal] = defaultdict(Decimal)
    for part in sold:
        hours[part.grade] += part.unit_hours
        value[part.grade] += part.price_per_unit_hour * part.unit_hours
    return {grade: value[grade] / hours[grade] for grade in sorted(hours)}


@dataclass(frozen=True, slots=True)
class Asked:
    """An order's outcome: what it asked for and what it got."""

    units: int
    filled_units: int
    duration_slots: int


def fill_rate(orders: Sequence[Asked]) -> float:
    """The share of the orders that were filled, a part counting as a part."""
    if not orders:
        return 0.0
    return sum(order.filled_units / order.units for order in orders) / len(orders)


def unit_hours_filled(orders: Sequence[Asked]) -> float:
    """The share of the unit-hours asked for that was filled."""
    asked = sum(order.units * order.duration_slots for order in orders)
    filled = sum(order.filled_units * order.duration_slots for order in orders)
    return filled / asked if asked else 0.0


def is_clean(report: Mapping[str, Any]) -> bool:
    """Whether the day ended as it must: everything verified, every region's books at zero."""
    return report["verify"] == "clean" and Decimal(report["trial_balance"]) == 0
