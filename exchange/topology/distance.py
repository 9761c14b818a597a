"""How far apart two places are, and how long light takes there and back.

- Distance: the great circle by the haversine formula (R. W. Sinnott, "Virtues of the Haversine",
  Sky and Telescope 68, 1984) on a sphere of the Earth's mean radius R1 = 6371.0088 km (IUGG, as in
  Moritz, "Geodetic Reference System 1980").
- Fibre does not lie on great circles. Where no route is known, ITU-T Y.1541 (and G.826 before it)
  takes 1.5 x the air distance up to 1,000 km, 1,500 km up to 1,200 km, and 1.25 x beyond.
- Light in standard single-mode fibre (ITU-T G.652) at 1550 nm travels at c / 1.468 (effective group
  index in the data sheet of Corning SMF-28), about 4.9 microseconds a kilometre.
- Equipment at both ends of a link (transponders with error correction, one router each) is taken as
  100 microseconds a round trip: this project's assumption.

RTT = 2 x route / (c / 1.468) + 100 microseconds. With the plan's places that gives 0.6 ms from
Zhengzhou to its airport zone (circle: 1 ms), 1.7 ms Zhengzhou-Luoyang (3 ms), at most 4.4 ms from
Zhengzhou to any city of the province (5 ms) and at most 15 ms to the hubs (20 ms). From corner to
corner of the province, or to Hami, it is more: physics, not this formula, says so.
"""

from __future__ import annotations

from math import asin, ceil, cos, radians, sin, sqrt
from typing import Final

EARTH_RADIUS_KM: Final = 6371.0088
LIGHT_KM_PER_SECOND: Final = 299_792.458
FIBRE_GROUP_INDEX: Final = 1.468
EQUIPMENT_RTT_US: Final = 100


def great_circle_km(
    latitude_a: float, longitude_a: float, latitude_b: float, longitude_b: float
) -> float:
    """Kilometres between two places given in degrees. `ValueError` where those are no degrees."""
    for latitude, longitude in ((latitude_a, longitude_a), (latitude_b, longitude_b)):
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
            raise ValueError("a latitude lies in [-90, 90], a longitude in [-180, 180]")
    north, south = radians(latitude_a), radians(latitude_b)
    haversine = (
        sin((south - north) / 2) ** 2
        + cos(north) * cos(south) * sin(radians(longitude_b - longitude_a) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(haversine)))


def route_km(distance_km: float) -> float:
    """Kilometres of fibre for a great-circle distance (ITU-T Y.1541)."""
    if distance_km <= 1_000:
        return 1.5 * distance_km
    return max(1_500.0, 1.25 * distance_km)


def link_rtt_us(distance_km: float) -> int:
    """Round-trip time in microseconds of a direct link over a great-circle distance, rounded up."""
    if distance_km < 0:
        raise ValueError("a distance is not negative")
    there_and_back_s = 2 * route_km(distance_km) * FIBRE_GROUP_INDEX / LIGHT_KM_PER_SECOND
    return ceil(there_and_back_s * 1_000_000) + EQUIPMENT_RTT_US
