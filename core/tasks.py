"""Celery's doors to core."""

from __future__ import annotations

from celery import shared_task

from core import clock, services


@shared_task(ignore_result=True)
def relay_outbox() -> int:
    """Number committed events for those who follow the stream."""
    return services.relay_outbox()


@shared_task(ignore_result=True)
def sweep_idempotency() -> int:
    """Forget answers that nobody will ask for again."""
    return services.sweep_idempotency(now=clock.now())
