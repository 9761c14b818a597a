"""The Celery application: wake-ups and sweeps (``config.celery_settings``, ``config.wiring``)."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import structlog
from celery import Celery, signals

from core.request_context import request_id
from exchangectl.process import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

MARKET_QUEUE = "market"

app = Celery("exchange")
app.config_from_object("config.celery_settings")
# Else Celery closes the whole pool of connections after each task, and a new connection costs more
# than most tasks. What a task leaves is given back below, as Django does after a request.
app.conf["CELERY_DB_REUSE_MAX"] = 2**31


@signals.setup_logging.connect
def _leave_logging_to_django(**_: Any) -> None:
    """Being connected is enough: Celery then sets up no logging of its own."""


@signals.worker_before_create_process.connect
def _close_pools_before_fork(**_: Any) -> None:
    """No connection of the parent may be shared with a child: it would mix their answers."""
    from django.db import connections  # noqa: PLC0415 - settings load after this module

    for connection in connections.all(initialized_only=True):
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's own


@signals.worker_init.connect
def _compile_before_fork(sender: Any, **_: Any) -> None:
    """The matcher's kernel is compiled (or read from its cache) before the first batch waits."""
    if MARKET_QUEUE in sender.app.amqp.queues.consume_from:
        from exchange.market.quick import warm_up  # noqa: PLC0415 - other workers need no compiler

        warm_up()


@signals.task_prerun.connect
@signals.task_postrun.connect
def _give_connections_back(**_: Any) -> None:
    """A connection goes back to its pool; one that broke is not used again."""
    from django.db import close_old_connections  # noqa: PLC0415 - as above

    close_old_connections()


@signals.worker_process_init.connect
def _die_with_worker(**_: Any) -> None:
    """A pool process ends with its worker, also when the worker is killed."""
    die_with_parent(signal.SIGKILL)


@signals.task_prerun.connect
def _name_the_task(task_id: str, task: Any, **_: Any) -> None:
    """Log lines and audit rows that a task writes carry its id."""
    request_id.set(task_id)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=task_id, task=task.name)


@signals.worker_ready.connect
@signals.beat_init.connect
def _say_ready(**_: Any) -> None:
    """Leave a mark for whoever waits until this process works."""
    path = os.environ.get("EXCHANGE_READY_FILE")
    if path:
        Path(path).write_text(str(os.getpid()))
