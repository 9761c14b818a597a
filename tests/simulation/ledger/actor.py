"""A process of the fault run: ``python -m tests.simulation.ledger.actor``.

It posts its share of random calls. Now and then its own backend is killed under it, before or
after the commit, or it forgets the answer; then it asks again, as a caller would, until it is
answered. Its last line says every call with the answer that stands in the end.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from uuid import UUID

import django

django.setup()

import psycopg  # noqa: E402
from django.db import DatabaseError, InterfaceError, connection  # noqa: E402

from ledger.operations import CreateHold, Group, Leg, PostTransfer, ReleaseHold  # noqa: E402
from ledger.services import post  # noqa: E402
from tests.unit.ledger.books import (  # noqa: E402
    AVAILABLE,
    BANK,
    COMMISSION,
    NOW,
    OTHER_AVAILABLE,
    PAYABLE,
)

KEYS = [AVAILABLE, OTHER_AVAILABLE, PAYABLE, BANK, COMMISSION]
REFERENCE = UUID(int=7)


class Actor:
    """Random calls of one process; ids are its own, so that the model can tell who asked."""

    def __init__(self, number: int, seed: int, killer_url: str) -> None:
        self._dice = random.Random(seed * 1000 + number)
        self._number = number
        self._made = 0
        self._holds: list[UUID] = []
        self._killer = psycopg.connect(killer_url, autocommit=True)

    def run(self, calls: int) -> list[list[object]]:
        """(call, answers) of each; a call is repeated, out of its order, after faults."""
        done: list[list[object]] = []
        again: list[list[Group]] = []
        for _ in range(calls):
            call = again.pop() if again and self._dice.random() < 0.5 else self._call()
            answer = self._ask(call)
            if answer is None:
                again.append(call)
            else:
                done.append([describe(call), answer])
        while again:
            call = again.pop()
            answer = self._ask(call, quietly=True)
            assert answer is not None
            done.append([describe(call), answer])
        return done

    def _ask(self, call: list[Group], *, quietly: bool = False) -> list[str] | None:
        """The answer, or None where it was lost: whether it was carried out is then unknown."""
        fault = 1.0 if quietly else self._dice.random()
        if fault < 0.06:
            connection.ensure_connection()
            backend = connection.connection.info.backend_pid
            delay = self._dice.random() * 0.004
            threading.Thread(target=self._kill, args=(backend, delay)).start()
        try:
            answer = [result.code for result in post(call, now=NOW)]
        except (DatabaseError, InterfaceError):
            connection.close()
            return None
        return None if fault > 0.94 and not quietly else answer

    def _kill(self, backend: int, delay: float) -> None:
        time.sleep(delay)
        self._killer.execute("SELECT pg_terminate_backend(%s)", [backend])

    def _call(self) -> list[Group]:
        return [self._group() for _ in range(self._dice.choice([1, 1, 2, 6]))]

    def _group(self) -> Group:
        kind = self._dice.random()
        if kind < 0.6:
            return (self._transfer(),)
        if kind < 0.8:
            account = self._dice.choice([AVAILABLE, OTHER_AVAILABLE])
            made = CreateHold(
                self._id(), account, self._dice.randint(1, 40), "a.hold", REFERENCE, None
            )
            self._holds.append(made.id)
            return (made,)
        if kind < 0.9 and self._holds:
            # A release by itself has no id; beside a transfer the group is known again.
            return (ReleaseHold(self._dice.choice(self._holds)), self._transfer())
        return (self._transfer(), self._transfer())

    def _transfer(self) -> PostTransfer:
        debit, credit = self._dice.sample(KEYS, 2)
        amount = self._dice.randint(1, 30)
        return PostTransfer(
            self._id(), "a.move", REFERENCE, NOW, (Leg(debit, amount), Leg(credit, -amount))
        )

    def _id(self) -> UUID:
        self._made += 1
        return UUID(int=(self._number << 32) + self._made)


def describe(call: list[Group]) -> list[list[dict[str, object]]]:
    """A call in plain values."""
    return [[_plain(operation) for operation in group] for group in call]


def _plain(operation: object) -> dict[str, object]:
    if isinstance(operation, PostTransfer):
        legs = [[KEYS.index(leg.account), leg.amount] for leg in operation.legs]
        return {"transfer": str(operation.id), "legs": legs}
    if isinstance(operation, CreateHold):
        account = KEYS.index(operation.account)
        return {"hold": str(operation.id), "account": account, "amount": operation.amount}
    assert isinstance(operation, ReleaseHold)
    return {"release": str(operation.hold)}


if __name__ == "__main__":
    number, seed, calls, killer_url = sys.argv[1:]
    done = Actor(int(number), int(seed), killer_url).run(int(calls))
    sys.stdout.write(json.dumps(done) + "\n")
