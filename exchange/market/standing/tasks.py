"""Celery's door to standing orders. May run twice or beside itself without harm."""

from __future__ import annotations

from celery import shared_task

from core import clock
from exchange.market.standing import rolling


@shared_task
def roll() -> int:
    """Ask for the next slots of standing orders, and go on from what is closed."""
    now = clock.now()
    return rolling.settle_rolls(now=now) + rolling.roll_due(now=now)
