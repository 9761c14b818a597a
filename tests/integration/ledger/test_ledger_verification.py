"""Verifying far and again: tampering above a seal, heads kept outside, memory that stays flat."""

from __future__ import annotations

import json
import resource
import time
import tracemalloc
from datetime import timedelta
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from core.management.commands.verify import findings
from core.sealing import seal
from ledger import verify
from ledger.models import Seal, Verification
from ledger.periods import close_period, open_next_period
from ledger.sealing import SEALED
from ledger.services import post, reversal_of
from tests.integration.ledger.tampering import broken, connected_as, found_after, seal_all
from tests.unit.ledger.books import (
    AVAILABLE,
    BANK,
    NOW,
    OTHER_AVAILABLE,
    PAYABLE,
    fund,
    hold,
    open_books,
    post_one,
    transfer,
)

DAY = timedelta(days=1)


def last_seal():
    return Seal.objects.latest("number")


@pytest.fixture
def books(fresh_database):
    """Two closed periods and an open one, sealed; a hold posted in part, a reversal."""
    open_books()
    fund(AVAILABLE, 1000)
    paid = transfer(AVAILABLE, PAYABLE, 30)
    assert post_one(paid).code == "ok"
    closing, _ = open_next_period(name="second", now=NOW + DAY)
    close_period(closing.id, now=NOW + DAY)
    assert post_one(transfer(AVAILABLE, PAYABLE, 7), now=NOW + DAY).code == "ok"
    closing, _ = open_next_period(name="third", now=NOW + 2 * DAY)
    close_period(closing.id, now=NOW + 2 * DAY)
    set_aside = hold(AVAILABLE, 100)
    assert post_one(set_aside).code == "ok"
    now = NOW + 2 * DAY
    assert post_one(transfer(AVAILABLE, PAYABLE, 40, hold=set_aside.id), now=now).code == "ok"
    undo = reversal_of(paid, transfer_id=hold(BANK, 1).id, code="test.undo", effective_at=NOW)
    assert post_one(undo, now=now).code == "ok"
    seal_all(5)
    return fresh_database


@pytest.fixture
def as_superuser(books):
    """Django's connection in the hands of the superuser, whom no trigger stops."""
    with connected_as(books.admin_url):
        yield


_LAST = "(SELECT id FROM ledger_transfer WHERE code = 'test.undo')"
_FIRST = "(SELECT transfer_id FROM ledger_entry WHERE amount = 1000)"
# An entry that cancels itself with another hides in a sum of amounts.
_TO_AND_FRO = f"""
    INSERT INTO ledger_entry (transfer_id, account_id, amount, balance_after, version, position)
    SELECT {_LAST}, max(id), sign * 7, 0, 90 + sign, 9 + sign
      FROM ledger_account, (VALUES (1), (-1)) AS s (sign) GROUP BY sign"""
TAMPERINGS = [
    (
        f"UPDATE ledger_transfer SET recorded_at = '2026-01-01' WHERE id = {_LAST}",
        "ledger.recorded",
    ),
    ("UPDATE ledger_account SET recorded_at = '2027-01-01' WHERE code = 'bank'", "ledger.recorded"),
    ("UPDATE ledger_periodbalance SET turnover = turnover + 1", "ledger.periods"),
    ("UPDATE ledger_periodbalance SET balance = balance + 1 WHERE period_id = 2", "ledger.periods"),
    ("UPDATE ledger_periodbalance SET version_last = version_last + 1", "ledger.periods"),
    ("UPDATE ledger_periodbalance SET version_next = version_next + 1", "ledger.periods"),
    ("DELETE FROM ledger_periodbalance WHERE period_id = 1", "ledger.periods"),
    ("UPDATE ledger_transfer SET period_id = 1 WHERE period_id = 2", "ledger.periods"),
    ("UPDATE ledger_periodtotal SET debits = debits + 1 WHERE period_id = 2", "ledger.totals"),
    ("DELETE FROM ledger_periodtotal WHERE period_id = 2 AND code = 'bank'", "ledger.totals"),
    (
        f"UPDATE ledger_reversal SET reverses_id = {_FIRST} WHERE transfer_id = {_LAST}",
        "ledger.reversals",
    ),
    (_TO_AND_FRO, "ledger.reversals"),
    ("DELETE FROM ledger_entry WHERE hold_id IS NOT NULL", "ledger.holds"),
    ("UPDATE ledger_entry SET hold_id = NULL WHERE hold_id IS NOT NULL", "ledger.holds"),
    (
        "UPDATE ledger_hold SET account_id = (SELECT id FROM ledger_account WHERE code = 'bank')",
        "ledger.holds",
    ),
    ("UPDATE ledger_entry SET position = 3 WHERE position = 2", "ledger.transfers"),
    (
        "UPDATE ledger_account SET region = 'xinxiang' WHERE code = 'payable' AND balance <> 0",
        "ledger.transfers",
    ),
    ("DELETE FROM ledger_account WHERE code = 'payable' AND balance <> 0", "ledger.entries"),
    ("DELETE FROM ledger_entry", "ledger.balances"),
]


