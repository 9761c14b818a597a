"""Random calls to the ledger and to the model: every code, balance and hold is the same.

Few accounts, ids and amounts, so that collisions, shortages and repeats are frequent.
"""

from __future__ import annotations

from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import verify
from ledger.models import Entry, Hold, Transfer
from ledger.selectors import balances, holds
from ledger.services import (
    CreateHold,
    ExtendHold,
    Leg,
    PostTransfer,
    ReleaseHold,
    expire_holds,
    post,
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

amounts = st.integers(1, 12)
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

transfers_ = st.builds(
    PostTransfer,
    id=transfer_ids,
    code=st.sampled_from(["a.b", "c.d"]),
    reference=st.just(REFERENCE),
    effective_at=st.just(NOW),
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
calls = st.lists(
    st.one_of(
        st.lists(groups, min_size=1, max_size=8), st.integers(0, 4).map(lambda n: NOW + n * HOUR)
    ),
    min_size=1,
    max_size=5,
)


class Undo(Exception):
    """Ends an example: nothing of it stays."""


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


def compare(model: Model) -> None:
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
    assert Transfer.objects.count() == len(model.transfers)
    assert Entry.objects.count() == sum(len(t.legs) for t in model.transfers.values())


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(calls=calls)
def test_the_ledger_does_what_the_model_does(calls):
    model = Model()
    for spec in SPECS:
        model.open(spec)
    try:
        with transaction.atomic():
            open_books()
            for call in [funding(), *calls]:
                if isinstance(call, list):
                    answers = [result.code for result in post(call, now=NOW)]
                    assert answers == model.post(call, NOW)
                else:
                    assert expire_holds(now=call) == model.expire(call)
                compare(model)
            assert [finding for finding in verify.checks() if not finding.ok] == []
            raise Undo
    except Undo:
        pass
