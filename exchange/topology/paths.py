"""The cheapest way for data between two regions, within a bound on the round trip.

Links are undirected; each has a round-trip time and a price per GB, and both add up along a path.
The cheapest path may be too slow and the fastest too dear, so for each region all paths are kept
that no other one beats in both: labels of (price, round trip, links), as Martins' algorithm for
shortest paths with two criteria does ("On a multicriteria shortest path problem", 1984). Where
price and round trip are equal, the smaller tuple of link ids wins, so that equal input gives equal
paths.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

WITHIN_REGION_RTT_US: Final = 200
"""Round trip between two centres of one city: what `distance.link_rtt_us` gives for some 7 km, well
inside the plan's circle of 1 ms. Moving data inside a city costs nothing.
"""


@dataclass(frozen=True, slots=True)
class LinkTerms:
    """A network link between two regions, usable both ways."""

    id: int
    region_a: str
    region_b: str
    rtt_us: int
    price_micro_per_gb: int


@dataclass(frozen=True, slots=True)
class PathTerms:
    """A way through the network: what a GB costs on it, how long a round trip takes."""

    price_micro_per_gb: int
    rtt_us: int
    links: tuple[int, ...]  # in the order in which data leaving the first region passes them


class Network:
    """The network as it stands: answers the market's questions about paths. Made anew when a link
    changes; what was once asked is remembered.
    """

    def __init__(self, links: Iterable[LinkTerms]) -> None:
        self._links_at: dict[str, list[tuple[str, LinkTerms]]] = {}
        for link in links:
            if link.rtt_us < 0 or link.price_micro_per_gb < 0:
                raise ValueError("a link's round trip and price are not negative")
            self._links_at.setdefault(link.region_a, []).append((link.region_b, link))
            self._links_at.setdefault(link.region_b, []).append((link.region_a, link))
        self._best: dict[str, dict[str, list[PathTerms]]] = {}
        self._answers: dict[tuple[str, str, int | None], PathTerms | None] = {}

    def path(self, a: str, b: str, max_rtt_us: int | None) -> PathTerms | None:
        """The cheapest path from `a` to `b` with a round trip of at most `max_rtt_us` (None:
        however long); None where there is none. Its links are in the order from `a`.
        """
        question = (a, b, max_rtt_us)
        if question not in self._answers:
            self._answers[question] = self._answer(a, b, max_rtt_us)
        return self._answers[question]

    def alternatives(self, a: str, b: str) -> list[PathTerms]:
        """All paths that no other beats in price and round trip, the cheapest first."""
        if a == b:
            return [PathTerms(price_micro_per_gb=0, rtt_us=WITHIN_REGION_RTT_US, links=())]
        if a not in self._best:
            self._best[a] = self._labels_from(a)
        return self._best[a].get(b, [])

    def _answer(self, a: str, b: str, max_rtt_us: int | None) -> PathTerms | None:
        for path in self.alternatives(a, b):
            if max_rtt_us is None or path.rtt_us <= max_rtt_us:
                return path
        return None

    def _labels_from(self, origin: str) -> dict[str, list[PathTerms]]:
        """By region, the unbeaten paths from `origin`, cheapest first, each faster than the last.

        Labels leave the heap by (price, round trip, links), so one is beaten exactly if an earlier
        one at its region was as fast. Negative prices do not exist, so loops are always beaten.
        """
        settled: dict[str, list[PathTerms]] = {}
        heap: list[tuple[int, int, tuple[int, ...], str]] = [(0, 0, (), origin)]
        while heap:
            price, rtt_us, links, region = heapq.heappop(heap)
            labels = settled.setdefault(region, [])
            if labels and labels[-1].rtt_us <= rtt_us:
                continue
            labels.append(PathTerms(price, rtt_us, links))
            for neighbour, link in self._links_at.get(region, ()):
                through = (
                    price + link.price_micro_per_gb,
                    rtt_us + link.rtt_us,
                    (*links, link.id),
                    neighbour,
                )
                heapq.heappush(heap, through)
        return settled
