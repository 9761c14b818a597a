"""`ledger.verify`: the replay of all books against one plain pass over the same rows.

The plain pass hashes every entry and sums every account's in the order of its versions, in one
query without parallelism: less than verifying needs, and no less than it must read.
"""

from __future__ import annotations

import time

from tests.bench.contest import Contest, Stage
from tests.bench.ledger_books import Books, Poster

_PLAIN_PASS = """
    SELECT count(*), max(length(hash)), max(running) FROM (
        SELECT sha256(convert_to(e::text, 'UTF8')) AS hash,
               sum(e.amount) OVER (PARTITION BY e.account_id ORDER BY e.version) AS running
          FROM ledger_entry e) all_of_them
"""


def verify_contest(stage: Stage) -> Contest:
    """Seconds of the replay to those of the plain pass."""
    entries = stage.size(5_000_000, 20_000)
    books = Books.make(stage.exchange, "bench_verify")
    books.lay_out(transfers=entries // 2)
    poster = Poster(books.env, 1)
    poster.do("seal")

    def plain() -> float:
        with books.connect() as connection:
            connection.execute("SET max_parallel_workers_per_gather = 0")
            started = time.perf_counter()
            connection.execute(_PLAIN_PASS)
            return time.perf_counter() - started

    return Contest(
        name="ledger.verify",
        measure=f"verify of {entries:,} entries, to one pass of hashes and sums over them",
        unit="s",
        better="lower",
        run=lambda: poster.do("verify")["seconds"],
        reference=plain,
        rounds=stage.size(3, 1),
    )
