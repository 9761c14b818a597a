"""Celery's doors to the ledger. Both may run twice or beside each other without harm."""

from __future__ import annotations

from celery import shared_task

from core import clock
from ledger import services


@shared_task(name="ledger.expire_holds", ignore_result=True)
def expire_holds(*, limit: int = 1000) -> int:
    """Give back what rests on overdue holds; races posts and releases, and the lock decides."""
    return services.expire_holds(now=clock.now(), limit=limit)


@shared_task(name="ledger.seal", ignore_result=True)
def seal() -> int:
    """Seal the transfers that are complete."""
    return services.seal_transfers(now=clock.now())
