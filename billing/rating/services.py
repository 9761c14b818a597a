"""Rating's verb: charge what was delivered."""

from __future__ import annotations

from datetime import datetime


def rate_pending(*, now: datetime, limit: int = 2_000) -> int:
    """Charge usage records that are not charged yet; returns how many it took on."""
    raise NotImplementedError
