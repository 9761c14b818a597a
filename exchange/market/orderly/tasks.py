"""Celery's door to the index."""

from __future__ import annotations

from celery import shared_task

from core import clock
from exchange.market.orderly import publishing


@shared_task
def publish_index() -> int:
    """Publish the index of every hour that is over."""
    return publishing.publish_index(now=clock.now())
