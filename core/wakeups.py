"""Wake-ups: hints from one room to another, sent after commit and never relied upon.

PostgreSQL is the only truth; a sweep finds what a lost wake-up left. Which task answers a topic
reads on one page, ``config/wiring.py``.
"""

from __future__ import annotations

import structlog
from celery import current_app
from django.conf import settings
from django.core.cache import cache
from django.db import transaction

log = structlog.get_logger(__name__)

# While one hint is on its way, more of the same say nothing new.
_COALESCE_SECONDS = 2


def wake(topic: str, **ids: int | str) -> None:
    """Ask, once the current transaction has committed, for the work of ``topic`` on ``ids``."""
    transaction.on_commit(lambda: _send(topic, ids))


def awake(topic: str, **ids: int | str) -> None:
    """Say that the work of ``topic`` begins now, so that later hints are sent again."""
    try:
        cache.delete(_key(topic, ids))
    except Exception as error:  # the broker being away must not stop the work
        log.warning("wakeup_mark_failed", topic=topic, error=str(error))


def _send(topic: str, ids: dict[str, int | str]) -> None:
    try:
        if cache.add(_key(topic, ids), 1, timeout=_COALESCE_SECONDS):
            current_app.send_task(settings.WAKE_UPS[topic], kwargs=ids, retry=False)
    except Exception as error:  # only latency is lost: the sweep will find the work
        log.warning("wakeup_lost", topic=topic, error=str(error))


def _key(topic: str, ids: dict[str, int | str]) -> str:
    return "wake:" + ":".join([topic, *(str(ids[name]) for name in sorted(ids))])
