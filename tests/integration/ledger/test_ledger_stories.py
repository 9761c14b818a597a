"""Accounting stories: what happens in business, and every amount that it leaves in the books."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.ids import new_id
from ledger import verify
from ledger.models import Reversal, Transfer
from ledger.periods import close_period, open_next_period, open_period
from ledger.selectors import balance_at, balances, statement, transfers, trial_balance
from ledger.services import Leg, PostTransfer, ReleaseHold, expire_holds, reversal_of
from tests.unit.ledger.books import (
    AVAILABLE,
    BANK,
    BUYER,
    CLEARING,
    COMMISSION,
    FAR_PAYABLE,
    HOUR,
    MIRROR,
    NOW,
    PAYABLE,
    VOUCHER,
    VOUCHER_BUDGET,
    fund,
    hold,
    open_books,
    post_one,
    stand,
    transfer,
)

pytestmark = pytest.mark.django_db

YUAN = 1_000_000


@pytest.fixture(autouse=True)
def books():
    open_books()
    yield
    assert [finding for finding in verify.checks() if not finding.ok] == []


def charge(hold_id, *legs, code="charge.usage"):
    return PostTransfer(new_id(), code, BUYER, NOW, legs, hold=hold_id)


def test_a_top_up_is_what_the_bank_holds_for_the_buyer():
    assert post_one(transfer(BANK, AVAILABLE, 100 * YUAN, code="bank.deposit")).code == "ok"
    assert stand(BANK, AVAILABLE) == (100 * YUAN, 100 * YUAN)
    assert [line.amount for line in statement(AVAILABLE)] == [100 * YUAN]


def test_an_orders_hold_is_split_by_a_trade_and_the_surplus_is_free():
    fund(AVAILABLE, 100 * YUAN)
    order, trade = hold(AVAILABLE, 80 * YUAN), hold(AVAILABLE, 55 * YUAN)
    assert post_one(order).code == "ok"
    assert balances([AVAILABLE])[AVAILABLE].available == 20 * YUAN
    # Sixty of the order were for what is filled now, and the trade costs less than its limit.
    assert post_one(ReleaseHold(order.id, 60 * YUAN), trade).code == "ok"
    assert balances([AVAILABLE])[AVAILABLE].held == 75 * YUAN
    assert post_one(hold(AVAILABLE, 26 * YUAN)).code == "insufficient_funds"
    assert post_one(hold(AVAILABLE, 25 * YUAN)).code == "ok"


def test_a_partial_delivery_takes_its_part_and_gives_the_rest_back():
    fund(AVAILABLE, 100 * YUAN)
    trade = hold(AVAILABLE, 50 * YUAN, expires_at=NOW + HOUR)
    assert post_one(trade).code == "ok"
    used = (Leg(AVAILABLE, 20 * YUAN), Leg(PAYABLE, -19 * YUAN), Leg(COMMISSION, -1 * YUAN))
    assert post_one(charge(trade.id, *used)).code == "ok"
    assert stand(AVAILABLE, PAYABLE, COMMISSION) == (80 * YUAN, 19 * YUAN, 1 * YUAN)
    assert expire_holds(now=NOW + HOUR) == 1
    found = balances([AVAILABLE])[AVAILABLE]
    assert (found.held, found.available) == (0, 80 * YUAN)


def test_a_refund_undoes_a_charge_once_and_says_which():
    fund(AVAILABLE, 100 * YUAN)
    paid = transfer(AVAILABLE, PAYABLE, 30 * YUAN, code="charge.usage")
    assert post_one(paid).code == "ok"
    undo = reversal_of(paid, transfer_id=new_id(), code="charge.refund", effective_at=NOW)
    other = replace(undo, id=new_id())
    wrong = replace(undo, id=new_id(), legs=(Leg(AVAILABLE, -YUAN), Leg(PAYABLE, YUAN)))
    assert post_one(wrong).code == "reversal_refused"
    assert post_one(replace(undo, id=new_id(), reverses=new_id())).code == "reversal_refused"
    assert post_one(undo).code == "ok"
    assert post_one(undo).code == "exists"
    assert post_one(other).code == "reversal_refused"
    assert stand(AVAILABLE, PAYABLE) == (100 * YUAN, 0)
    assert Reversal.objects.get().reverses_id == paid.id
    assert transfers([undo.id])[undo.id].reverses == paid.id


def test_a_charge_across_regions_balances_in_each_of_them():
    fund(AVAILABLE, 100 * YUAN)
    one_journal = PostTransfer(
        new_id(),
        "charge.usage",
        BUYER,
        NOW,
        (
            Leg(AVAILABLE, 40 * YUAN),
            Leg(CLEARING, -40 * YUAN),
            Leg(MIRROR, 40 * YUAN),
            Leg(FAR_PAYABLE, -40 * YUAN),
        ),
    )
    assert post_one(one_journal).code == "ok"
    assert stand(AVAILABLE, CLEARING, MIRROR, FAR_PAYABLE) == (
        60 * YUAN,
        40 * YUAN,
        -40 * YUAN,
        40 * YUAN,
    )
    for books in trial_balance():
        assert books.debits == books.credits
    lopsided = replace(one_journal, id=new_id(), legs=one_journal.legs[:2] + one_journal.legs[3:])
    assert post_one(lopsided).code == "unbalanced"


def test_a_voucher_pays_its_share_in_its_own_asset():
    fund(AVAILABLE, 10 * YUAN)
    fund(VOUCHER, 5 * YUAN)
    legs = (
        Leg(AVAILABLE, 7 * YUAN),
        Leg(PAYABLE, -7 * YUAN),
        Leg(VOUCHER, 3 * YUAN),
        Leg(VOUCHER_BUDGET, -3 * YUAN),
    )
    assert post_one(PostTransfer(new_id(), "charge.usage", BUYER, NOW, legs)).code == "ok"
    assert stand(AVAILABLE, PAYABLE, VOUCHER, VOUCHER_BUDGET) == (
        3 * YUAN,
        7 * YUAN,
        2 * YUAN,
        2 * YUAN,
    )
    too_much = PostTransfer(
        new_id(), "charge.usage", BUYER, NOW, tuple(replace(one) for one in legs)
    )
    assert post_one(too_much).code == "insufficient_funds"


def test_a_payment_that_the_bank_returns_reopens_what_is_owed():
    fund(AVAILABLE, 50 * YUAN)
    assert post_one(transfer(AVAILABLE, PAYABLE, 50 * YUAN)).code == "ok"
    payout = transfer(PAYABLE, BANK, 50 * YUAN, code="settlement.payout")
    assert post_one(payout).code == "ok"
    assert stand(PAYABLE, BANK) == (0, 0)
    returned = reversal_of(
        payout, transfer_id=new_id(), code="bank.return", effective_at=NOW + HOUR
    )
    assert post_one(returned).code == "ok"
    assert stand(PAYABLE, BANK) == (50 * YUAN, 50 * YUAN)
    # As of the moment before, the payment stands.
    assert balance_at(PAYABLE, NOW) == 0


def test_a_period_closes_and_a_late_event_goes_into_the_next():
    fund(AVAILABLE, 100 * YUAN)
    first = open_period()
    closing, following = open_next_period(
        name="the next", now=NOW + HOUR, closing_codes=["settlement.payout"]
    )
    assert (closing.id, closing.state) == (first.id, "closing")
    # An event of the first period that comes late keeps its time and is booked into the next.
    late = transfer(AVAILABLE, PAYABLE, 10 * YUAN, effective_at=NOW)
    assert post_one(late, now=NOW + 2 * HOUR).code == "ok"
    assert Transfer.objects.get(id=late.id).period_id == following.id
    refused = replace(late, id=new_id(), period=closing.id)
    assert post_one(refused, now=NOW + 2 * HOUR).code == "period_closed"
    settles = replace(late, id=new_id(), code="settlement.payout", period=closing.id)
    assert post_one(settles, now=NOW + 2 * HOUR).code == "ok"
    closed = close_period(closing.id, now=NOW + 3 * HOUR)
    assert (closed.state, closed.kept_at) == ("closed", NOW + 3 * HOUR)
    again = replace(settles, id=new_id())
    assert post_one(again, now=NOW + 3 * HOUR).code == "period_closed"
    assert post_one(settles, now=NOW + 3 * HOUR).code == "exists"

    (kept,) = trial_balance(period=closing.id)
    assert (kept.debits, kept.credits) == (100 * YUAN, 100 * YUAN)
    assert kept.by_code == {
        "available": -90 * YUAN,
        "bank": 100 * YUAN,
        "payable": -10 * YUAN,
    }
    assert stand(AVAILABLE, PAYABLE) == (80 * YUAN, 20 * YUAN)
    # The late event counts from its own time on, whichever period it was booked into.
    assert balance_at(PAYABLE, NOW) == 20 * YUAN
    assert balance_at(PAYABLE, NOW + HOUR, by="recorded") == 0
    assert balance_at(PAYABLE, NOW + 2 * HOUR, by="recorded") == 20 * YUAN
