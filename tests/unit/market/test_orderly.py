"""The index, bands and concentration, by hand."""

from __future__ import annotations

import pytest

from exchange.market.orderly.bands import Band, band_around, raised, spanning
from exchange.market.orderly.concentration import Share, concentration
from exchange.market.orderly.index import PairVolume, Price, Volume, counted, price_of

HOUR = 3600
YUAN = 1_000_000


def pair(buyer, seller, *, unit_hours=1, yuan=10, trades=1):
    return PairVolume(buyer, seller, unit_hours * HOUR, yuan * YUAN, trades)


def test_an_hour_is_the_sum_of_what_was_bought():
    pairs = [
        pair("a", "s", unit_hours=3, yuan=30),
        pair("b", "s", unit_hours=1, yuan=14, trades=2),
    ]
    volume = counted(pairs)
    assert volume == Volume(4 * HOUR, 44 * YUAN, 3)
    price = price_of(volume, slot=7, before=None, min_unit_seconds=HOUR)
    assert price == Price(11 * YUAN, 7)


def test_round_trips_do_not_count_and_one_way_trades_do():
    round_trip = [pair("a", "b", yuan=1_000), pair("b", "a", yuan=1_001)]
    honest = [pair("a", "c", yuan=9), pair("c", "d", yuan=9)]
    assert counted(round_trip + honest) == Volume(2 * HOUR, 18 * YUAN, 2)
    assert counted(round_trip) == Volume()


def test_a_price_is_rounded_half_even():
    volume = Volume(unit_seconds=2 * HOUR, compute_micro=3, trades=1)
    assert price_of(volume, slot=0, before=None, min_unit_seconds=1) == Price(2, 0)
    volume = Volume(unit_seconds=2 * HOUR, compute_micro=5, trades=1)
    assert price_of(volume, slot=0, before=None, min_unit_seconds=1) == Price(2, 0)


@pytest.mark.parametrize(
    ("unit_hours", "slot", "expected"),
    [
        (4, 101, Price(20 * YUAN, 101)),  # enough
        (3, 101, Price(5 * YUAN, 100)),  # too little: the price of the hour before
        (0, 268, Price(5 * YUAN, 100)),  # a week later it is still carried
        (0, 269, None),  # and no longer
    ],
)
def test_too_little_volume_carries_the_price_for_a_week(unit_hours, slot, expected):
    volume = Volume(unit_hours * HOUR, unit_hours * 20 * YUAN, int(unit_hours > 0))
    before = Price(5 * YUAN, 100)
    assert price_of(volume, slot=slot, before=before, min_unit_seconds=4 * HOUR) == expected


def test_bands_are_rounded_outwards_and_both_bounds_lie_within():
    band = band_around(10_000_001, band_bp=2_000)
    assert band == Band(8_000_000, 12_000_002)
    assert band.holds(8_000_000)
    assert band.holds(12_000_002)
    assert not band.holds(7_999_999)
    assert not band.holds(12_000_003)
    assert band_around(10, band_bp=20_000) == Band(0, 30)
    assert band_around(10, band_bp=1_000, upwards_only=True) == Band(None, 11)
    assert band_around(10, band_bp=1_000, upwards_only=True).holds(1)


def test_a_band_over_several_regions_spans_them():
    assert spanning([]) is None
    assert spanning([Band(5, 9), raised(Band(1, 3), 10)]) == Band(5, 13)
    assert spanning([Band(5, 9), Band(None, 7)]) == Band(None, 9)


def test_concentration_of_four_providers():
    found = concentration({"a": 50, "b": 30, "c": 20, "d": 0})
    assert (found.units, found.providers) == (100, 3)
    assert found.hhi == 2500 + 900 + 400
    assert found.largest == [Share("a", 50, 5000), Share("b", 30, 3000), Share("c", 20, 2000)]
    assert concentration({"a": 7}).hhi == 10_000
    assert concentration({"a": 1, "b": 1, "c": 1, "d": 1}, largest=1).hhi == 2500
    assert concentration({"a": 0}).hhi == concentration({}).hhi == 0
