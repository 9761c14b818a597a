"""Each result code of ``post``, exact balances after it, and nothing moved on a refusal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from core.errors import InsufficientFunds
from core.ids import new_id
from ledger import verify
from ledger.errors import AccountOpenedDifferently, PostingRefused, require_ok
from ledger.models import Account, Entry, Hold, Period, Transfer
from ledger.selectors import balances, holds, transfers
from ledger.services import (
    AccountSpec,
    Balance,
    ExtendHold,
    Leg,
    PostTransfer,
    ReleaseHold,
    expire_holds,
    open_accounts,
    post,
)
from tests.unit.ledger.books import (
    AVAILABLE,
    BANK,
    BUYER,
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
    fund,
    hold,
    of,
    open_books,
    post_one,
    transfer,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def books():
    open_books()
    fund(AVAILABLE, 1000)
    yield
    wrong = [finding for finding in verify.checks() if not finding.ok]
    assert wrong == []


def state():
    """Everything that a refusal must leave as it was."""
    return (
        list(Account.objects.order_by("id").values()),
        list(Hold.objects.order_by("id").values()),
        Transfer.objects.count(),
        Entry.objects.count(),
    )


def refused(*operations):
    before = state()
    result = post_one(*operations)
    assert not result.ok
    assert result.detail
    assert state() == before
    return result.code


def test_a_balanced_transfer_moves_the_amount():
    assert post_one(transfer(AVAILABLE, PAYABLE, 400)).code == "ok"
    assert (of(AVAILABLE), of(PAYABLE), of(BANK)) == ((600, 0, 600), (400, 0, 400), (1000, 0, 1000))


def test_an_account_may_be_named_twice_in_a_transfer():
    legs = (Leg(AVAILABLE, 30), Leg(AVAILABLE, 20), Leg(PAYABLE, -60), Leg(AVAILABLE, 10))
    assert post_one(PostTransfer(new_id(), "a.b", BUYER, NOW, legs)).code == "ok"
    assert of(AVAILABLE) == (940, 0, 940)


def test_no_groups_and_empty_groups_are_fine():
    assert post([], now=NOW) == []
    assert post_one().code == "ok"


def test_the_same_again_exists_and_moves_nothing():
    move = transfer(AVAILABLE, PAYABLE, 400)
    assert post_one(move).code == "ok"
    before = state()
    assert post_one(move).code == "exists"
    assert post_one(move).ok
    assert state() == before
    # Also where the funds to do it again are not there any more.
    assert post_one(transfer(AVAILABLE, PAYABLE, 600)).code == "ok"
    assert post_one(move).code == "exists"


@pytest.mark.parametrize(
    "change",
    [
        {"code": "other.code"},
        {"reference": UUID(int=6)},
        {"effective_at": NOW + HOUR},
        {"hold": UUID(int=8)},
        {"legs": (Leg(AVAILABLE, 401), Leg(PAYABLE, -401))},
        {"legs": (Leg(PAYABLE, -400), Leg(AVAILABLE, 400))},
        {"legs": (Leg(AVAILABLE, 400), Leg(COMMISSION, -400))},
    ],
)
def test_the_same_id_with_other_content_conflicts(change):
    move = transfer(AVAILABLE, PAYABLE, 400)
    assert post_one(move).code == "ok"
    values = {name: getattr(move, name) for name in PostTransfer.__slots__}
    assert refused(PostTransfer(**(values | change))) == "conflicting_content"


def test_a_group_is_known_as_a_whole_or_not_at_all():
    first, second = transfer(AVAILABLE, PAYABLE, 1), transfer(AVAILABLE, PAYABLE, 2)
    assert post_one(first).code == "ok"
    assert refused(first, second) == "conflicting_content"
    assert refused(second, second) == "conflicting_content"
    set_aside = hold(AVAILABLE, 5)
    assert refused(set_aside, set_aside) == "conflicting_content"


def test_one_id_twice_in_a_call_counts_once():
    move = transfer(AVAILABLE, PAYABLE, 600)
    assert [r.code for r in post([(move,), (move,)], now=NOW)] == ["ok", "exists"]
    too_much = transfer(AVAILABLE, PAYABLE, 600)
    top_up = transfer(BANK, AVAILABLE, 500)
    codes = [r.code for r in post([(too_much,), (top_up,), (too_much,)], now=NOW)]
    assert codes == ["insufficient_funds", "ok", "ok"]


@pytest.mark.parametrize(
    "legs",
    [
        (Leg(AVAILABLE, 5), Leg(PAYABLE, -4)),
        (Leg(AVAILABLE, 5), Leg(FAR_PAYABLE, -5)),  # balances, but not in each region
        (Leg(AVAILABLE, 5), Leg(VOUCHER, -5)),  # nor in each asset
    ],
)
def test_an_unbalanced_transfer_is_refused(legs):
    assert refused(PostTransfer(new_id(), "a.b", BUYER, NOW, legs)) == "unbalanced"


def test_a_transfer_across_regions_balances_in_each():
    legs = (
        Leg(AVAILABLE, 70),
        Leg(CLEARING, -70),
        Leg(MIRROR, 70),
        Leg(FAR_PAYABLE, -70),
    )
    assert post_one(PostTransfer(new_id(), "charge.usage", BUYER, NOW, legs)).code == "ok"
    assert (of(CLEARING)[0], of(MIRROR)[0], of(FAR_PAYABLE)[0]) == (70, -70, 70)


def test_a_transfer_may_move_two_assets():
    fund(VOUCHER, 50)
    legs = (
        Leg(AVAILABLE, 30),
        Leg(PAYABLE, -30),
        Leg(VOUCHER, 20),
        Leg(VOUCHER_BUDGET, -20),
    )
    assert post_one(PostTransfer(new_id(), "charge.usage", BUYER, NOW, legs)).code == "ok"
    assert (of(AVAILABLE)[0], of(VOUCHER)[0]) == (970, 30)


def test_unknown_accounts():
    assert refused(transfer(AVAILABLE, NEVER_OPENED, 5)) == "unknown_account"
    assert refused(hold(NEVER_OPENED, 5)) == "unknown_account"
    assert refused(hold(COMMISSION, 5)) == "unknown_account"  # striped: it carries no holds


def test_the_floor_counts_holds_and_is_judged_at_the_end_of_the_group():
    assert refused(transfer(AVAILABLE, PAYABLE, 1001)) == "insufficient_funds"
    assert post_one(hold(AVAILABLE, 300)).code == "ok"
    assert of(AVAILABLE) == (1000, 300, 700)
    assert refused(transfer(AVAILABLE, PAYABLE, 701)) == "insufficient_funds"
    assert refused(hold(AVAILABLE, 701)) == "insufficient_funds"
    # Inside a group it may be short for a moment.
    out_and_in = transfer(AVAILABLE, PAYABLE, 701), transfer(PAYABLE, AVAILABLE, 1)
    assert post_one(*out_and_in).code == "ok"
    assert of(AVAILABLE) == (300, 300, 0)


def test_an_account_without_a_floor_goes_below_zero():
    assert post_one(transfer(PAYABLE, AVAILABLE, 50)).code == "ok"
    assert of(PAYABLE) == (-50, 0, -50)


def test_a_refused_group_leaves_its_neighbours_be():
    results = post(
        [
            (transfer(AVAILABLE, PAYABLE, 600),),
            (transfer(AVAILABLE, PAYABLE, 600),),
            (transfer(AVAILABLE, PAYABLE, 100), transfer(AVAILABLE, NEVER_OPENED, 1)),
            (transfer(AVAILABLE, PAYABLE, 400),),
        ],
        now=NOW,
    )
    assert [r.code for r in results] == ["ok", "insufficient_funds", "unknown_account", "ok"]
    assert (of(AVAILABLE)[0], of(PAYABLE)[0]) == (0, 1000)


def test_a_hold_is_posted_in_parts_and_the_rest_released():
    set_aside = hold(AVAILABLE, 300)
    assert post_one(set_aside).code == "ok"
    assert post_one(transfer(AVAILABLE, PAYABLE, 100, hold=set_aside.id)).code == "ok"
    assert of(AVAILABLE) == (900, 200, 700)
    assert refused(transfer(AVAILABLE, PAYABLE, 201, hold=set_aside.id)) == "hold_exhausted"
    assert post_one(ReleaseHold(set_aside.id, 50)).code == "ok"
    assert of(AVAILABLE) == (900, 150, 750)
    assert refused(ReleaseHold(set_aside.id, 151)) == "hold_exhausted"
    assert post_one(ReleaseHold(set_aside.id)).code == "ok"
    assert of(AVAILABLE) == (900, 0, 900)
    before = state()
    assert post_one(ReleaseHold(set_aside.id)).code == "ok"  # nothing rests: nothing to do
    assert state() == before
    assert refused(transfer(AVAILABLE, PAYABLE, 1, hold=set_aside.id)) == "hold_exhausted"
    assert refused(ExtendHold(set_aside.id, NOW)) == "hold_exhausted"
    view = holds([set_aside.id])[set_aside.id]
    assert (view.posted, view.released, view.rest, view.resolution) == (100, 200, 0, "released")


def test_a_hold_posted_in_full_is_resolved():
    set_aside = hold(AVAILABLE, 1000)
    assert post_one(set_aside).code == "ok"
    assert post_one(transfer(AVAILABLE, PAYABLE, 1000, hold=set_aside.id)).code == "ok"
    assert of(AVAILABLE) == (0, 0, 0)
    view = holds([set_aside.id])[set_aside.id]
    assert (view.resolution, view.resolved_at) == ("posted", NOW)


def test_a_hold_is_taken_from_its_own_account_only():
    fund(OTHER_AVAILABLE, 500)
    set_aside = hold(AVAILABLE, 300)
    assert post_one(set_aside).code == "ok"
    assert refused(transfer(OTHER_AVAILABLE, PAYABLE, 5, hold=set_aside.id)) == "hold_not_found"
    assert refused(transfer(PAYABLE, AVAILABLE, 5, hold=set_aside.id)) == "hold_not_found"
    missing = new_id()
    assert refused(transfer(AVAILABLE, PAYABLE, 5, hold=missing)) == "hold_not_found"
    assert refused(ReleaseHold(missing)) == "hold_not_found"
    assert refused(ExtendHold(missing, None)) == "hold_not_found"


def test_a_hold_may_be_made_used_and_freed_within_a_call():
    set_aside = hold(AVAILABLE, 300)
    groups = [
        (set_aside, transfer(AVAILABLE, PAYABLE, 100, hold=set_aside.id)),
        (ReleaseHold(set_aside.id),),
        (set_aside,),
    ]
    codes = [r.code for r in post(groups, now=NOW)]
    # The third group names one of the first group's two ids with the same content: a repeat.
    assert codes == ["ok", "ok", "exists"]
    assert of(AVAILABLE) == (900, 0, 900)


def test_splitting_a_hold_succeeds_when_nothing_is_available():
    order = hold(AVAILABLE, 1000)
    assert post_one(order).code == "ok"
    assert of(AVAILABLE) == (1000, 1000, 0)
    trade = hold(AVAILABLE, 350)
    split = ReleaseHold(order.id, 400), trade
    assert post_one(*split).code == "ok"
    assert of(AVAILABLE) == (1000, 950, 50)
    assert post_one(*split).code == "exists"  # the new hold's id makes the release repeatable
    assert of(AVAILABLE) == (1000, 950, 50)
    assert refused(ReleaseHold(order.id, 10), hold(AVAILABLE, 61)) == "insufficient_funds"


def test_a_hold_made_again_with_other_content_conflicts():
    set_aside = hold(AVAILABLE, 300, expires_at=NOW + HOUR)
    assert post_one(set_aside).code == "ok"
    assert post_one(hold(AVAILABLE, 300, hold_id=set_aside.id, expires_at=None)).code == "exists"
    assert refused(hold(AVAILABLE, 301, hold_id=set_aside.id)) == "conflicting_content"
    assert refused(hold(PAYABLE, 300, hold_id=set_aside.id)) == "conflicting_content"


def test_the_sweep_expires_what_is_overdue():
    due, later, never = (hold(AVAILABLE, 100, expires_at=at) for at in (NOW, NOW + HOUR, None))
    assert post_one(due, later, never).code == "ok"
    assert post_one(transfer(AVAILABLE, PAYABLE, 30, hold=due.id)).code == "ok"
    assert expire_holds(now=NOW - timedelta(seconds=1)) == 0
    assert expire_holds(now=NOW) == 1
    assert expire_holds(now=NOW) == 0
    assert of(AVAILABLE) == (970, 200, 770)
    view = holds([due.id])[due.id]
    assert (view.posted, view.released, view.resolution) == (30, 70, "expired")
    assert refused(transfer(AVAILABLE, PAYABLE, 1, hold=due.id)) == "hold_exhausted"
    assert post_one(ExtendHold(later.id, NOW + 2 * HOUR)).code == "ok"
    assert expire_holds(now=NOW + HOUR) == 0
    assert expire_holds(now=NOW + 2 * HOUR) == 1


def test_the_sweep_takes_no_more_than_its_limit_the_longest_overdue_first():
    due = [hold(AVAILABLE, 1, expires_at=NOW - n * HOUR) for n in range(4)]
    assert post_one(*due).code == "ok"
    assert expire_holds(now=NOW, limit=3) == 3
    assert holds([due[0].id])[due[0].id].resolution is None


def test_a_striped_account_adds_up():
    for amount in range(1, 21):
        assert post_one(transfer(AVAILABLE, COMMISSION, amount)).code == "ok"
    assert of(COMMISSION) == (210, 0, 210)
    stripes = Account.objects.filter(code="commission")
    assert stripes.count() == 4
    # A session keeps to one of them; that others take others is shown by the races.
    assert stripes.filter(version=20).count() == 1


def test_what_is_posted_can_be_read_back():
    move = transfer(AVAILABLE, PAYABLE, 5)
    post_one(move)
    open_period = Period.objects.get(state="open").id
    assert transfers([move.id, new_id()]) == {move.id: replace(move, period=open_period)}


def test_accounts_are_opened_once_and_in_one_form():
    before = state()
    open_accounts(SPECS)
    assert state() == before
    with pytest.raises(AccountOpenedDifferently):
        open_accounts([AccountSpec(AVAILABLE, "credit", floor=False)])
    with pytest.raises(AccountOpenedDifferently):
        open_accounts([AccountSpec(PAYABLE, "debit")])
    with pytest.raises(AccountOpenedDifferently):
        open_accounts([AccountSpec(COMMISSION, "credit", stripes=2)])
    assert state() == before
    assert balances([NEVER_OPENED]) == {NEVER_OPENED: Balance(0, 0)}


def test_require_ok_raises_for_those_who_stand_or_fall_with_it():
    require_ok(post([(transfer(AVAILABLE, PAYABLE, 5),)], now=NOW))
    with pytest.raises(InsufficientFunds):
        require_ok(post([(transfer(AVAILABLE, PAYABLE, 5000),)], now=NOW))
    with pytest.raises(PostingRefused) as caught:
        require_ok(post([(transfer(AVAILABLE, NEVER_OPENED, 5),)], now=NOW))
    assert caught.value.extra == {"code": "unknown_account"}


@pytest.mark.parametrize("count", [1, 1000])
def test_the_number_of_statements_does_not_depend_on_the_number_of_groups(count, monkeypatch):
    order = hold(AVAILABLE, 1000)
    post_one(order)
    groups = [(ReleaseHold(order.id, 1), hold(AVAILABLE, 1)) for _ in range(count)]
    seen = []
    execute = psycopg.Cursor.execute

    def counted(cursor, query, *args, **kwargs):
        seen.append(query)
        return execute(cursor, query, *args, **kwargs)

    # Below Django's own count, which does not see the prepared statements.
    monkeypatch.setattr(psycopg.Cursor, "execute", counted)
    assert {r.code for r in post(groups, now=NOW)} == {"ok"}
    assert len(seen) == 5  # savepoint, lock, what is known of the holds, write, release
