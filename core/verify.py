"""What ``manage.py verify`` prints: a finding for each thing that must hold over all data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one thing holds, and in a sentence what was found."""

    check: str
    ok: bool
    detail: str


def none_found(statements: Mapping[str, str]) -> Iterator[Finding]:
    """A finding for each statement, by its check's name: it selects, in words, what breaks it."""
    for name, statement in statements.items():
        with connection.cursor() as cursor:
            cursor.execute(statement)
            broken = [row[0] for row in cursor.fetchmany(5)]
        yield Finding(name, not broken, ", ".join(broken) if broken else "holds")


def checks() -> Iterator[Finding]:
    """The outbox is numbered without a gap from where it begins, and by this server."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relay.last_position, relay.first_position,"
            " (SELECT count(*) FROM core_outboxposition),"
            " (SELECT COALESCE(min(position), 1) FROM core_outboxposition),"
            " (SELECT COALESCE(max(position), 0) FROM core_outboxposition),"
            " (SELECT count(*) FROM core_outboxevent event WHERE event.xid < relay.next_xid),"
            " relay.next_xid <= pg_snapshot_xmax(pg_current_snapshot())"
            " FROM core_outboxrelay relay"
        )
        row = cursor.fetchone()
    if row is None:
        yield Finding("outbox.numbered", False, "the relay's row is missing")
        return
    last, first, count, lowest, highest, committed, same_cluster = row
    yield Finding(
        "outbox.numbered",
        (first, last, count) == (lowest, highest, committed) and count == last - first + 1,
        f"{count} positions from {lowest} to {highest}, {committed} events below the relay's mark",
    )
    yield Finding(
        "outbox.horizon",
        same_cluster,
        "the relay's mark lies in this server's past"
        if same_cluster
        else "the relay's mark lies ahead of this server's transactions: the data was loaded "
        "from a dump of another server; raise its counter with pg_resetwal",
    )
