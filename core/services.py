"""The verbs of core that workers call."""

from __future__ import annotations

from datetime import datetime, timedelta

from core import outbox
from core.models import IdempotencyRecord

KEEP_ANSWERS = timedelta(days=3)


def relay_outbox() -> int:
    """Number committed events; returns how many."""
    return outbox.relay()


def sweep_idempotency(*, now: datetime, limit: int = 10_000) -> int:
    """Remove stored answers older than three days, the oldest first; returns how many."""
    old = (
        IdempotencyRecord.objects.filter(created_at__lt=now - KEEP_ANSWERS)
        .order_by("created_at")
        .values("id")[:limit]
    )
    removed, _ = IdempotencyRecord.objects.filter(id__in=old).delete()
    return removed
