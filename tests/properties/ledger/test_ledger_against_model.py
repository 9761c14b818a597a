"""Random calls to the ledger and to the model: every code, balance and hold is the same.

Few accounts, ids and amounts, so that collisions, shortages and repeats are frequent; now and then
amounts of which a few fill 64 bits.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.apps import apps
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ledger import verify
from ledger.errors import PeriodMoveRefused
from ledger.models import Entry, Hold, Transfer
from ledger.operations import MAX_AMOUNT
from ledger.periods import close_period, open_next_period, open_period
from ledger.selectors import balance_at, balances, holds, trial_balance
from ledger.services import (
    CreateHold,
    ExtendHold,
    Leg,
    PostTransfer,
    ReleaseHold,
    expire_holds,
    post,
    reversal_of,
)
from tests.properties.ledger.model import Model
from tests.unit.ledger.books import (
    AVAILABLE,
    BANK,
    CLEARING,
    COMMISSION,
    FAR_PAYABLE,
    HOUR,
    MIRROR,
    NEVER_OPENED,
    NOW,
    OTHER_AVAILABLE,
    PAYABLE,
    SPECS,
    VOUCHER,
    VOUCHER_BUDGET,
    open_books,
)

pytestmark = pytest.mark.django_db

KEYS = [spec.key for spec in SPECS]
HOME = [AVAILABLE, OTHER_AVAILABLE, PAYABLE, COMMISSION, BANK]
REFERENCE = UUID(int=5)

amounts = st.sampled_from([*range(1, 13), MAX_AMOUNT])
transfer_ids = st.integers(100, 115).map(lambda n: UUID(int=n))
hold_ids = st.integers(200, 204).map(lambda n: UUID(int=n))
deadlines = st.none() | st.integers(0, 4).map(lambda n: NOW + n * HOUR)


@st.composite
def balanced_legs(draw):
    debit = draw(st.sampled_from([AVAILABLE, AVAILABLE, *HOME]))
    credit = draw(st.sampled_from(HOME))
    amount = draw(amounts)
    legs = [Leg(debit, amount), Leg(credit, -amount)]
    if draw(st.booleans()):  # a second half in the other region
        legs = [Leg(debit, amount), Leg(CLEARING, -amount)]
        legs += [Leg(MIRROR, amount), Leg(FAR_PAYABLE, -amount)]
    if draw(st.booleans()):  # and a voucher beside it
        legs += [Leg(VOUCHER, 1), Leg(VOUCHER_BUDGET, -1)]
    return tuple(legs)


# Clearing accounts move together with their mirrors; that the ledger leaves to its callers.
ELSEWHERE = [key for key in KEYS if key not in (CLEARING, MIRROR)] + [NEVER_OPENED]
any_legs = st.lists(
    st.builds(Leg, st.sampled_from(ELSEWHERE), st.sampled_from([-3, -2, 2, 3, 1])),
    min_size=2,
    max_size=3,
).map(tuple)

moments = st.integers(0, 3).map(lambda n: NOW - n * HOUR)
transfers_ = st.builds(
    PostTransfer,
    id=transfer_ids,
    code=st.sampled_from(["a.b", "c.d"]),
    reference=st.just(REFERENCE),
    effective_at=moments,
    legs=st.one_of(balanced_legs(), balanced_legs(), balanced_legs(), any_legs),
    hold=st.one_of(st.none(), st.none(), hold_ids),
)
operations = st.one_of(
    transfers_,
    transfers_,
    st.builds(
        CreateHold,
        id=hold_ids,
        account=st.sampled_from([AVAILABLE, OTHER_AVAILABLE, PAYABLE, COMMISSION, NEVER_OPENED]),
        amount=amounts,
        code=st.just("a.hold"),
        reference=st.just(REFERENCE),
        expires_at=deadlines,
    ),
    st.builds(ReleaseHold, hold=hold_ids, amount=st.none() | amounts),
    st.builds(ExtendHold, hold=hold_ids, expires_at=deadlines),
)
groups = st.lists(operations, min_size=1, max_size=3).map(tuple)
# Mostly plain transfers, each a group: what the fast path takes, when none of them fails.
plain_sets = st.lists(
    st.builds(
        PostTransfer,
        id=transfer_ids,
        code=st.sampled_from(["a.b", "c.d"]),
        reference=st.just(REFERENCE),
        effective_at=moments,
        legs=balanced_legs(),
    ).map(lambda one: (one,)),
    min_size=1,
    max_size=6,
)


@st.composite
def huge_transfers(draw):
    """Many of the largest legs between accounts without a floor: from one end of 64 bits on."""
    debit, credit = draw(st.permutations([BANK, PAYABLE, COMMISSION]))[:2]
    legs = [Leg(debit, MAX_AMOUNT), Leg(credit, -MAX_AMOUNT)] * draw(st.integers(1, 9))
    ids = draw(st.lists(transfer_ids, min_size=1, max_size=3, unique=True))
    return [(PostTransfer(id_, "a.b", REFERENCE, NOW, tuple(legs)),) for id_ in ids]


def digest():
    """Of every row of the ledger's tables."""
    tables = [model._meta.db_table for model in apps.get_app_config("ledger").get_models()]
    sums = ", ".join(
        f"(SELECT md5(string_agg(r::text, '|' ORDER BY r::text)) FROM {table} r)"
        for table in tables
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {sums}")
        return dict(zip(tables, cursor.fetchone(), strict=True))


def shown(books):
    """A trial balance in the model's words; codes that come to nothing are left out."""
    return {
        (one.region, one.asset): (
            one.debits,
            one.credits,
            {code: amount for code, amount in one.by_code.items() if amount},
        )
        for one in books
        if any(one.by_code.values())
    }


def funding():
    pairs = [(BANK, AVAILABLE, 20), (BANK, OTHER_AVAILABLE, 10), (VOUCHER_BUDGET, VOUCHER, 3)]
    return [
        (
            PostTransfer(
                UUID(int=900 + n), "top.up", REFERENCE, NOW, (Leg(debit, much), Leg(credit, -much))
            ),
        )
        for n, (debit, credit, much) in enumerate(pairs)
    ]


class Ledger(RuleBasedStateMachine):
    """The ledger and the model, given the same commands; compared after each."""

    def __init__(self) -> None:
        super().__init__()
        self._undo = transaction.atomic()
        self._undo.__enter__()
        open_books()
        self.model = Model()
        for spec in SPECS:
            self.model.open(spec)
        self.first = open_period().id
        self.model.periods[self.first] = "open"
        self.minutes = 0
        self.post(funding())

    def teardown(self) -> None:
        try:
            assert [finding for finding in verify.checks() if not finding.ok] == []
        finally:
            transaction.set_rollback(True)
            self._undo.__exit__(None, None, None)

    def now(self) -> datetime:
        """A minute later each time: what is recorded later is recorded later."""
        self.minutes += 1
        return NOW + timedelta(minutes=self.minutes)

    def post(self, calls: list) -> None:
        before, now = digest(), self.now()
        answers = [result.code for result in post(calls, now=now)]
        assert answers == self.model.post(calls, now)
        if "ok" not in answers:
            assert digest() == before

    @rule(calls=st.lists(groups, min_size=1, max_size=6))
    def post_groups(self, calls):
        self.post(calls)

    @rule(calls=plain_sets)
    def post_plain_transfers(self, calls):
        self.post(calls)

    @rule(calls=huge_transfers())
    def post_huge_transfers(self, calls):
        self.post(calls)

    @rule(hours=st.integers(0, 4))
    def expire(self, hours):
        at = NOW + hours * HOUR
        assert expire_holds(now=at) == self.model.expire(at)

    @rule(which=transfer_ids, new=st.integers(120, 124), off=st.sampled_from([0, 0, 0, 1]))
    def reverse(self, which, new, off):
        original = self.model.transfers.get(which)
        if original is None or original.hold:
            original = PostTransfer(
                which, "a.b", REFERENCE, NOW, (Leg(AVAILABLE, 1), Leg(PAYABLE, -1))
            )
        undo = reversal_of(original, transfer_id=UUID(int=new), code="a.undo", effective_at=NOW)
        if off:
            undo = replace(undo, legs=(Leg(BANK, off), Leg(PAYABLE, -off)))
        self.post([(undo,)])

    @rule(codes=st.sets(st.sampled_from(["a.b", "c.d"])))
    def cut_off(self, codes):
        closing, opened = open_next_period(
            name=f"period {self.minutes}", now=self.now(), closing_codes=codes
        )
        self.model.periods[closing.id] = "closing"
        self.model.closing_codes[closing.id] = codes
        self.model.periods[opened.id] = "open"

    @rule(which=st.integers(0, 3))
    def close(self, which):
        period = sorted(self.model.periods)[min(which, len(self.model.periods) - 1)]
        may = self.model.periods[period] == "closing" and all(
            state == "closed" for n, state in self.model.periods.items() if n < period
        )
        if may:
            close_period(period, now=self.now())
            self.model.periods[period] = "closed"
        else:
            with pytest.raises(PeriodMoveRefused):
                close_period(period, now=self.now())

    @rule(which=st.integers(0, 3), transfer=transfers_)
    def post_into_a_period(self, which, transfer):
        periods = [*sorted(self.model.periods), 10**6]
        self.post([(replace(transfer, period=periods[min(which, len(periods) - 1)]),)])

    @invariant()
    def they_agree(self):
        model = self.model
        assert {key: (b.balance, b.held) for key, b in balances(KEYS).items()} == {
            key: (account.balance, account.held) for key, account in model.accounts.items()
        }
        assert {
            view.id: (view.account, view.rest, view.posted, view.expires_at)
            for view in holds(list(model.holds)).values()
        } == {
            hold.made.id: (hold.made.account, hold.rest, hold.posted, hold.expires_at)
            for hold in model.holds.values()
        }
        assert Hold.objects.count() == len(model.holds)
        assert dict(Transfer.objects.values_list("id", "period_id")) == model.booked
        assert Entry.objects.count() == sum(len(t.legs) for t in model.transfers.values())

    @rule(key=st.sampled_from(KEYS), hours=st.integers(0, 4))
    def look_back(self, key, hours):
        at = NOW - hours * HOUR
        assert balance_at(key, at) == self.model.balance_at(key, at)
        assert balance_at(key, NOW + timedelta(minutes=self.minutes), by="recorded") == (
            self.model.accounts[key].balance
        )

    def books(self, counts=lambda _: True):
        """The model's trial balance, without what comes to nothing."""
        return {
            place: (debits, credits_, {code: amount for code, amount in codes.items() if amount})
            for place, (debits, credits_, codes) in self.model.books(counts).items()
            if any(codes.values())
        }

    @rule(hours=st.integers(0, 4), minutes=st.integers(0, 20))
    def read_the_books(self, hours, minutes):
        assert shown(trial_balance()) == self.books()
        at = NOW - hours * HOUR
        assert shown(trial_balance(at)) == self.books(lambda t: t.effective_at <= at)
        then = NOW + timedelta(minutes=minutes)
        assert shown(trial_balance(then, by="recorded")) == self.books(
            lambda t: self.model.recorded[t.id] <= then
        )
        for period, state in self.model.periods.items():
            if state == "closed":
                assert shown(trial_balance(period=period)) == self.books(
                    lambda t, period=period: self.model.booked[t.id] <= period
                )


def test_the_ledger_does_what_the_model_does():
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=50,
            stateful_step_count=14,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