def test_tampering_with_periods_holds_and_times_is_found(books, as_superuser):
    findings = list(verify.checks())
    assert [f for f in findings if not f.ok] == []
    looked_at = {f.check: int(f.detail.split()[0]) for f in findings}
    assert looked_at["ledger.entries"] == 10
    assert looked_at["ledger.periods"] == 5
    assert looked_at["ledger.reversals"] == 1
    assert looked_at["ledger.totals"] == 6
    for tampering, check in TAMPERINGS:
        assert check in found_after(tampering), tampering
    assert broken() == set()


def test_a_row_moved_behind_the_seals_is_found(books, as_superuser):
    below = "UPDATE ledger_transfer SET xid = '9223372036854775807' WHERE id = " + _LAST
    assert found_after(below) == {"ledger.chain"}


_HEAD = "(SELECT max(number) FROM ledger_seal)"
ABOVE = [
    ("UPDATE ledger_entry SET amount = amount + 1 WHERE transfer_id = {}", "ledger.transfers"),
    ("UPDATE ledger_entry SET balance_after = 0 WHERE transfer_id = {}", "ledger.entries"),
    ("UPDATE ledger_entry SET version = version + 9 WHERE transfer_id = {}", "ledger.entries"),
    ("DELETE FROM ledger_entry WHERE transfer_id = {} AND position = 2", "ledger.transfers"),
    ("DELETE FROM ledger_entry WHERE transfer_id = {}", "ledger.transfers"),
    ("DELETE FROM ledger_transfer WHERE id = {}", "ledger.chain"),
    ("UPDATE ledger_transfer SET recorded_at = '2026-01-01' WHERE id = {}", "ledger.recorded"),
    ("UPDATE ledger_transfer SET reference = id WHERE id = {}", "ledger.chain"),
    ("UPDATE ledger_account SET balance = balance - 1 WHERE code = 'payable'", "ledger.balances"),
    ("UPDATE ledger_entry SET hold_id = NULL WHERE transfer_id = {}", "ledger.chain"),
    ("UPDATE ledger_hold SET posted = 2 WHERE amount = 9", "ledger.holds"),
    ("UPDATE ledger_account SET held = held + 1 WHERE balance < -1 AND floor", "ledger.held"),
    ("UPDATE ledger_periodbalance SET turnover = 0 WHERE period_id = 4", "ledger.periods"),
    ("DELETE FROM ledger_periodbalance WHERE period_id = 4", "ledger.periods"),
    (f"UPDATE ledger_seal SET hash = previous_hash WHERE number = {_HEAD}", "ledger.chain"),
]


