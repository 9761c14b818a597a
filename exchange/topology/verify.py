"""What must hold over all regions and links."""

from __future__ import annotations

from collections.abc import Iterator

from core.verify import Finding
from exchange.topology import distance, selectors
from exchange.topology.models import Link, Region


def checks() -> Iterator[Finding]:
    """Round trips follow from distance, and every city is reached from every other."""
    places = {
        region.code: (float(region.latitude), float(region.longitude))
        for region in Region.objects.all()
        if region.latitude is not None and region.longitude is not None
    }
    wrong = 0
    links = list(Link.objects.all())
    for link in links:
        ends = (*places.get(link.region_a_id, ()), *places.get(link.region_b_id, ()))
        if len(ends) != 4 or link.rtt_us != distance.link_rtt_us(distance.great_circle_km(*ends)):
            wrong += 1
    yield Finding(
        "topology.round_trips_follow_distance",
        wrong == 0,
        f"{len(links)} links, {wrong} with another round trip than their distance gives",
    )
    cities = list(Region.objects.filter(kind="city").values_list("code", flat=True))
    reach = selectors.network()
    cut_off = [city for city in cities if reach.path(cities[0], city, None) is None]
    yield Finding(
        "topology.cities_are_connected",
        not cut_off,
        f"{len(cities)} cities, cut off: {', '.join(cut_off) or 'none'}",
    )
