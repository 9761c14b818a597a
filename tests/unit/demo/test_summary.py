"""The figures of the day, on cases small enough to check by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from demo.summary import (
    Asked,
    Supply,
    Traded,
    fill_rate,
    mean_price,
    percentile,
    price_to_limit,
    unit_hours_filled,
    utilisation,
)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 20.0), (0.99, 40.0), (0.25, 10.0), (0.26, 20.0), (1.0, 40.0)]
)
def test_percentile_is_a_value_that_occurred(share: float, expected: float) -> None:
    assert percentile([40.0, 10.0, 30.0, 20.0], share) == expected


def test_percentile_of_nothing() -> None:
    assert percentile([], 0.99) == 0.0


def test_utilisation_weighs_what_is_not_comparable() -> None:
    supplies = [
        Supply("zhengzhou", "general", 240, 120, Decimal(1)),
        Supply("zhengzhou", "quantum", 24, 6, Decimal(10)),
        Supply("luoyang", "general", 240, 0, Decimal(1)),
    ]
    assert utilisation(supplies, by="city") == {"luoyang": 0.0, "zhengzhou": 0.375}
    assert utilisation(supplies, by="resource_class") == {"general": 0.25, "quantum": 0.25}


def test_prices_are_weighted_by_unit_hours() -> None:
    trades = [
        Traded("g", Decimal(3), Decimal(2), Decimal(4)),
        Traded("g", Decimal(9), Decimal(4), Decimal(4)),
    ]
    assert mean_price(trades) == {"g": Decimal("3.5")}
    assert price_to_limit(trades) == pytest.approx(42 / 48)
    assert price_to_limit([]) == 0.0


def test_a_partly_filled_order_counts_in_part() -> None:
    orders = [Asked(10, 10, 1), Asked(10, 5, 10), Asked(10, 0, 1)]
    assert fill_rate(orders) == pytest.approx(0.5)
    assert unit_hours_filled(orders) == pytest.approx(60 / 120)
    assert fill_rate([]) == unit_hours_filled([]) == 0.0
