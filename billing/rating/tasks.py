"""Celery's doors to rating. Each may run twice or beside itself without harm."""

from __future__ import annotations

from celery import shared_task

from billing.metering.services import RATING_WAKE_UP
from billing.rating import services
from core import clock
from core.wakeups import awake


@shared_task
def rate_pending(*, limit: int = 2_000) -> None:
    """Charge what waits, until nothing is left."""
    awake(RATING_WAKE_UP)
    while services.rate_pending(now=clock.now(), limit=limit):
        pass


@shared_task
def release_overdue_holds(*, limit: int = 1_000) -> None:
    """Give back what rests on overdue holds, after charging what was reported in time."""
    while services.release_overdue_holds(now=clock.now(), limit=limit) == limit:
        pass
