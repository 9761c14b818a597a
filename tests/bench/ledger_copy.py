"""`ledger.batch_vs_copy`: the time of batches against `COPY` of exactly the same rows.

What is copied is what posting wrote, batch by batch, read back in the order of writing; the
tables have the same columns, indexes and CHECKs, and no triggers. The text is made before the
clock starts.
"""

from __future__ import annotations

import time
from typing import Any

import psycopg
from psycopg import sql

from tests.bench.contest import Contest, Stage
from tests.bench.ledger_books import Books, Poster

BATCH = 1_000
_TABLES = ("ledger_transfer", "ledger_entry")


def copy_contest(stage: Stage, books: Books) -> Contest:
    """Milliseconds a batch: posting to copying."""
    count = stage.size(60, 3)
    copies = _Copies(books, count)
    poster = Poster(books.env, 3)
    return Contest(
        name="ledger.batch_vs_copy",
        measure=f"time of a batch of {BATCH:,}, to COPY of the same rows into the same indexes",
        unit="ms",
        better="lower",
        run=lambda: copies.post(poster),
        reference=copies.copy,
    )


class _Copies:
    """Tables like the ledger's, and the rows of the batches that were posted last."""

    def __init__(self, books: Books, count: int) -> None:
        self._books = books
        self._count = count
        self._connection: psycopg.Connection[Any] = books.connect()
        self._texts: list[tuple[bytes, bytes]] = []
        for table in _TABLES:
            self._connection.execute(
                sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                    sql.Identifier(f"copy_{table}"), sql.Identifier(table)
                )
            )

    def post(self, poster: Poster) -> float:
        """Post the batches, then read back what they wrote, a transaction each."""
        since = self._scalar("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        poster.do("prepare", count=self._count, size=BATCH)
        seconds: float = poster.do("go")["seconds"]
        xids = self._connection.execute(
            "SELECT DISTINCT xid::text::int8 FROM ledger_transfer WHERE xid >= %s::xid8 ORDER BY 1",
            [since],
        ).fetchall()
        self._texts = [(self._text(x, "t.*", ""), self._text(x, "e.*", _ENTRIES)) for (x,) in xids]
        return seconds / self._count * 1000

    def copy(self) -> float:
        """Copy the same rows, a transaction a batch."""
        assert self._texts, "the first round posts first"
        self._connection.execute("TRUNCATE copy_ledger_transfer, copy_ledger_entry")
        started = time.perf_counter()
        for texts in self._texts:
            with self._connection.transaction():
                for table, text in zip(_TABLES, texts, strict=True):
                    statement = sql.SQL("COPY {} FROM STDIN").format(
                        sql.Identifier(f"copy_{table}")
                    )
                    with self._connection.cursor().copy(statement) as copy:
                        copy.write(text)
        return (time.perf_counter() - started) / len(self._texts) * 1000

    def _text(self, xid: int, columns: str, join: str) -> bytes:
        query = sql.SQL(
            "COPY (SELECT {} FROM ledger_transfer t {} WHERE t.xid = {}::text::xid8) TO STDOUT"
        ).format(sql.SQL(columns), sql.SQL(join), sql.Literal(str(xid)))
        with self._connection.cursor().copy(query) as copy:
            return b"".join(bytes(block) for block in copy)

    def _scalar(self, query: str) -> str:
        row = self._connection.execute(query).fetchone()  # type: ignore[arg-type]
        assert row is not None
        return str(row[0])


_ENTRIES = "JOIN ledger_entry e ON e.transfer_id = t.id"
