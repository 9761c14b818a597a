"""What a trade or a use costs, by component: pure arithmetic on whole micro-yuan."""

from __future__ import annotations

SECONDS_PER_HOUR = 3600
NANO_PER_MICRO = 1000


def compute_cost(*, price_numerator: int, units: int) -> int:
    """Micro-yuan for the compute of `units` at a price numerator (sum of micro per hour x seconds
    for one unit), rounded up: the most that may come to be charged.
    """
    return -(-price_numerator * units // SECONDS_PER_HOUR)


def transport_cost(*, transport_nano_per_unit: int, units: int) -> int:
    """Micro-yuan for moving the data of `units`, rounded up."""
    return -(-transport_nano_per_unit * units // NANO_PER_MICRO)


def trade_cost(*, price_numerator: int, units: int, transport_nano_per_unit: int = 0) -> int:
    """Micro-yuan that a trade can cost the buyer at most, compute and transport together."""
    return compute_cost(price_numerator=price_numerator, units=units) + transport_cost(
        transport_nano_per_unit=transport_nano_per_unit, units=units
    )
