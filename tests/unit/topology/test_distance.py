"""Distances and round trips against known ones, and against the circles of the plan."""

from __future__ import annotations

import json
from math import pi
from pathlib import Path

import pytest

from exchange.topology.distance import EARTH_RADIUS_KM, great_circle_km, link_rtt_us, route_km

REGIONS = {
    region["code"]: region
    for region in json.loads(
        Path("exchange/topology/data/regions.json").read_text(encoding="utf-8")
    )["regions"]
}


def between(a: str, b: str) -> float:
    first, second = REGIONS[a], REGIONS[b]
    return great_circle_km(first["lat"], first["lon"], second["lat"], second["lon"])


@pytest.mark.parametrize(
    ("places", "kilometres"),
    [
        ((0, 0, 0, 180), pi * EARTH_RADIUS_KM),
        ((90, 0, -90, 0), pi * EARTH_RADIUS_KM),
        ((0, 0, 0, 90), pi * EARTH_RADIUS_KM / 2),
        ((34.75, 113.62, 34.75, 113.62), 0),
        ((0, 179.5, 0, -179.5), pi * EARTH_RADIUS_KM / 180),  # across the date line
        ((36.12, -86.67, 33.94, -118.40), 2886.45),  # Nashville to Los Angeles, often quoted
    ],
)
def test_great_circles(places, kilometres):
    assert great_circle_km(*places) == pytest.approx(kilometres, abs=0.05)


@pytest.mark.parametrize("places", [(91, 0, 0, 0), (0, 181, 0, 0), (0, 0, float("nan"), 0)])
def test_what_is_no_place_is_refused(places):
    with pytest.raises(ValueError, match="latitude"):
        great_circle_km(*places)


@pytest.mark.parametrize(
    ("distance_km", "route"),
    [(100, 150), (1_000, 1_500), (1_100, 1_500), (1_200, 1_500), (2_000, 2_500)],
)
def test_routes_are_longer_than_great_circles(distance_km, route):
    assert route_km(distance_km) == route


def test_round_trip_of_a_hundred_kilometres():
    # 2 x 150 km / (299,792.458 / 1.468 km/s) = 1,469.02 us, rounded up, and the equipment
    assert link_rtt_us(100) == 1_470 + 100


@pytest.mark.parametrize(
    ("a", "b", "circle_us"),
    [
        ("zhengzhou", "zhengzhou-airport", 1_000),
        ("zhengzhou", "luoyang", 3_000),
        ("zhengzhou", "xinyang", 5_000),
        ("zhengzhou", "sanmenxia", 5_000),
        ("zhengzhou", "qingyang", 20_000),
        ("zhengzhou", "guian", 20_000),
        ("zhengzhou", "shaoguan", 20_000),
    ],
)
def test_the_circles_of_the_plan_hold(a, b, circle_us):
    assert link_rtt_us(between(a, b)) <= circle_us
