"""The figures of the day, on cases small enough to check by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from demo.summary import (
    Asked,
    Capacity,
    Sold,
    fill_rate,
    is_clean,
    mean_price,
    percentile,
    unit_hours_filled,
    utilisation,
)


def sold(pool: str, units: int, start: int, end: int, price: str = "1") -> Sold:
    return Sold(pool, f"grade of {pool}", units, start, end, Decimal(price))


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 20.0), (0.99, 40.0), (0.25, 10.0), (0.26, 20.0), (1.0, 40.0)]
)
def test_percentile_is_a_value_that_occurred(share: float, expected: float) -> None:
    assert percentile([40.0, 10.0, 30.0, 20.0], share) == expected


def test_percentile_of_nothing() -> None:
    assert percentile([], 0.99) == 0.0


def test_utilisation_counts_only_hours_of_the_day_and_weighs_units() -> None:
    capacity = {
        "a": Capacity("zhengzhou", "general", 10, Decimal(1)),
        "b": Capacity("zhengzhou", "quantum", 1, Decimal(10)),
        "c": Capacity("luoyang", "general", 10, Decimal(1)),
    }
    trades = [sold("a", 10, -3, 12), sold("b", 1, 18, 30)]
    assert utilisation(trades, capacity, by="city") == {
        "luoyang": 0.0,
        "zhengzhou": round((120 + 60) / 480, 4),
    }
    assert utilisation(trades, capacity, by="resource_class") == {"general": 0.25, "quantum": 0.25}


def test_mean_price_is_weighted_by_unit_hours() -> None:
    assert mean_price([sold("a", 1, 0, 3, "2"), sold("a", 3, 0, 3, "4")]) == {
        "grade of a": Decimal("3.5")
    }


def test_a_partly_filled_order_counts_in_part() -> None:
    orders = [Asked(10, 10, 1), Asked(10, 5, 10), Asked(10, 0, 1)]
    assert fill_rate(orders) == pytest.approx(0.5)
    assert unit_hours_filled(orders) == pytest.approx(60 / 120)
    assert fill_rate([]) == unit_hours_filled([]) == 0.0


@pytest.mark.parametrize(
    ("verify", "balance", "clean"),
    [("clean", "0", True), ("clean", "0.000001", False), ("1 finding", "0", False)],
)
def test_clean_needs_both(verify: str, balance: str, clean: bool) -> None:
    assert is_clean({"verify": verify, "trial_balance": balance}) is clean
