"""Tampering that got past every guard is found by ``verify``; sealing waits for nobody."""

from __future__ import annotations

import pytest
from django.db import connection

from core.ids import new_id
from ledger import verify
from ledger.models import Seal
from ledger.services import Leg, PostTransfer, seal_transfers
from tests.integration.ledger.tampering import broken, connected_as, found_after, seal_all
from tests.unit.ledger.books import (
    AVAILABLE,
    BANK,
    BUYER,
    CLEARING,
    NOW,
    PAYABLE,
    fund,
    hold,
    open_books,
    post_one,
    transfer,
)


@pytest.fixture
def books(fresh_database):
    """Sealed books with a hold that is posted in part."""
    open_books()
    fund(AVAILABLE, 1000)
    set_aside = hold(AVAILABLE, 100)
    assert post_one(set_aside).code == "ok"
    assert post_one(transfer(AVAILABLE, PAYABLE, 40, hold=set_aside.id)).code == "ok"
    seal_all(2)
    assert post_one(transfer(AVAILABLE, PAYABLE, 1)).code == "ok"
    seal_all(1)
    return fresh_database


def test_sound_books_verify(books):
    findings = list(verify.checks())
    assert [f for f in findings if not f.ok] == []
    assert len(findings) == 13


@pytest.fixture
def as_owner(books):
    """Django's connection in the hands of the owner of the tables."""
    with connected_as(books.owner_url):
        yield


# Region and asset of the two sides, joined, read alike.
_TWO_PLACES = """
    UPDATE ledger_account SET region = CASE code WHEN 'payable' THEN 'a/b' ELSE 'a' END,
                              asset = CASE code WHEN 'payable' THEN 'c' ELSE 'b/c' END
     WHERE balance <> 0"""
TAMPERINGS = [
    (_TWO_PLACES, "ledger.transfers"),
    ("UPDATE ledger_entry SET amount = amount + 1 WHERE version = 1", "ledger.transfers"),
    ("UPDATE ledger_entry SET balance_after = 0 WHERE version = 1", "ledger.entries"),
    ("UPDATE ledger_entry SET version = 9 WHERE version = 3", "ledger.entries"),
    ("DELETE FROM ledger_entry WHERE position = 2 AND amount = -1", "ledger.transfers"),
    ("DELETE FROM ledger_transfer WHERE code = 'test.move'", "ledger.entries"),
    ("UPDATE ledger_account SET balance = balance - 1 WHERE code = 'bank'", "ledger.balances"),
    (
        "UPDATE ledger_account SET held = 61 WHERE code = 'available' AND balance <> 0",
        "ledger.held",
    ),
    ("UPDATE ledger_hold SET posted = 39", "ledger.holds"),
    ("UPDATE ledger_account SET balance = 5 WHERE code = 'bank'", "ledger.trial_balance"),
    ("UPDATE ledger_transfer SET reference = gen_random_uuid()", "ledger.chain"),
    ("UPDATE ledger_transfer SET effective_at = now()", "ledger.chain"),
    ("UPDATE ledger_seal SET hash = previous_hash WHERE number = 1", "ledger.chain"),
    ("DELETE FROM ledger_seal WHERE number = 1", "ledger.chain"),
    ("UPDATE ledger_account SET held = 5000 WHERE code = 'available'", "ledger.floors"),
]


def test_tampering_is_found(books, as_owner):
    with connection.cursor() as cursor:
        for table in ("account", "hold", "transfer", "entry", "seal"):
            cursor.execute(f"ALTER TABLE ledger_{table} DISABLE TRIGGER USER")
        cursor.execute(
            "ALTER TABLE ledger_account DROP CONSTRAINT ledger_available_never_below_floor"
        )
    for tampering, found in TAMPERINGS:
        assert found in found_after(tampering, guarded=True), tampering
    assert broken() == set()


@pytest.mark.parametrize("legs", [3, 70])
def test_a_position_that_stands_twice_is_found(books, legs):
    """Not sealed yet, so that the chain cannot tell; between the first position and the last."""
    parts = (Leg(AVAILABLE, legs - 1), *[Leg(PAYABLE, -1)] * (legs - 1))
    assert post_one(PostTransfer(new_id(), "many.legs", BUYER, NOW, parts)).code == "ok"
    twice = (
        "UPDATE ledger_entry SET position = position - 1 WHERE position = 2 AND transfer_id ="
        " (SELECT id FROM ledger_transfer WHERE code = 'many.legs')"
    )
    with connected_as(books.admin_url):
        assert found_after(twice) == {"ledger.transfers"}
        assert broken() == set()


def test_a_pair_of_clearing_accounts_out_of_step_is_found(books):
    assert broken() == set()
    assert post_one(transfer(BANK, CLEARING, 5)).code == "ok"  # without its mirror
    assert broken() == {"ledger.clearing"}


def test_a_running_transaction_is_not_sealed_and_not_waited_for(books):
    with books.connect() as writer:
        # Any transaction that has written: its transfers may still come.
        writer.execute("SELECT pg_current_xact_id()")
        assert post_one(transfer(AVAILABLE, PAYABLE, 2)).code == "ok"
        assert seal_transfers(now=NOW) == 0
        writer.commit()
    seal_all(1)
    assert seal_transfers(now=NOW) == 0
    assert sum(Seal.objects.values_list("row_count", flat=True)) == 4
    assert broken() == set()
