"""Workers of the fault run: ``python -m tests.simulation.market.worker KIND SEED CLOCK``.

A ``matcher`` or a ``sweeper`` does what a Celery worker does, in a child that is killed at random
and started again, until its input ends. It says ``ready`` first, and how many died last.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import timedelta
from queue import Empty
from typing import Any

import django

django.setup()

import psycopg  # noqa: E402
from celery import current_app  # noqa: E402
from django.db import DatabaseError, InterfaceError, connection  # noqa: E402

from core import clock  # noqa: E402
from exchange.market import tasks as market  # noqa: E402
from exchange.market.orderly import tasks as orderly  # noqa: E402
from exchange.market.quick import warm_up  # noqa: E402
from exchange.market.standing import tasks as standing  # noqa: E402
from exchange.scheduling import tasks as scheduling  # noqa: E402
from exchangectl.process import die_with_parent  # noqa: E402
from tests.simulation.market import hourglass  # noqa: E402

# Django leaves an error of psycopg as it is where a cursor that streams is closed.
DATABASE_ERRORS = (DatabaseError, InterfaceError, psycopg.Error)
_CUT = (None, "57P01")  # the connection broke, or an administrator ended it


def unless_cut(error: Exception) -> None:
    """Raise ``error`` again, unless only this process's session was ended under it."""
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    cut = isinstance(cause, psycopg.OperationalError) and cause.sqlstate in _CUT
    if not cut and not isinstance(error, InterfaceError):
        raise error
    connection.close()


def match() -> None:
    """Answer the wake-ups of books, for ever."""
    with current_app.connection_for_read() as broker:
        hints = broker.SimpleQueue("market")
        while True:
            try:
                hint = hints.get(timeout=1)
            except Empty:
                continue
            hint.ack()
            _, ids, _ = hint.payload
            _do(market.match_book, **ids)


def sweep() -> None:
    """The sweeps of the market, over and over."""
    swept = (
        market.expire,
        standing.roll,
        orderly.publish_index,
        scheduling.pull_leases,
        market.sweep_books,
    )
    while True:
        for task in swept:
            _do(task)
        time.sleep(0.1)


def _do(task: Callable[..., Any], **ids: Any) -> None:
    try:
        task(**ids)
    except DATABASE_ERRORS as error:
        unless_cut(error)


def keep(work: Callable[[], None], dice: random.Random) -> int:
    """Let a child work, kill it and start another until the input ends; answers how many died."""
    kills, is_over, keeper = 0, False, os.getpid()
    while not is_over:
        child = os.fork()
        if not child:
            try:
                die_with_parent(signal.SIGKILL, keeper)
                work()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        dies_at = clock.now() + timedelta(hours=dice.uniform(0.3, 4))
        while clock.now() < dies_at and not is_over:
            is_over = bool(select.select([sys.stdin], [], [], 0.02)[0])
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            raise RuntimeError("a worker gave up by itself")
        kills += 1
    return kills


if __name__ == "__main__":
    kind, seed, glass = sys.argv[1:]
    hourglass.go_by(glass)
    warm_up()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    work = {"matcher": match, "sweeper": sweep}[kind]
    sys.stdout.write(json.dumps(keep(work, random.Random(seed))) + "\n")
