"""Celery's doors to settlement. Each may run twice or beside itself without harm."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from billing.periods import services as periods
from billing.settlement import services
from billing.settlement.models import BatchState, SettlementBatch
from core import clock


@shared_task
def execute_batch(*, batch_id: str) -> None:
    """Post and pay one approved batch; locked, so that of two tasks the second finds it done."""
    services.execute_batch(batch_id=UUID(batch_id), now=clock.now())


@shared_task
def execute_approved() -> None:
    """Find what a lost wake-up or a killed worker left between approval and closed books."""
    waiting = SettlementBatch.objects.filter(
        state__in=[BatchState.APPROVED, BatchState.EXECUTING]
    ).order_by("id")
    for batch_id in waiting.values_list("pk", flat=True):
        services.execute_batch(batch_id=batch_id, now=clock.now())
    periods.close_books(now=clock.now())


@shared_task
def cut_off_due_period() -> None:
    """Cut the open period off once its planned end has come."""
    services.cut_off_due_period(now=clock.now())
