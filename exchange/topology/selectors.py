"""Reads of topology. Regions and links are public."""

from __future__ import annotations

from collections import defaultdict
from functools import lru_cache

from django.db import connection
from django.db.models import QuerySet

from core.money import to_micro
from exchange.topology.models import Link, Region
from exchange.topology.paths import LinkTerms, Network

_VERSION = """
SELECT md5(COALESCE(string_agg(concat_ws('|', id, region_a_id, region_b_id, rtt_us, price_per_gb),
                               ',' ORDER BY id), ''))
FROM exchange_link WHERE is_open
"""


def regions() -> QuerySet[Region]:
    """The whole tree, in order of codes."""
    return Region.objects.order_by("code")


def links() -> QuerySet[Link]:
    """All links with their carriers, in order of ids."""
    return Link.objects.select_related("carrier").order_by("id")


def subtree(code: str) -> set[str]:
    """The codes of a region and of everything below it; empty for an unknown code."""
    return region_tree().below(code)


def region_tree() -> RegionTree:
    """All regions' codes, for questions about several of them."""
    return RegionTree(dict(Region.objects.order_by().values_list("code", "parent_id")))


class RegionTree:
    """Which region lies in which, as read at one time."""

    def __init__(self, parents: dict[str, str | None]) -> None:
        self._parents = parents
        self._children: dict[str | None, list[str]] = defaultdict(list)
        for code, parent in parents.items():
            self._children[parent].append(code)

    def __contains__(self, code: str) -> bool:
        return code in self._parents

    def below(self, code: str) -> set[str]:
        """The region itself and everything below it; empty for an unknown code."""
        found: set[str] = set()
        waiting = [code] if code in self else []
        while waiting:
            at = waiting.pop()
            found.add(at)
            waiting += self._children[at]
        return found


def network() -> Network:
    """The open links as the matcher and the search see them.

    One statement asks whether anything changed since this process built it last; only then are
    the links read again.
    """
    with connection.cursor() as cursor:
        cursor.execute(_VERSION)
        version: str = cursor.fetchone()[0]
    return _network(version)


@lru_cache(maxsize=2)
def _network(_version: str) -> Network:
    return Network(
        LinkTerms(
            id=link.id,
            region_a=link.region_a_id,
            region_b=link.region_b_id,
            rtt_us=link.rtt_us,
            price_micro_per_gb=to_micro(link.price_per_gb),
        )
        for link in Link.objects.filter(is_open=True).order_by("id")
    )


def regions_within(region: str, max_rtt_us: int) -> set[str]:
    """The cities that data reaches from ``region`` and back within ``max_rtt_us``."""
    reach = network()
    cities = Region.objects.filter(kind="city").values_list("code", flat=True)
    return {city for city in cities if reach.path(region, city, max_rtt_us) is not None}
