"""The verbs of core that workers call."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from core import outbox
from core.models import IdempotencyRecord

KEEP_ANSWERS = timedelta(days=3)


def relay_outbox() -> int:
    """Number committed events; returns how many."""
    return outbox.relay()


def prune_outbox(*, keep: timedelta, now: datetime, limit: int = 10_000, batches: int = 50) -> int:
    """Remove events older than ``keep``, batch by batch, the oldest first; returns how many.

    Who follows the stream and has been away for longer is told so (``EventsForgotten``).
    """
    removed = 0
    for _ in range(batches):
        with transaction.atomic():
            pruned = outbox.prune(before=now - keep, limit=limit)
        removed += pruned
        if pruned < limit:
            break
    return removed


def sweep_idempotency(*, now: datetime, limit: int = 10_000) -> int:
    """Remove stored answers older than three days, the oldest first; returns how many."""
    old = (
        IdempotencyRecord.objects.filter(created_at__lt=now - KEEP_ANSWERS)
        .order_by("created_at")
        .values("id")[:limit]
    )
    removed, _ = IdempotencyRecord.objects.filter(id__in=old).delete()
    return removed
