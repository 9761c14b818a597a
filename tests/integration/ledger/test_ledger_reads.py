"""Statements, balances at a moment, trial balance: exact figures."""

from __future__ import annotations

import pytest

from ledger.selectors import balance_at, open_holds, statement, trial_balance
from tests.unit.ledger.books import (
    AVAILABLE,
    BANK,
    COMMISSION,
    HOUR,
    NEVER_OPENED,
    NOW,
    PAYABLE,
    fund,
    hold,
    open_books,
    post_one,
    transfer,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def books():
    open_books()
    fund(AVAILABLE, 1000)
    # Recorded an hour later each, effective out of order.
    for n, (amount, effective) in enumerate([(100, 3), (200, 1), (300, 2)], start=1):
        move = transfer(AVAILABLE, PAYABLE, amount, effective_at=NOW + effective * HOUR)
        assert post_one(move, now=NOW + n * HOUR).code == "ok"


def test_a_statement_runs_in_the_order_of_booking():
    lines = statement(AVAILABLE)
    assert [(x.number, x.amount, x.balance_after) for x in lines] == [
        (1, 1000, 1000),
        (2, -100, 900),
        (3, -200, 700),
        (4, -300, 400),
    ]
    assert [x.number for x in statement(AVAILABLE, after=2, limit=1)] == [3]
    assert statement(AVAILABLE, after=4) == []
    assert statement(NEVER_OPENED) == []
    assert lines[1].effective_at == NOW + 3 * HOUR
    assert lines[1].recorded_at == NOW + HOUR


def test_a_striped_account_reads_as_one():
    amounts = list(range(1, 11))
    for n, amount in enumerate(amounts):
        assert post_one(transfer(BANK, COMMISSION, amount), now=NOW + n * HOUR).code == "ok"
    lines = statement(COMMISSION)
    assert [x.amount for x in lines] == amounts
    assert [x.balance_after for x in lines] == [n * (n + 1) // 2 for n in amounts]
    assert [x.number for x in statement(COMMISSION, after=7)] == [8, 9, 10]
    assert balance_at(COMMISSION, NOW) == 55


@pytest.mark.parametrize(
    ("hours", "effective", "recorded"),
    [(-1, 0, 0), (0, 1000, 1000), (1, 800, 900), (2, 500, 700), (3, 400, 400)],
)
def test_a_balance_at_a_past_moment(hours, effective, recorded):
    at = NOW + hours * HOUR
    assert balance_at(AVAILABLE, at) == effective
    assert balance_at(AVAILABLE, at, by="recorded") == recorded
    assert balance_at(BANK, at) == (1000 if hours >= 0 else 0)


def test_the_trial_balance_of_each_region_and_asset():
    (books,) = [b for b in trial_balance() if (b.region, b.asset) == ("zhengzhou", "CNY")]
    assert (books.debits, books.credits) == (1000, 1000)
    assert books.by_code["bank"] == 1000
    assert books.by_code["available"] == -400
    assert books.by_code["payable"] == -600
    (then,) = trial_balance(NOW + HOUR)
    assert (then.debits, then.credits) == (1000, 1000)
    assert then.by_code == {"bank": 1000, "available": -800, "payable": -200}
    (then,) = trial_balance(NOW + HOUR, by="recorded")
    assert then.by_code == {"bank": 1000, "available": -900, "payable": -100}


def test_open_holds_of_an_account():
    first, second = hold(AVAILABLE, 100), hold(AVAILABLE, 300)
    assert post_one(first).code == "ok"
    assert post_one(second, now=NOW + HOUR).code == "ok"
    assert post_one(transfer(AVAILABLE, PAYABLE, 40, hold=first.id)).code == "ok"
    assert [(h.id, h.rest) for h in open_holds(AVAILABLE)] == [(first.id, 60), (second.id, 300)]
    assert post_one(transfer(AVAILABLE, PAYABLE, 60, hold=first.id)).code == "ok"
    assert [h.id for h in open_holds(AVAILABLE)] == [second.id]


def test_a_moment_is_effective_or_recorded():
    with pytest.raises(ValueError, match="moment"):
        balance_at(AVAILABLE, NOW, by="now() OR true --")
