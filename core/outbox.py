"""The outbox: events are written with what they tell of, and numbered after commit.

Ids are given before commit, so a reader that remembers the last id can miss an event of a slower
transaction. ``relay`` therefore numbers events only once every transaction that could still add
an earlier one has ended (those below ``pg_snapshot_xmin``); readers follow the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import connection, transaction

from core.models import OutboxEvent

_NUMBER = """
INSERT INTO core_outboxposition (position, event_id, organisation_id)
SELECT %(last)s + row_number() OVER (ORDER BY xid, id), id, organisation_id
FROM core_outboxevent
WHERE xid >= %(from)s::text::xid8 AND xid < %(to)s::text::xid8
"""


def emit_many(events: Iterable[OutboxEvent]) -> None:
    """Write unsaved events in the current transaction, thousands in one statement."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("an event is written in the transaction of what it tells of")
    # A statement takes 65,535 parameters; a batch of a book can tell of thousands of trades.
    OutboxEvent.objects.bulk_create(events, batch_size=5000)


def relay() -> int:
    """Number the committed events that have no position yet; returns how many.

    Where another relay is at work this one does nothing. An event of a transaction that still
    runs, or beside an older one that still runs, waits for the next call.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT last_position, next_xid FROM core_outboxrelay FOR UPDATE SKIP LOCKED"
        )
        mark = cursor.fetchone()
        if mark is None:
            return 0
        # The horizon is taken first: the next statement's snapshot sees every event below it.
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())")
        horizon = int(cursor.fetchone()[0])
        if horizon <= int(mark[1]):
            return 0
        cursor.execute(_NUMBER, {"last": mark[0], "from": str(mark[1]), "to": str(horizon)})
        numbered: int = cursor.rowcount
        if numbered:
            cursor.execute(
                "UPDATE core_outboxrelay SET last_position = last_position + %s,"
                " next_xid = %s::text::xid8",
                [numbered, str(horizon)],
            )
    return numbered


def prune(*, before: datetime, limit: int) -> int:
    """Remove up to ``limit`` of the oldest events, as far as they are older; returns how many.

    The database refuses to go into the last week before the newest event. Where a relay is at work
    this does nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT core_prune_outbox(%s, %s)", [before, limit])
        pruned: int = cursor.fetchone()[0]
    return pruned
