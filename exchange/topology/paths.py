"""The cheapest way for data between two regions, within a bound on the round trip."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PathTerms:
    """A way through the network: what a GB costs on it, how long a round trip takes."""

    price_micro_per_gb: int
    rtt_us: int
    links: tuple[int, ...]  # in the order in which data leaving the first region passes them
