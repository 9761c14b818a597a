"""The ledger's figures, each to a reference of the same run on the same durable server.

Transfers have two entries, buyers (with a floor) and providers are 1,000 each, chosen by a seeded
dice. N₁ and N₈ are `pgbench -N` (prepared) at one and at eight clients. Batches are of 1,000
groups, each answered by itself, while another process seals.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

from tests.bench.contest import Contest, Stage
from tests.bench.ledger_books import (
    BUYERS,
    SINGLE_SQL,
    Books,
    Poster,
    script_file,
)
from tests.bench.ledger_copy import copy_contest
from tests.bench.ledger_partitions import partition_contests
from tests.bench.ledger_peers import peer_contests
from tests.bench.ledger_verify import verify_contest
from tests.bench.pgbench import PgBench

BATCH = 1_000
CLIENTS = 8


def contests(stage: Stage) -> Iterator[Contest]:
    """Every figure of the ledger."""
    pgbench = PgBench.prepare(stage.exchange)
    books = Books.make(stage.exchange, "bench_ledger")
    yield from _single(stage, pgbench, books)
    yield from _batch(stage, pgbench, books)
    yield copy_contest(stage, books)
    yield from peer_contests(stage, books, together)
    yield _balance_read(stage)
    yield _bytes_per_transfer(stage)
    yield verify_contest(stage)
    yield from partition_contests(stage, together)
    yield _at_size(stage)


def _single(stage: Stage, pgbench: PgBench, books: Books) -> Iterator[Contest]:
    seconds = stage.size(5, 1)
    script = script_file(Path(stage.exchange.data_dir), SINGLE_SQL)
    in_sql = books.pgbench(pgbench)

    def eight() -> float:
        return pgbench.simple_updates(seconds=seconds, clients=CLIENTS)

    yield Contest(
        name="ledger.single_sql",
        measure="single durable transfers by the SQL function, 8 clients, to pgbench -N at 8",
        unit="transfers/s",
        better="higher",
        run=lambda: in_sql.script(script, seconds=seconds, clients=CLIENTS),
        reference=eight,
    )
    with books.posters(CLIENTS) as posters:
        most = stage.size(1_000, 50) * seconds
        yield Contest(
            name="ledger.single_service",
            measure="single durable transfers by the service in 8 processes, to pgbench -N at 8",
            unit="transfers/s",
            better="higher",
            run=lambda: together(posters, count=most, size=1, seconds=seconds),
            reference=eight,
        )
        yield Contest(
            name="ledger.hot_single",
            measure="single transfers in 8 processes, all to one account, to spread ones",
            unit="transfers/s",
            better="higher",
            run=lambda: together(posters, count=most, size=1, seconds=seconds, hot=True),
            reference=lambda: together(posters, count=most, size=1, seconds=seconds),
        )


def _batch(stage: Stage, pgbench: PgBench, books: Books) -> Iterator[Contest]:
    count = stage.size(100, 3)
    with books.posters(1) as posters, sealing(books):
        together(posters, count=5, size=BATCH)  # plans are made
        yield Contest(
            name="ledger.batch",
            measure=f"transfers in batches of {BATCH:,}, one connection, to pgbench -N at one",
            unit="transfers/s",
            better="higher",
            run=lambda: together(posters, count=count, size=BATCH),
            reference=lambda: pgbench.simple_updates(seconds=stage.size(5, 1), clients=1),
        )
        yield Contest(
            name="ledger.hot_batch",
            measure="transfers in batches, all to one account, to spread ones",
            unit="transfers/s",
            better="higher",
            run=lambda: together(posters, count=count, size=BATCH, hot=True),
            reference=lambda: together(posters, count=count, size=BATCH),
        )


def _balance_read(stage: Stage) -> Contest:
    long, short = stage.size(1_000_000, 10_000), stage.size(1_000, 100)
    books = Books.make(stage.exchange, "bench_reads")
    for number, entries in ((1, long), (2, short)):
        books.lay_out_history(
            owner=str(UUID(int=BUYERS + number)), bank=str(UUID(int=1)), transfers=entries
        )
    poster = Poster(books.env, 1)

    def read(number: int) -> Callable[[], float]:
        count = stage.size(3_000, 100)
        return lambda: poster.do("read", count=count, of=number)["seconds"] / count * 1e6

    return Contest(
        name="ledger.balance_read",
        measure=f"a balance, account with {long:,} entries, to one with {short:,}",
        unit="µs",
        better="lower",
        run=read(1),
        reference=read(2),
    )


def _bytes_per_transfer(stage: Stage) -> Contest:
    books = Books.make(stage.exchange, "bench_bytes")
    count = stage.size(100, 3)

    def bytes_each() -> float:
        before = books.size_bytes()
        with books.posters(1) as posters:
            together(posters, count=count, size=BATCH)
        return (books.size_bytes() - before) / (count * BATCH)

    return Contest(
        name="ledger.bytes_per_transfer",
        measure="bytes of a transfer with two entries, tables and indexes, posted in batches",
        unit="bytes",
        better="lower",
        run=bytes_each,
        reference=lambda: 1.0,
        rounds=2,
    )


def _at_size(stage: Stage) -> Contest:
    """The last, since it leaves the most behind."""
    entries, count = stage.size(10_000_000, 20_000), stage.size(60, 3)
    large = Books.make(stage.exchange, "bench_large")
    large.lay_out(transfers=entries // 2)
    small = Books.make(stage.exchange, "bench_small")
    in_large, in_small = Poster(large.env, 1), Poster(small.env, 1)
    for poster in (in_large, in_small):
        together([poster], count=5, size=BATCH)  # plans are made
    return Contest(
        name="ledger.at_10m",
        measure=f"transfers in batches with {entries:,} entries present, to an empty ledger",
        unit="transfers/s",
        better="higher",
        run=lambda: together([in_large], count=count, size=BATCH),
        reference=lambda: together([in_small], count=count, size=BATCH),
    )


def together(
    posters: list[Poster], *, count: int, size: int, seconds: float | None = None, hot: bool = False
) -> float:
    """Transfers per second of all the posters at once, each with calls of its own."""
    for poster in posters:
        poster.tell("prepare", count=count, size=size, hot=hot)
    for poster in posters:
        poster.hear()
    for poster in posters:
        poster.tell("go", seconds=seconds)
    answers = [poster.hear() for poster in posters]
    return sum(a["transfers"] for a in answers) / max(a["seconds"] for a in answers)


@contextlib.contextmanager
def sealing(books: Books) -> Iterator[None]:
    """Seal every second meanwhile, as the exchange's beat does, in a process of its own."""
    over = threading.Event()
    sealer = Poster(books.env, 99)

    def seal() -> None:
        while not over.wait(1):
            sealer.do("seal")

    thread = threading.Thread(target=seal)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        sealer.end()
