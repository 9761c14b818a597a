"""Celery's doors to core."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.conf import settings

from core import clock, services


@shared_task(ignore_result=True)
def relay_outbox() -> int:
    """Number committed events for those who follow the stream."""
    return services.relay_outbox()


@shared_task(ignore_result=True)
def prune_outbox() -> int:
    """Forget events that nobody will follow any more."""
    keep = timedelta(days=settings.OUTBOX_KEEP_DAYS)
    return services.prune_outbox(keep=keep, now=clock.now())


@shared_task(ignore_result=True)
def sweep_idempotency() -> int:
    """Forget answers that nobody will ask for again."""
    return services.sweep_idempotency(now=clock.now())
