"""What Celery runs for capacity."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.conf import settings

from core import clock
from exchange.capacity import services


@shared_task
def sweep_silent_centres() -> int:
    """Give up centres whose heartbeat is overdue. Owns that deadline; twice does no harm."""
    silence = timedelta(seconds=getattr(settings, "CENTRE_SILENCE_SECONDS", 180))
    return len(services.give_up_silent_centres(now=clock.now(), silence=silence))
