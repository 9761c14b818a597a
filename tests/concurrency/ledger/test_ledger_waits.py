"""A call that had to wait for another one finds every account that it waited for."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest
from django.db import connection, transaction

from core.ids import new_id
from ledger import verify
from ledger.services import AccountKey, AccountSpec, open_accounts, post
from tests.unit.ledger.books import (
    AVAILABLE,
    BANK,
    COMMISSION,
    NOW,
    OTHER_AVAILABLE,
    PAYABLE,
    fund,
    hold,
    open_books,
    post_one,
    transfer,
)


@pytest.fixture
def books(fresh_database, owner_connection):
    open_books()
    fund(AVAILABLE, 1000)
    fund(OTHER_AVAILABLE, 1000)
    # The plan of small tables that were never analysed is another one than in production.
    others = [AccountKey(UUID(int=1000 + n), "payable", "zhengzhou") for n in range(3000)]
    open_accounts([AccountSpec(key, "credit") for key in others])
    post([(hold(OTHER_AVAILABLE, 1),) for _ in range(500)], now=NOW)
    owner_connection.execute("ANALYZE ledger_account, ledger_hold")
    yield
    assert [finding for finding in verify.checks() if not finding.ok] == []


def test_accounts_that_changed_meanwhile_are_still_found(books):
    held = new_id()
    assert post_one(hold(AVAILABLE, 100, hold_id=held)).code == "ok"
    changed, go_on = threading.Event(), threading.Event()

    def change_and_linger() -> None:
        with transaction.atomic():
            for account in (AVAILABLE, OTHER_AVAILABLE, PAYABLE, COMMISSION):
                assert post_one(transfer(BANK, account, 1)).code == "ok"
            changed.set()
            assert go_on.wait(20)
        connection.close()

    codes: list[str] = []

    def wait_and_post() -> None:
        taken = transfer(AVAILABLE, PAYABLE, 60, hold=held)
        codes.append(post_one(taken, transfer(OTHER_AVAILABLE, COMMISSION, 5)).code)
        connection.close()

    first = threading.Thread(target=change_and_linger)
    second = threading.Thread(target=wait_and_post)
    first.start()
    assert changed.wait(20)
    second.start()
    second.join(0.5)
    assert second.is_alive(), "it must wait for the first"
    go_on.set()
    first.join(20)
    second.join(20)
    assert codes == ["ok"]
