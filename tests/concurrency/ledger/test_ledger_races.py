"""Races of real processes: what one account, one id or one hold may become, whoever wins."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

from core.ids import new_id
from ledger import verify
from ledger.models import Account, Entry, Transfer
from ledger.selectors import holds
from tests.databases import ROOT
from tests.unit.ledger.books import (
    AVAILABLE,
    BANK,
    COMMISSION,
    NOW,
    OTHER_AVAILABLE,
    PAYABLE,
    fund,
    hold,
    of,
    open_books,
    post_one,
    stand,
)

# Each racer prints "ready", waits for a line, then runs its part and prints what it was answered.
RACER = """
import json, sys
from uuid import UUID
import django
django.setup()
from django.db import connection
from ledger.services import ReleaseHold, expire_holds, post
from tests.unit.ledger.books import *
connection.ensure_connection()
arguments = json.loads(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
answers = []
{part}
print(json.dumps(answers))
"""


@pytest.fixture
def books(fresh_database):
    open_books()
    fund(AVAILABLE, 1000)
    fund(OTHER_AVAILABLE, 1000)
    yield
    assert [finding for finding in verify.checks() if not finding.ok] == []


def race(*racers: tuple[str, dict]) -> list[list[str]]:
    """Start a process for each (part, arguments), let all go at once, return their answers."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACER.replace("{part}", part), json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for part, arguments in racers
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
        assert [process.returncode for process in processes] == [0] * len(processes)
        return answers
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_racing_debits_never_go_below_the_floor(books):
    part = """
for n in range(100):
    answers.append(post_one(transfer(AVAILABLE, PAYABLE, 7)).code)
"""
    answers = race(*[(part, {})] * 4)
    counted = Counter(code for one in answers for code in one)
    assert counted == {"ok": 142, "insufficient_funds": 258}
    assert (of(AVAILABLE), of(PAYABLE)) == ((6, 0, 6), (994, 0, 994))


def test_one_id_sent_by_many_makes_one_transfer(books):
    part = """
for n in range(50):
    move = transfer(AVAILABLE, PAYABLE, 7, transfer_id=UUID(arguments["id"]))
    answers.append(post_one(move).code)
"""
    answers = race(*[(part, {"id": str(new_id())})] * 8)
    counted = Counter(code for one in answers for code in one)
    assert counted == {"ok": 1, "exists": 399}
    assert of(PAYABLE) == (7, 0, 7)


def test_one_id_with_two_contents_and_no_account_in_common(books):
    """The key of the table decides, and the loser learns it as a result, not as an error."""
    part = """
mine, account = arguments["mine"], [AVAILABLE, OTHER_AVAILABLE][arguments["mine"]]
to = [PAYABLE, BANK][mine]
groups = [(transfer(account, to, 1, transfer_id=UUID(id)),) for id in arguments["ids"]]
for group in groups:
    answers.append(post([group], now=NOW)[0].code)
"""
    ids = [str(new_id()) for _ in range(60)]
    one, other = race((part, {"mine": 0, "ids": ids}), (part, {"mine": 1, "ids": ids}))
    assert {tuple(sorted(pair)) for pair in zip(one, other, strict=True)} == {
        ("conflicting_content", "ok")
    }
    assert Transfer.objects.filter(id__in=ids).count() == 60


def test_batches_over_the_same_accounts_in_any_order_do_not_deadlock(books):
    part = """
import random
dice = random.Random(arguments["seed"])
keys = [AVAILABLE, OTHER_AVAILABLE, PAYABLE, BANK, COMMISSION]
for n in range(15):
    groups = [(transfer(*dice.sample(keys, 2), 1),) for _ in range(20)]
    answers += [result.code for result in post(groups, now=NOW)]
"""
    answers = race(*[(part, {"seed": seed}) for seed in range(6)])
    codes = {code for one in answers for code in one}
    assert codes <= {"ok", "insufficient_funds"}
    assert Entry.objects.filter(account__code="commission").count() > 0
    assert sum(stand(BANK)) == sum(stand(AVAILABLE, OTHER_AVAILABLE, PAYABLE, COMMISSION))


def test_post_release_and_expiry_race_for_one_hold(books):
    """Each hold resolves once: what is posted, released and expired adds up to it."""
    made = [hold(AVAILABLE, 10, expires_at=NOW) for _ in range(40)]
    assert post_one(*made).code == "ok"
    posts = """
for id in arguments["ids"]:
    move = transfer(AVAILABLE, PAYABLE, 6, hold=UUID(id))
    answers.append(post_one(move).code)
"""
    releases = """
for id in arguments["ids"]:
    answers.append(post_one(ReleaseHold(UUID(id), 10)).code)
"""
    expiries = """
for n in range(20):
    answers.append(expire_holds(now=NOW + HOUR, limit=2))
"""
    ids = {"ids": [str(one.id) for one in made]}
    first, second, released, expired, expired_too = race(
        (posts, ids), (posts, ids), (releases, ids), (expiries, {}), (expiries, {})
    )
    assert {*first, *second, *released} <= {"ok", "hold_exhausted"}
    took = 0
    for view in holds([one.id for one in made]).values():
        assert view.rest in (0, 4)
        assert view.posted in (0, 6)  # two posts of 6 out of 10: only one can be
        assert view.posted + view.released + view.rest == 10
        took += view.posted
    won = first.count("ok") + second.count("ok")
    assert (took, *stand(PAYABLE, AVAILABLE)) == (6 * won, 6 * won, 1000 - 6 * won)
    ended = [view.resolution for view in holds([one.id for one in made]).values()]
    assert ended.count("expired") == sum(expired) + sum(expired_too)
    assert ended.count("released") == released.count("ok")


def test_a_transfer_of_a_rolled_back_caller_leaves_the_id_free(books):
    part = """
from django.db import transaction
for n, id in enumerate(arguments["ids"]):
    try:
        with transaction.atomic():
            answers.append(post_one(transfer(AVAILABLE, PAYABLE, 1, transfer_id=UUID(id))).code)
            if (n + arguments["odd"]) % 2:
                raise ZeroDivisionError
    except ZeroDivisionError:
        answers[-1] += ", undone"
"""
    ids = [str(new_id()) for _ in range(40)]
    one, other = race((part, {"ids": ids, "odd": 0}), (part, {"ids": ids, "odd": 1}))
    for pair in zip(one, other, strict=True):
        assert sorted(pair) in (
            ["exists, undone", "ok"],
            ["ok", "ok, undone"],
        )
    assert of(PAYABLE) == (40, 0, 40)


def test_hot_stripes_add_up_under_load(books):
    part = """
for n in range(60):
    answers.append(post_one(transfer(BANK, COMMISSION, 1)).code)
"""
    answers = race(*[(part, {})] * 4)
    assert Counter(code for one in answers for code in one) == {"ok": 240}
    assert (of(COMMISSION), of(BANK)) == ((240, 0, 240), (2240, 0, 2240))
    assert Account.objects.filter(code="commission", version__gt=0).count() > 1
