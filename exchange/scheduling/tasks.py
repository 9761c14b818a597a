"""Celery's doors to scheduling. Each may run twice or beside itself without harm."""

from __future__ import annotations

from celery import shared_task

from core import clock
from core.wakeups import awake
from exchange.scheduling import reclaiming, services


@shared_task
def pull_leases(*, limit: int = 5_000) -> None:
    """Make the leases of trades that have none, until none is left."""
    awake("leases")
    while services.pull_leases(now=clock.now(), limit=limit) == limit:
        pass


@shared_task
def end_due_leases(*, limit: int = 2_000) -> None:
    """End what has come to its end."""
    while services.follow_resold(now=clock.now(), limit=limit) == limit:
        pass
    while services.end_due_leases(now=clock.now(), limit=limit) == limit:
        pass


@shared_task
def execute_reclaims(*, limit: int = 500) -> None:
    """End what its provider takes back, once the notice is over."""
    while reclaiming.execute_due(now=clock.now(), limit=limit) == limit:
        pass


@shared_task
def suspend_and_resume(*, limit: int = 2_000) -> None:
    """Let leases follow what became of their centres."""
    services.suspend_and_resume(now=clock.now(), limit=limit)
