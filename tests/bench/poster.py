"""A process that posts, for the ledger's benchmark: ``python -m tests.bench.poster``.

It reads a line of JSON for each thing to do and answers with one. ``prepare`` makes the calls,
before any clock starts; ``go`` posts them and says how long it took. The database is that of
``DATABASE_URL``, as the application's role.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from typing import Any
from uuid import UUID

import django

django.setup()

from django.db import connection  # noqa: E402 - after Django is set up

from core.clock import now  # noqa: E402
from core.ids import new_id  # noqa: E402
from ledger import verify  # noqa: E402
from ledger.operations import AccountKey, AccountSpec, Group, Leg, PostTransfer  # noqa: E402
from ledger.selectors import balance_at, balances, statement  # noqa: E402
from ledger.services import open_accounts, post, seal_transfers  # noqa: E402
from tests.bench.ledger_books import BUYERS, PARTIES, PROVIDERS, REGION  # noqa: E402

FUNDS = 10**14
BANK = AccountKey(UUID(int=1), "bank", REGION)
HOT = AccountKey(UUID(int=1), "commission", REGION)


def buyer(n: int) -> AccountKey:
    """A funded account with a floor; ``n`` from 1 to ``PARTIES``."""
    return AccountKey(UUID(int=BUYERS + n), "available", REGION)


def provider(n: int) -> AccountKey:
    """An account without floor; ``n`` from 1 to ``PARTIES``."""
    return AccountKey(UUID(int=PROVIDERS + n), "payable", REGION)


class Poster:
    """The verbs of this process, by the names that come over the pipe."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._calls: list[list[Group]] = []

    def open(self, **_: Any) -> dict[str, Any]:
        """Open the accounts and fund the buyers."""
        parties = range(1, PARTIES + 1)
        open_accounts(
            [AccountSpec(BANK, "debit"), AccountSpec(HOT, "credit", stripes=16)]
            + [AccountSpec(buyer(n), "credit", floor=True) for n in parties]
            + [AccountSpec(provider(n), "credit") for n in parties]
        )
        deposits: list[Group] = [
            (self._transfer("bank.deposit", BANK, buyer(n), FUNDS),) for n in parties
        ]
        assert all(result.ok for result in post(deposits, now=now()))
        return {}

    def prepare(self, *, count: int, size: int, hot: bool = False) -> dict[str, Any]:
        """Make ``count`` calls of ``size`` groups: buyers pay providers, or all the hot account."""
        self._calls = [[self._payment(hot) for _ in range(size)] for _ in range(count)]
        return {}

    def go(self, *, seconds: float | None = None) -> dict[str, Any]:
        """Post what was prepared, or as much of it as ``seconds`` allow."""
        posted = 0
        started = time.perf_counter()
        for call in self._calls:
            results = post(call, now=now())
            assert all(result.ok for result in results)
            posted += len(results)
            if seconds is not None and time.perf_counter() - started > seconds:
                break
        return {"seconds": time.perf_counter() - started, "transfers": posted}

    def read(self, *, count: int, of: int) -> dict[str, Any]:
        """Read the balance of the buyer ``of`` so many times."""
        key = buyer(of)
        balances([key])
        started = time.perf_counter()
        for _ in range(count):
            balances([key])
        return {"seconds": time.perf_counter() - started}

    def moment(self, *, count: int) -> dict[str, Any]:
        """Read so many buyers' balances as they were recorded by now."""
        balance_at(buyer(1), now(), by="recorded")
        started = time.perf_counter()
        for n in range(count):
            balance_at(buyer(n % PARTIES + 1), now(), by="recorded")
        return {"seconds": time.perf_counter() - started}

    def page(self, *, count: int) -> dict[str, Any]:
        """Read a page from the middle of so many buyers' statements."""
        statement(buyer(1))
        started = time.perf_counter()
        for n in range(count):
            statement(buyer(n % PARTIES + 1), after=500)
        return {"seconds": time.perf_counter() - started}

    def seal(self, **_: Any) -> dict[str, Any]:
        """Seal what there is."""
        sealed = 0
        while more := seal_transfers(now=now()):
            sealed += more
        return {"sealed": sealed}

    def verify(self, **_: Any) -> dict[str, Any]:
        """Replay the books; the figures of this process's memory are of its whole life."""
        started = time.perf_counter()
        findings = list(verify.checks())
        seconds = time.perf_counter() - started
        assert all(finding.ok for finding in findings), [f for f in findings if not f.ok]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {"seconds": seconds, "peak_kib": peak}

    def _payment(self, hot: bool) -> Group:
        to = HOT if hot else provider(self._dice.randint(1, PARTIES))
        amount = self._dice.randrange(1, 1_000_000)
        return (self._transfer("charge.usage", buyer(self._dice.randint(1, PARTIES)), to, amount),)

    def _transfer(
        self, code: str, debit: AccountKey, credit: AccountKey, amount: int
    ) -> PostTransfer:
        legs = (Leg(debit, amount), Leg(credit, -amount))
        return PostTransfer(new_id(), code, credit.owner, now(), legs)


def main() -> None:
    """Answer each line until there is none."""
    poster = Poster(int(sys.argv[1]))
    connection.ensure_connection()
    for line in sys.stdin:
        asked = json.loads(line)
        answer = getattr(poster, asked.pop("do"))(**asked)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
