"""What must hold of all billing data, from the use to the payout."""

from __future__ import annotations

from collections.abc import Iterator

from billing.metering import verify as metering
from billing.rating import verify as rating
from billing.settlement import verify as settlement
from core.verify import Finding


def checks() -> Iterator[Finding]:
    """The findings of billing's rooms, in the way of the money."""
    for room in (metering, rating, settlement):
        yield from room.checks()
