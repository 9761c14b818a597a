"""The worker's own function on a real book: what matching adds to writing, and batches to singles.

One process works on one book: it admits what waits (one transaction), matches it and writes trades,
fills and holds (one transaction for each batch). Each order becomes one trade.

- `market.durable`: the time of batches of 2,000, admission and reading included, to the time that
  the same rows take to be written by the same statements: `writing.write_batch` and the commit, of
  the same batches.
- `market.durable_vs_single`: orders per second to those where each order is a batch of its own,
  which does the same work in transactions of its own.
- `market.durable_pgbench`: orders per second to one client of `pgbench -N` on the same server.
- `market.durable_growth`: with 100,000 live orders in the book, to 1,000.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django

from tests.bench import province as laid
from tests.bench.contest import Contest, Stage
from tests.bench.pgbench import PgBench


def contests(stage: Stage) -> Iterator[Contest]:
    """Matching against its own writes, singles, pgbench; then many live orders against few."""
    django.setup()
    province = laid.prepared(stage.exchange)
    pgbench = PgBench.prepare(stage.exchange)
    count = stage.size(2_000, 100)
    few, many = stage.size(1_000, 100), stage.size(100_000, 1_000)
    laid.rest(province, "few", few)

    def matched(book: str, count: int = count) -> float:
        book_id = laid.place(province, book, count, limit=laid.MARKETABLE)
        return count / laid.match(book_id)

    matched("few")  # warm: the book's state is in memory from now on
    stopwatch = Stopwatch()

    def whole_ms() -> float:
        with stopwatch.on_writing():
            return count / matched("few") * 1e3

    def writing_ms() -> float:
        """Of the batches of the same round; where the reference goes first, of others like them."""
        if not stopwatch.seconds:
            whole_ms()
        seconds, stopwatch.seconds = stopwatch.seconds, 0.0
        return seconds * 1e3

    yield Contest(
        name="market.durable",
        measure=f"a batch of {count:,} orders, to writing its rows by the same statements",
        unit="ms",
        better="lower",
        run=whole_ms,
        reference=writing_ms,
    )
    yield Contest(
        name="market.durable_vs_single",
        measure=f"orders matched in batches of {count:,}, durable, to batches of one",
        unit="orders/s",
        better="higher",
        run=lambda: matched("few"),
        reference=lambda: _one_by_one(lambda: matched("few", stage.size(100, 20))),
    )
    yield Contest(
        name="market.durable_pgbench",
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


class Stopwatch:
    """How long the rows of the batches last matched took to be written and committed."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def on_writing(self) -> Iterator[None]:
        """Watch `matching` from the first statement that writes a batch until its commit."""
        from exchange.market import matching, writing

        match_once, write_batch = matching._match_once, writing.write_batch
        began = 0.0

        def watched_write(*args: Any) -> bool:
            nonlocal began
            began = time.perf_counter()
            return write_batch(*args)

        def watched_match(batch: Any) -> bool:
            done = match_once(batch)
            self.seconds += time.perf_counter() - began
            return done

        self.seconds = 0.0
        matching._match_once, writing.write_batch = watched_match, watched_write
        try:
            yield
        finally:
            matching._match_once, writing.write_batch = match_once, write_batch


def _one_by_one(run: Any) -> float:
    from exchange.market import admission

    most, admission.BATCH_EVENTS = admission.BATCH_EVENTS, 1
    try:
        return float(run())
    finally:
        admission.BATCH_EVENTS = most
