"""At the ends of 64 bits: a balance may stand there, move from one to the other, never beyond."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.ids import new_id
from ledger import verify
from ledger.operations import MAX_AMOUNT
from ledger.periods import close_period, open_next_period
from ledger.selectors import balance_at, statement, trial_balance
from ledger.services import post
from tests.unit.ledger.books import (
    BANK,
    COMMISSION,
    HOUR,
    NOW,
    PAYABLE,
    open_books,
    post_one,
    stand,
    transfer,
)

pytestmark = pytest.mark.django_db

NEAR = 9 * MAX_AMOUNT  # one more leaves 64 bits


@pytest.fixture(autouse=True)
def books():
    open_books()
    yield
    assert [finding for finding in verify.checks() if not finding.ok] == []


def move(debit, credit, times, *, period=None, code="test.move", now=NOW):
    """So many of the largest transfers in one call; the codes of the answers."""
    one = replace(transfer(debit, credit, MAX_AMOUNT, code=code), period=period)
    groups = [(replace(one, id=new_id()),) for _ in range(times)]
    return [result.code for result in post(groups, now=now)]


def test_a_balance_stays_within_64_bits():
    codes = [post_one(transfer(BANK, PAYABLE, MAX_AMOUNT)).code for _ in range(10)]
    assert codes == ["ok"] * 9 + ["out_of_range"]
    assert stand(BANK, PAYABLE) == (NEAR, NEAR)


def test_a_call_may_move_a_balance_from_one_end_to_the_other():
    assert move(BANK, COMMISSION, 9) == ["ok"] * 9
    assert move(COMMISSION, BANK, 18) == ["ok"] * 18
    assert stand(BANK, COMMISSION) == (-NEAR, -NEAR)
    assert move(BANK, COMMISSION, 20) == ["ok"] * 18 + ["out_of_range"] * 2
    assert stand(BANK, COMMISSION) == (NEAR, NEAR)
    assert [line.balance_after for line in statement(COMMISSION)][-1] == NEAR


def test_a_period_closes_in_which_an_account_turned_over_more_than_64_bits():
    assert move(BANK, PAYABLE, 9) == ["ok"] * 9
    first, second = open_next_period(name="second", now=NOW)
    close_period(first.id, now=NOW)
    assert move(PAYABLE, BANK, 18) == ["ok"] * 18
    open_next_period(name="third", now=NOW)
    close_period(second.id, now=NOW)
    (kept,) = trial_balance(period=second.id)
    assert kept.by_code == {"bank": -NEAR, "payable": NEAR}
    assert balance_at(PAYABLE, NOW) == -NEAR


def test_a_period_closes_whose_own_entries_sum_to_more_than_64_bits():
    """What is booked into it while it closes comes on top of what left with the next one's."""
    assert move(BANK, PAYABLE, 9) == ["ok"] * 9
    first, _ = open_next_period(name="second", now=NOW, closing_codes=["late"])
    assert move(PAYABLE, BANK, 9, now=NOW + HOUR) == ["ok"] * 9
    assert move(BANK, PAYABLE, 9, code="late", period=first.id) == ["ok"] * 9
    close_period(first.id, now=NOW + HOUR)
    (kept,) = trial_balance(period=first.id)
    assert kept.by_code == {"bank": 2 * NEAR, "payable": -2 * NEAR}
    assert stand(BANK, PAYABLE) == (NEAR, NEAR)
