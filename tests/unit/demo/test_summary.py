"""The figures of the day, on cases small enough to check by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from demo.summary import (
    Asked,
    FirstTrade,
    Supply,
    Traded,
    fill_rate,
    latencies_ms,
    mean_price,
    percentile,
    price_to_limit,
    unit_hours_filled,
    unit_hours_filled_by_book,
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
    orders = [Asked("a", 10, 10, 1), Asked("b", 10, 5, 10), Asked("b", 10, 0, 1)]
    assert fill_rate(orders) == pytest.approx(0.5)
    assert unit_hours_filled(orders) == pytest.approx(60 / 120)
    assert unit_hours_filled_by_book(orders) == {"a": 1.0, "b": round(50 / 110, 4)}
    assert fill_rate([]) == unit_hours_filled([]) == 0.0


def test_latency_leaves_out_orders_that_rested() -> None:
    trades = [
        FirstTrade("a", 0.0, 9000.0),  # rested: later ones of its book were traded before it
        FirstTrade("a", 1000.0, 1040.0),
        FirstTrade("a", 2000.0, 2100.0),
        FirstTrade("b", 0.0, 60.0),  # another book
        FirstTrade("a", 2100.0, 2090.0 + 20.0),  # beside the third: either may be first
    ]
    assert sorted(latencies_ms(trades)) == [10.0, 40.0, 60.0, 100.0]
    assert latencies_ms([]) == []
