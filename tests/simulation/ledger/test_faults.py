"""A seeded fault run: random calls by several processes while backends die and answers are lost.

In the end the books verify, every call stands exactly once or not at all, and the balances are
those that plain sums make of the calls that stand. ``SIMULATION_SEED`` repeats a run's calls.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from uuid import UUID

import pytest

from ledger import verify
from ledger.models import Entry, Hold, Transfer
from ledger.selectors import balances
from tests.databases import ROOT
from tests.simulation.ledger.actor import KEYS
from tests.unit.ledger.books import AVAILABLE, OTHER_AVAILABLE, SPECS, fund, open_books

PROCESSES, CALLS, FUNDS = 4, 300, 1000
SIDES = {spec.key: 1 if spec.normal_side == "debit" else -1 for spec in SPECS}


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("SIMULATION_SEED") or random.randrange(10**6))
    sys.stdout.write(f"SIMULATION_SEED={chosen}\n")  # pytest shows it where the run fails
    return chosen


def test_whatever_dies_every_call_stands_once_or_not_at_all(fresh_database, seed):
    open_books()
    fund(AVAILABLE, FUNDS)
    fund(OTHER_AVAILABLE, FUNDS)
    actors = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.simulation.ledger.actor"),
                *(str(number), str(seed), str(CALLS), fresh_database.admin_url),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(1, PROCESSES + 1)
    ]
    outcomes = [json.loads(actor.communicate(timeout=200)[0].splitlines()[-1]) for actor in actors]
    assert [actor.returncode for actor in actors] == [0] * PROCESSES

    assert [finding for finding in verify.checks() if not finding.ok] == []
    expected = Counter({AVAILABLE: FUNDS, OTHER_AVAILABLE: FUNDS})
    expected[next(key for key in KEYS if key.code == "bank")] = 2 * FUNDS
    held: Counter = Counter()
    standing: set[UUID] = set()
    hold_of: dict[UUID, tuple] = {}
    released: set[UUID] = set()
    answers: Counter = Counter()
    for group, answer in (
        (g, a) for o in outcomes for c, r in o for g, a in zip(c, r, strict=True)
    ):
        answers[answer] += 1
        if answer not in ("ok", "exists"):
            continue
        for operation in group:
            if "transfer" in operation and UUID(operation["transfer"]) not in standing:
                standing.add(UUID(operation["transfer"]))
                for key, amount in operation["legs"]:
                    expected[KEYS[key]] += amount * SIDES[KEYS[key]]
            elif "hold" in operation:
                hold_of[UUID(operation["hold"])] = (KEYS[operation["account"]], operation["amount"])
            elif "release" in operation:
                released.add(UUID(operation["release"]))
    for hold_id, (key, amount) in hold_of.items():
        held[key] += 0 if hold_id in released else amount

    found = balances(KEYS)
    assert {key: found[key].balance for key in KEYS} == {key: expected[key] for key in KEYS}
    assert {key: found[key].held for key in KEYS} == {key: held[key] for key in KEYS}
    assert set(Transfer.objects.filter(code="a.move").values_list("id", flat=True)) == standing
    assert set(Hold.objects.values_list("id", flat=True)) == set(hold_of)
    assert Entry.objects.count() == 2 * (len(standing) + 2)
    # The run was what it claims to be: calls were repeated, and floors stood in the way.
    assert answers["exists"] > 0
    assert answers["insufficient_funds"] > 0
