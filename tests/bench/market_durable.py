"""`market.durable`: orders matched per second by the worker's own function, to `pgbench -N`.

One process works on one book: it admits what waits (one transaction), matches it and writes trades,
fills and holds (one transaction for each batch). Each order becomes one trade. The reference is
one client of `pgbench -N` on the same server: one transaction, durable, at a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import django

from tests.bench import province as laid
from tests.bench.contest import Contest, Stage
from tests.bench.pgbench import PgBench


def contests(stage: Stage) -> Iterator[Contest]:
    """Matching against pgbench; then in a book of many live orders against one of few."""
    django.setup()
    province = laid.prepared(stage.exchange)
    pgbench = PgBench.prepare(stage.exchange)
    count = stage.size(2_000, 100)
    few, many = stage.size(1_000, 100), stage.size(100_000, 1_000)
    laid.rest(province, "few", few)

    def matched(book: str) -> float:
        book_id = laid.place(province, book, count, limit=laid.MARKETABLE)
        return count / laid.match(book_id)

    matched("few")  # warm: the book's state is in memory from now on
    yield Contest(
        name="market.durable",
        measure=f"orders matched in batches of {count:,}, durable, to one client of pgbench -N",
        unit="orders/s",
        better="higher",
        run=lambda: matched("few"),
        reference=lambda: pgbench.simple_updates(seconds=stage.size(5, 1), clients=1),
    )
    laid.rest(province, "many", many)
    matched("many")
    yield Contest(
        name="market.durable_growth",
        measure=f"orders matched, durable, with {many:,} live orders in the book, to {few:,}",
        unit="orders/s",
        better="higher",
        run=lambda: matched("many"),
        reference=lambda: matched("few"),
    )
