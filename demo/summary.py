"""The figures of the day: pure arithmetic over what the demonstration saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil


@dataclass(frozen=True, slots=True)
class Traded:
    """What one trade delivers, at what price, and the limit that its order had for the grade."""

    grade: str
    unit_hours: Decimal
    price_per_unit_hour: Decimal
    limit_per_unit_hour: Decimal


@dataclass(frozen=True, slots=True)
class Supply:
    """Unit-hours of a class in a city: what there is in the day, and what of it is sold.

    `weight` makes units of different classes comparable.
    """

    city: str
    resource_class: str
    registered: int
    sold: int
    weight: Decimal


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed; 0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def utilisation(supplies: Iterable[Supply], *, by: str) -> dict[str, float]:
    """Sold over registered unit-hours, by `city` or `resource_class`.

    Units are weighted (by the mean reference price of the class in the city), since a city's
    classes differ: an hour of a quantum processor is more than one of a core.
    """
    whole: dict[str, Decimal] = defaultdict(Decimal)
    taken: dict[str, Decimal] = defaultdict(Decimal)
    for supply in supplies:
        name = getattr(supply, by)
        whole[name] += supply.registered * supply.weight
        taken[name] += supply.sold * supply.weight
    return {
        name: round(float(taken[name] / total), 4) for name, total in sorted(whole.items()) if total
    }


def mean_price(trades: Iterable[Traded]) -> dict[str, Decimal]:
    """The mean price per unit-hour of each grade, weighted by unit-hours."""
    hours: dict[str, Decimal] = defaultdict(Decimal)
    value: dict[str, Decimal] = defaultdict(Decimal)
    for trade in trades:
        hours[trade.grade] += trade.unit_hours
        value[trade.grade] += trade.price_per_unit_hour * trade.unit_hours
    return {grade: value[grade] / hours[grade] for grade in sorted(hours) if hours[grade]}


def price_to_limit(trades: Iterable[Traded]) -> float:
    """What was paid as a share of what would have been paid at the orders' limits."""
    paid = limit = Decimal(0)
    for trade in trades:
        paid += trade.price_per_unit_hour * trade.unit_hours
        limit += trade.limit_per_unit_hour * trade.unit_hours
    return float(paid / limit) if limit else 0.0


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