def test_since_finds_what_was_tampered_with_above_the_seal_and_only_that(books, as_superuser):
    point = last_seal().number
    verify.remember(list(verify.checks()), by="the test", now=NOW)
    closing, _ = open_next_period(name="fourth", now=NOW + 3 * DAY)
    close_period(closing.id, now=NOW + 3 * DAY)
    set_aside = hold(AVAILABLE, 9)
    above = transfer(AVAILABLE, PAYABLE, 3, hold=set_aside.id)
    now = NOW + 3 * DAY
    assert [r.code for r in post([(set_aside,), (above,)], now=now)] == ["ok", "ok"]
    closing, _ = open_next_period(name="fifth", now=now)
    close_period(closing.id, now=now)
    seal_all(1)
    assert broken(since=0) == broken(since=point) == set()
    chain = next(f for f in verify.checks(since=0) if f.check == "ledger.chain")
    assert chain.detail.startswith("1 rows under 1 seals, 0 not yet sealed; continued from seal ")
    for tampering, check in ABOVE:
        assert check in found_after(tampering.format(f"'{above.id}'"), since=0), tampering
    # Below the point it is not looked for: the full run finds it, the continued one does not.
    below = f"UPDATE ledger_transfer SET reference = id WHERE id = {_LAST}"
    assert found_after(below, since=0) == set()
    assert found_after(below) == {"ledger.chain"}
    # The point itself is held against what was kept of it, in a full run too.
    forged = f"UPDATE ledger_seal SET hash = sha256(hash) WHERE number = {point}"
    gone = f"DELETE FROM ledger_seal WHERE number >= {point}"
    for tampering in (forged, gone):
        assert found_after(tampering, since=0) == {"ledger.verified"}
        assert "ledger.verified" in found_after(tampering)


def test_since_follows_an_account_whose_versions_and_transactions_cross(books):
    """What an older transaction booked later lies below the mark, between entries above it."""
    with books.connect() as older:
        older.execute("SELECT pg_current_xact_id()")
        assert post_one(transfer(AVAILABLE, PAYABLE, 1), now=NOW + 3 * DAY).code == "ok"
        older.rollback()
    seal_all(1)
    point = last_seal().number - 1
    assert broken(since=point) == set()


def test_what_was_verified_is_kept_and_continued_from(books):
    def run(**options):
        return [f for f in findings(by="auditor", **options) if f.check.startswith("ledger.")]

    assert not any("continued" in f.detail for f in run(since=0))  # nothing was verified yet
    first = Verification.objects.get()
    assert (first.seal, bytes(first.hash)) == (last_seal().number, bytes(last_seal().hash))
    assert first.verified_by == "auditor"
    assert post_one(transfer(AVAILABLE, PAYABLE, 1), now=NOW + 3 * DAY).code == "ok"
    seal_all(1)
    assert all(f.ok for f in run(since=0))
    assert Verification.objects.latest("id").seal == first.seal + 1
    # A run from a seal that was never verified leaves a gap below it: it is not kept.
    assert post_one(transfer(AVAILABLE, PAYABLE, 1), now=NOW + 3 * DAY).code == "ok"
    seal_all(1)
    unverified = last_seal().number
    assert post_one(transfer(AVAILABLE, PAYABLE, 1), now=NOW + 3 * DAY).code == "ok"
    seal_all(1)
    assert all(f.ok for f in run(since=unverified))
    assert Verification.objects.latest("id").seal == first.seal + 1
    assert [f.detail for f in run(since=99)] == ["there is no seal 99 to continue from"]
    with books.connect(owner=True) as raw, pytest.raises(psycopg.errors.RestrictViolation):
        raw.execute("UPDATE ledger_verification SET seal = 1")


def test_the_head_can_be_kept_outside(books):
    printed = StringIO()
    call_command("ledger_head", stdout=printed)
    head = json.loads(printed.getvalue())
    assert head == {
        "number": last_seal().number,
        "hash": bytes(last_seal().hash).hex(),
        "sealed_at": NOW.isoformat(),
        "count": 5,
    }
    assert broken(head=f"{head['number']}:{head['hash']}") == set()
    other = head["hash"][:-1] + ("0" if head["hash"][-1] != "0" else "1")
    for wrong in (f"{head['number']}:{other}", f"{head['number'] + 1}:{head['hash']}", "x", "1:"):
        assert broken(head=wrong) == {"ledger.head"}
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("verify", head=f"1:{'0' * 64}", only="ledger", stdout=out, stderr=StringIO())
    assert out.getvalue().count("FAIL") == 1
    assert Verification.objects.count() == 0


def test_the_head_of_an_empty_chain_is_seal_0(fresh_database):
    printed = StringIO()
    call_command("ledger_head", stdout=printed)
    assert json.loads(printed.getvalue()) == {
        "number": 0,
        "hash": "00" * 32,
        "sealed_at": None,
        "count": 0,
    }


