"""Posting against closing, by real processes: nothing comes into a period that is closed."""

from __future__ import annotations

from collections import Counter

import psycopg
import pytest
from psycopg import errors

from ledger.models import Period, PeriodState, Transfer
from ledger.periods import close_period, open_next_period
from ledger.selectors import balances, trial_balance
from tests.concurrency.ledger.test_ledger_races import books, race  # noqa: F401 - a fixture
from tests.integration.ledger.raw import account
from tests.unit.ledger.books import AVAILABLE, BANK, HOUR, NOW, PAYABLE

POSTERS = """
for n in range(60):
    groups = [(transfer(BANK, PAYABLE, 1),) for _ in range(arguments["size"])]
    answers += [result.code for result in post(groups, now=NOW)]
"""
# Into the period named, while somebody closes it.
SETTLERS = """
from dataclasses import replace
for n in range(60):
    one = replace(transfer(BANK, PAYABLE, 1), code="settle", period=arguments["period"])
    answers.append(post_one(one).code)
"""
CLOSER = """
from ledger.periods import close_period, open_next_period
for n in range(8):
    closing, _ = open_next_period(name=f"period {n}", now=NOW, closing_codes=["settle"])
    close_period(closing.id, now=NOW)
    answers.append("closed")
"""


def test_what_is_posted_is_in_the_books_of_one_period(books):  # noqa: F811
    *posted, _ = race(
        (POSTERS, {"size": 1}), (POSTERS, {"size": 1}), (POSTERS, {"size": 7}), (CLOSER, {})
    )
    assert Counter(code for one in posted for code in one) == {"ok": 60 + 60 + 420}
    for period in Period.objects.filter(state=PeriodState.CLOSED):
        (kept,) = trial_balance(period=period.id)
        booked = sum(
            -entry.amount
            for transfer in Transfer.objects.filter(period_id__lte=period.id)
            for entry in transfer.entries.select_related("account")
            if entry.account.code == "payable"
        )
        assert -kept.by_code.get("payable", 0) == booked
    assert balances([PAYABLE])[PAYABLE].balance == 540


def test_a_closing_code_is_in_before_the_close_or_refused(books):  # noqa: F811
    closing, _ = open_next_period(name="next", now=NOW, closing_codes=["settle"])
    close = """
import time
from ledger.periods import close_period
time.sleep(0.05)
close_period(arguments["period"], now=NOW)
"""
    settle = (SETTLERS, {"period": closing.id})
    first, second, _ = race(settle, settle, (close, {"period": closing.id}))
    counted = Counter([*first, *second])
    assert set(counted) <= {"ok", "period_closed"}
    assert counted.total() == 120
    (kept,) = trial_balance(period=closing.id)
    assert -kept.by_code.get("payable", 0) == counted["ok"]


def test_an_old_snapshot_cannot_post_into_what_was_closed_meanwhile(books, fresh_database):  # noqa: F811
    with fresh_database.connect() as session:
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        ids = [account(session, key) for key in (BANK, AVAILABLE)]  # takes the snapshot
        closing, _ = open_next_period(name="next", now=NOW)
        close_period(closing.id, now=NOW + HOUR)
        assert len(ids) == 2
        with pytest.raises(errors.SerializationFailure):
            session.execute(
                "SELECT ledger_post_pair(uuidv7(), 'late', uuidv7(), now(), %s, %s, %s, %s,"
                " %s, %s, %s, %s, 5, now())",
                [*BANK, *AVAILABLE],
            )
