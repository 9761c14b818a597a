"""`ledger.partitioned_…`: twelve filled partitions against the same rows in one piece.

Both books hold the same transfers, spread over a year of ids; what is measured is new batches, and
reads that go back through all of it: a balance as it was recorded at a moment, and a page of a
statement from its middle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from ledger.partitions import carry_out, months_after, plan
from tests.bench.contest import Contest, Stage
from tests.bench.ledger_books import Books, Poster

MONTHS = 12
BATCH = 1_000


def partition_contests(stage: Stage, together: Callable[..., float]) -> Iterator[Contest]:
    """Writing into, and reading from, the partitioned books."""
    entries = stage.size(2_000_000, 20_000)
    now = datetime.now(UTC)
    posters = []
    for name, is_cut in (("bench_whole", False), ("bench_parts", True)):
        books = Books.make(stage.exchange, name)
        if is_cut:
            _cut_into_months(books, now)
        books.lay_out(transfers=entries // 2, days=365)
        posters.append(Poster(books.env, 1))
        together(posters[-1:], count=5, size=BATCH)  # plans are made
    whole, parts = posters
    count, reads = stage.size(60, 3), stage.size(1_000, 20)
    yield Contest(
        name="ledger.partitioned_batch",
        measure=f"transfers in batches with {entries:,} entries in {MONTHS} months, to one piece",
        unit="transfers/s",
        better="higher",
        run=lambda: together([parts], count=count, size=BATCH),
        reference=lambda: together([whole], count=count, size=BATCH),
    )
    for what, sentence in (
        ("moment", "a balance as recorded at a moment"),
        ("page", "a page of 100 lines of a statement"),
    ):
        yield Contest(
            name=f"ledger.partitioned_{what}",
            measure=f"{sentence}, {entries:,} entries in {MONTHS} months, to one piece",
            unit="µs",
            better="lower",
            run=_reading(parts, what, reads),
            reference=_reading(whole, what, reads),
        )
    for poster in posters:
        poster.end()


def _reading(poster: Poster, what: str, count: int) -> Callable[[], float]:
    return lambda: poster.do(what, count=count)["seconds"] / count * 1e6


def _cut_into_months(books: Books, now: datetime) -> None:
    """Cut at the beginnings of the last twelve months; the funds of a minute ago lie in the last.

    The rows there are cannot be before the first cut, so they are put aside meanwhile.
    """
    moments = months_after(now - timedelta(days=365), MONTHS)
    with books.connect(admin=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in ("ledger_transfer", "ledger_entry"):
            connection.execute(f"CREATE TABLE aside_{table} AS TABLE {table}".encode())
            connection.execute(f"DELETE FROM {table}".encode())
    with books.connect() as connection:
        carry_out(connection, plan(connection, moments))
    with books.connect(admin=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in ("ledger_transfer", "ledger_entry"):
            connection.execute(f"INSERT INTO {table} SELECT * FROM aside_{table}".encode())
            connection.execute(f"DROP TABLE aside_{table}".encode())
