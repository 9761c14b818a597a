"""`ledger.batch`, `ledger.single`: transfers per second by the ledger's service, to `pgbench -N`.

The service runs in this process on one connection as the app role, every call its own durable
transaction: floors, running balances, results by group. 1,000 buyers pay 1,000 providers, chosen
by a seeded dice, so a batch touches most of them. Calls are made before the clock starts. The
reference is one client of `pgbench -N` (prepared) on the same server.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from uuid import UUID

import django

from tests.bench.contest import Contest, Stage
from tests.bench.pgbench import PgBench

BATCH = 1_000


def contests(stage: Stage) -> Iterator[Contest]:
    """Transfers in batches of 1,000, then one at a time."""
    os.environ["DATABASE_URL"] = stage.exchange.database_url
    django.setup()
    pgbench = PgBench.prepare(stage.exchange)
    books = Books(parties=stage.size(1_000, 100))
    books.post(count=10, size=BATCH)  # warm: plans are made

    def reference() -> float:
        return pgbench.simple_updates(seconds=stage.size(5, 1), clients=1)

    yield Contest(
        name="ledger.batch",
        measure=f"transfers in batches of {BATCH:,}, one connection, to one client of pgbench -N",
        unit="transfers/s",
        better="higher",
        run=lambda: books.post(count=stage.size(60, 3), size=BATCH),
        reference=reference,
    )
    yield Contest(
        name="ledger.single",
        measure="transfers one at a time through the service, to one client of pgbench -N",
        unit="transfers/s",
        better="higher",
        run=lambda: books.post(count=stage.size(3_000, 200), size=1),
        reference=reference,
    )


class Books:
    """Funded buyers and the providers that they pay."""

    def __init__(self, *, parties: int) -> None:
        from core.clock import now
        from core.ids import new_id
        from ledger.services import AccountKey, AccountSpec, Leg, PostTransfer, open_accounts, post

        bank = AccountKey(UUID(int=1), "bank", "bench")
        self._buyers = [AccountKey(new_id(), "available", "bench") for _ in range(parties)]
        self._providers = [AccountKey(new_id(), "payable", "bench") for _ in range(parties)]
        self._dice = random.Random(7)
        open_accounts(
            [AccountSpec(bank, "debit")]
            + [AccountSpec(key, "credit", floor=True) for key in self._buyers]
            + [AccountSpec(key, "credit") for key in self._providers]
        )
        funds = 10**12
        deposits = [
            (
                PostTransfer(
                    new_id(), "bank.deposit", key.owner, now(), (Leg(bank, funds), Leg(key, -funds))
                ),
            )
            for key in self._buyers
        ]
        assert all(result.code == "ok" for result in post(deposits, now=now()))

    def post(self, *, count: int, size: int) -> float:
        """Transfers per second over ``count`` calls of ``size`` transfers."""
        from core.clock import now
        from ledger.services import post

        calls = [[self._payment() for _ in range(size)] for _ in range(count)]
        started = time.perf_counter()
        for call in calls:
            results = post(call, now=now())
            assert {result.code for result in results} == {"ok"}
        return count * size / (time.perf_counter() - started)

    def _payment(self):  # type: ignore[no-untyped-def]
        from core.clock import now
        from core.ids import new_id
        from ledger.services import Leg, PostTransfer

        buyer, provider = self._dice.choice(self._buyers), self._dice.choice(self._providers)
        amount = self._dice.randrange(1, 1_000_000)
        legs = (Leg(buyer, amount), Leg(provider, -amount))
        return (PostTransfer(new_id(), "charge.usage", buyer.owner, now(), legs),)
