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

    book: str
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


def unit_hours_filled_by_book(orders: Sequence[Asked]) -> dict[str, float]:
    """The same for each book."""
    books = sorted({order.book for order in orders})
    return {
        book: round(unit_hours_filled([order for order in orders if order.book == book]), 4)
        for book in books
    }


@dataclass(frozen=True, slots=True)
class FirstTrade:
    """When an order was placed and when its first trade was written, in ms of wall time."""

    book: str
    placed_ms: float
    traded_ms: float


# Orders placed closer together than this may enter their book in either sequence.
_SIDE_BY_SIDE_MS = 250.0


def latencies_ms(trades: Iterable[FirstTrade]) -> list[float]:
    """From order to trade, of the orders that were filled when their book took them in.

    Others rest first, and wait for the market and not for the machine. A book takes orders in as
    they come; so where a later order was traded before this one, this one had rested.
    """
    found: list[float] = []
    books: dict[str, list[FirstTrade]] = defaultdict(list)
    for trade in trades:
        books[trade.book].append(trade)
    for in_book in books.values():
        latest_first = sorted(in_book, key=lambda trade: -trade.placed_ms)
        soonest_of_later = float("inf")
        later = iter(latest_first)
        following = next(later, None)
        for trade in latest_first:
            while following and following.placed_ms > trade.placed_ms + _SIDE_BY_SIDE_MS:
                soonest_of_later = min(soonest_of_later, following.traded_ms)
                following = next(later, None)
            if trade.traded_ms <= soonest_of_later:
                found.append(trade.traded_ms - trade.placed_ms)
    return found