def test_a_seal_takes_whole_transactions_and_no_more_than_its_limit(fresh_database):
    open_books()
    fund(AVAILABLE, 1000)
    for transfers in (1, 2, 5, 1):
        groups = [(transfer(AVAILABLE, OTHER_AVAILABLE, 1),) for _ in range(transfers)]
        assert all(result.ok for result in post(groups, now=NOW))
    until = time.monotonic() + 60
    sealed = 0
    with fresh_database.connect() as horizon:
        while time.monotonic() < until and sealed < 10:
            mine = "SELECT pg_snapshot_xmin(pg_current_snapshot()) > max(xid) FROM ledger_transfer"
            if horizon.execute(mine).fetchone()[0]:
                sealed += seal(SEALED, now=NOW, limit=3)
            horizon.rollback()
            time.sleep(0.02)
    assert list(Seal.objects.order_by("number").values_list("row_count", flat=True)) == [2, 2, 5, 1]
    assert broken() == set()


def test_a_hash_is_that_of_the_json_of_transfer_and_entries(fresh_database):
    open_books()
    fund(AVAILABLE, 100)
    set_aside = hold(AVAILABLE, 10)
    assert post_one(set_aside).code == "ok"
    odd = 'a "quoted"\\\n值\u2028'
    assert post_one(transfer(AVAILABLE, PAYABLE, 4, code=odd, hold=set_aside.id)).code == "ok"
    jsonb = """sha256(convert_to(jsonb_build_array(t.id, t.code, t.reference, t.period_id,
        t.entry_count, t.effective_at AT TIME ZONE 'UTC', t.recorded_at AT TIME ZONE 'UTC',
        (SELECT jsonb_agg(jsonb_build_array(e.account_id, e.amount, e.balance_after, e.version,
                                            e.hold_id) ORDER BY e.position)
           FROM ledger_entry e WHERE e.transfer_id = t.id))::text, 'UTF8'))"""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Asia/Shanghai'")
        cursor.execute(
            f"SELECT count(*) FROM ({SEALED.rows_sql(judged=False)}) r"
            f" JOIN ledger_transfer t ON t.id = r.key WHERE r.hash = {jsonb}",
            {"xid_from": "0", "xid_to": "9223372036854775807"},
        )
        assert cursor.fetchone() == (2,)


_LAY_OUT = """
    WITH made AS (
        SELECT n, uuidv7(n * interval '1 ms' - interval '1 day') AS id
          FROM generate_series(1, %(transfers)s) n),
    transfers AS (
        INSERT INTO ledger_transfer (id, code, reference, effective_at, recorded_at, period_id,
                                     entry_count)
        SELECT id, 'test.move', id, now(), now(), 1, 2 FROM made)
    INSERT INTO ledger_entry (transfer_id, account_id, amount, balance_after, version, position)
    SELECT m.id, a.id, a.normal_side, m.n * a.normal_side, m.n,
           CASE a.normal_side WHEN 1 THEN 1 ELSE 2 END
      FROM made m CROSS JOIN ledger_account a
     WHERE a.code = 'bank' OR a.code = 'payable' AND a.region = 'zhengzhou'
"""


def test_memory_does_not_grow_with_the_rows(fresh_database):
    open_books()
    admin = fresh_database.admin_url.rsplit("/", 1)[0] + f"/{fresh_database.name}"
    with psycopg.connect(admin) as raw:
        raw.execute("SET session_replication_role = replica")
        raw.execute(_LAY_OUT, {"transfers": 100_000})
        raw.execute(
            "UPDATE ledger_account SET version = 100000, balance = 100000 * normal_side,"
            " recorded_at = now()"
            " WHERE code = 'bank' OR code = 'payable' AND region = 'zhengzhou'"
        )
    with psycopg.connect(admin, autocommit=True) as raw:
        raw.execute("VACUUM (ANALYZE) ledger_entry, ledger_transfer")
    assert len(list(verify.checks())) == 13  # everything is loaded that one run needs
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    seal_all(100_000)
    found = list(verify.checks())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [f for f in found if not f.ok] == []
    # One transaction of 100,000 transfers, 3.2 MB of hashes: chunks of them are all that comes.
    assert peak < 8 * 2**20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident < 40 * 1024
