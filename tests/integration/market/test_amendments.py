"""Orders amended in place: terms, place in the queue, money, and races with what else happens."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from core.errors import InsufficientFunds
from core.money import to_micro
from core.slots import slot_start_at
from exchange.market import admission, services
from exchange.market.errors import (
    AmendmentUnderWay,
    OrderClosed,
    OrderRefused,
    OrderVersionStale,
)
from exchange.market.models import Order, OrderAmendment, Trade
from exchange.market.requests import AmendRequest, GradeLimit
from exchange.market.verify import checks
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")
YUAN = 1_000_000
FIXED = {
    "duration_hours": 2,
    "earliest_start_at": slot_start_at(make.SLOT + 4),
    "latest_end_at": slot_start_at(make.SLOT + 6),
}


def amend(buyer, order, *, version=0, limit=None, now=make.NOW, **facts) -> OrderAmendment:
    limits = () if limit is None else (GradeLimit(grade=make.NPU, limit_micro=to_micro_of(limit)),)
    named = frozenset(facts) | (frozenset() if limit is None else {"grades"})
    facts = {"max_cost_micro" if k == "max_cost" else k: v for k, v in facts.items()}
    request = AmendRequest(version=version, named=named, limits=limits, **facts)
    return services.amend_order(actor=buyer, order_id=order.id, request=request, now=now)


def to_micro_of(yuan) -> int:
    from decimal import Decimal

    return to_micro(Decimal(yuan))


def decided(amendment) -> tuple[str, str]:
    amendment.refresh_from_db()
    return amendment.state, amendment.reason


def assert_sound() -> None:
    assert [finding for finding in checks() if not finding.ok] == []


def test_a_higher_limit_is_held_at_once_and_fills_when_the_book_takes_it():
    make.offered_pool(make.seller(), price="12")
    buyer = make.funded_buyer(1000)
    order = make.place(buyer, limit="10", units=4, **FIXED)
    make.match()
    assert make.balance(buyer).held == 80 * YUAN + 8
    amendment = amend(buyer, order, limit="12", units=5)
    assert (amendment.state, amendment.keeps_entry) == ("requested", False)
    order.refresh_from_db()
    assert (order.units, order.version) == (4, 0)
    assert make.balance(buyer).held == 120 * YUAN + 10
    make.match()
    order.refresh_from_db()
    assert decided(amendment) == ("applied", "")
    assert (order.state, order.units, order.filled_units, order.version) == ("filled", 5, 5, 1)
    assert make.balance(buyer).held == 120 * YUAN
    history = order.amendments.order_by("number").values_list("number", "state", "units")
    assert list(history) == [(0, "placed", 4), (1, "applied", 5)]
    assert_sound()


def test_without_funds_nothing_changes():
    buyer = make.funded_buyer(100)
    order = make.place(buyer, limit="10", units=4, **FIXED)
    make.match()
    with pytest.raises(InsufficientFunds) as refused, transaction.atomic():
        amend(buyer, order, units=6)
    assert refused.value.extra["needed"] == "40.000004"
    assert make.balance(buyer).held == 80 * YUAN + 8
    assert not OrderAmendment.objects.exists()
    assert not make.match()


def test_fewer_units_give_their_money_back_when_the_batch_is_written():
    buyer = make.funded_buyer(1000)
    order = make.place(buyer, limit="10", units=4, **FIXED)
    make.match()
    amend(buyer, order, units=1, limit="5")
    assert make.balance(buyer).held == 80 * YUAN + 8
    make.match()
    order.refresh_from_db()
    assert (order.state, order.held_micro) == ("open", 10 * YUAN + 2)
    assert make.balance(buyer).held == 10 * YUAN + 2


KEEPS = [
    ({"units": 3}, True),
    ({"units": 5}, False),
    ({"limit": "9"}, True),
    ({"limit": "11"}, False),
    ({"min_units": 2}, True),
    ({"max_cost": 70 * YUAN}, True),
    ({"latest_end_at": slot_start_at(make.SLOT + 7)}, False),
    ({"earliest_start_at": slot_start_at(make.SLOT + 3)}, False),
    ({"time_in_force": "gtd", "good_till_at": make.later(1)}, True),
    ({"time_in_force": "ioc"}, False),
    ({"units": 3, "limit": "10.1"}, False),
]


@pytest.mark.parametrize(("change", "keeps"), KEEPS)
def test_what_only_asks_for_less_keeps_its_place(change, keeps):
    buyer, other = make.funded_buyer(), make.funded_buyer()
    order = make.place(buyer, limit="10", units=4, **FIXED)
    make.match()
    before = Order.objects.values_list("entry_batch", "entry_position").get(id=order.id)
    amendment = amend(buyer, order, **change)
    make.place(other, limit="10", units=4, **FIXED)
    make.match()
    assert decided(amendment) == ("applied", "")
    after = Order.objects.values_list("entry_batch", "entry_position").get(id=order.id)
    assert (after == before) is keeps


def test_a_lower_limit_passes_nobody_a_higher_one_waits_behind():
    buyers = [make.funded_buyer() for _ in range(3)]
    lowered = make.place(buyers[0], limit="12", units=4, **FIXED)
    first = make.place(buyers[1], limit="10", units=4, **FIXED)
    raised = make.place(buyers[2], limit="9", units=4, **FIXED)
    make.match()
    amend(buyers[0], lowered, limit="10")
    amend(buyers[2], raised, limit="10")
    make.match()
    make.offered_pool(make.seller(), units=8, price="10")
    make.match()
    filled = Trade.objects.order_by("position").values_list("order_id", flat=True)
    assert list(filled) == [lowered.id, first.id]


def test_fills_in_the_same_batch_as_the_amendment_are_counted_before_it():
    """An order enters, is filled in part, and then amended: all in one batch."""
    make.offered_pool(make.seller(), units=3, price="10")
    buyer = make.funded_buyer(1000)
    order = make.place(buyer, limit="10", units=5, **FIXED)
    fewer = amend(buyer, order, units=2, limit="8")
    make.match()
    assert decided(fewer) == ("refused", "units")
    order.refresh_from_db()
    assert (order.state, order.units, order.filled_units, order.version) == (
        "partially_filled",
        5,
        3,
        0,
    )
    assert make.balance(buyer).held == 60 * YUAN + 40 * YUAN + 4
    done = amend(buyer, order, units=3)
    make.match()
    assert decided(done) == ("applied", "")
    order.refresh_from_db()
    assert (order.state, order.units) == ("filled", 3)
    assert make.balance(buyer).held == 60 * YUAN
    assert_sound()


def test_trades_of_one_batch_keep_the_terms_before_and_after():
    make.offered_pool(make.seller(), units=3, price="10")
    provider = make.seller()
    pool = make.capacity.pool(provider, make.capacity.centre(provider, "c2"), units=9)
    buyer = make.funded_buyer(1000)
    order = make.place(buyer, limit="10", units=5, **FIXED)
    amend(buyer, order, limit="6")
    make.offer(provider, pool, price="6")
    make.match()
    costs = Trade.objects.order_by("position").values_list("units", "price_per_unit_hour")
    assert list(costs) == [(3, 10), (2, 6)]
    assert make.balance(buyer).held == 60 * YUAN + 24 * YUAN
    assert_sound()


def test_while_an_amendment_waits_the_hold_covers_both_whatever_is_filled(monkeypatch):
    """Old limit dear, new terms many and cheap: a fill at the old price must not eat the new."""
    provider, buyer = make.seller(), make.funded_buyer(10_000)
    order = make.place(buyer, limit="10", units=10, **FIXED)
    make.match()
    from exchange.market import matching

    admit = matching.admission.admit
    asked = []

    def admit_then_amend(book_id, *, now):
        batch = admit(book_id, now=now)
        if batch is not None and not asked:
            asked.append(amend(buyer, order, limit="5", units=30))
        return batch

    make.offered_pool(provider, units=5, price="10")
    monkeypatch.setattr(matching.admission, "admit", admit_then_amend)
    free = make.balance(buyer)
    make.match()
    # 5 filled at 10; 5 more may be, or 25 at 5: 250 yuan, and what 5 at 10 cost above 5 at 5
    assert make.balance(buyer).held == 100 * YUAN + (250 + 50) * YUAN + 50
    make.match()
    order.refresh_from_db()
    assert (order.units, order.filled_units, order.version) == (30, 5, 1)
    assert make.balance(buyer).held == 100 * YUAN + 250 * YUAN + 50
    assert free.held == 200 * YUAN + 20
    assert_sound()


def test_versions_cross_nowhere_and_one_waits_at_a_time():
    buyer = make.funded_buyer()
    order = make.place(buyer, limit="10", units=4, **FIXED)
    make.match()
    amend(buyer, order, units=3)
    with pytest.raises(AmendmentUnderWay):
        amend(buyer, order, units=2)
    make.match()
    with pytest.raises(OrderVersionStale) as stale:
        amend(buyer, order, units=2)
    assert stale.value.extra == {"version": 1}
    amend(buyer, order, units=2, version=1)
    make.match()
    order.refresh_from_db()
    assert (order.units, order.version) == (2, 2)


def test_an_amendment_that_comes_after_the_cancel_or_the_fill_is_refused():
    make.offered_pool(make.seller(), units=9)
    buyer = make.funded_buyer()
    order = make.place(buyer, limit="10", units=4, **FIXED)
    late = amend(buyer, order, units=8)
    make.match()
    assert decided(late) == ("refused", "closed")
    assert make.balance(buyer).held == 80 * YUAN
    with pytest.raises(OrderClosed):
        amend(buyer, order, units=9)


BAD = [
    ({"units": 0}, "units"),
    ({"units": 10**9}, "units"),
    ({"min_units": 9}, "min_units"),
    ({"limit": "10"}, "version"),
    ({"latest_end_at": slot_start_at(make.SLOT + 5)}, "latest_end_at"),
    ({"latest_end_at": make.NOW}, "latest_end_at"),
    ({"latest_end_at": slot_start_at(make.SLOT + 9999)}, "latest_end_at"),
    ({"earliest_start_at": slot_start_at(make.SLOT - 1)}, "earliest_start_at"),
    ({"time_in_force": "gtd"}, "good_till_at"),
    ({"good_till_at": make.later(2)}, "good_till_at"),
]


@pytest.mark.parametrize(("change", "field"), BAD)
def test_a_bad_amendment_names_its_field(change, field):
    buyer = make.funded_buyer()
    order = make.place(buyer, limit="10", units=4, **FIXED)
    with pytest.raises(OrderRefused) as refused:
        amend(buyer, order, **change)
    assert field in {bad.field for bad in refused.value.fields}
    assert not OrderAmendment.objects.exists()


def run(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


ATTACKS = [
    ("UPDATE exchange_order SET units = 99", "are fixed unless"),
    ("UPDATE exchange_order SET version = 2", "are fixed unless"),
    ("UPDATE exchange_order SET version = 0", "are fixed unless"),
    ("UPDATE exchange_order SET units = 3, version = 1", "are fixed unless"),
    ("UPDATE exchange_order SET held_micro = held_micro * 2", "are fixed unless"),
    ("UPDATE exchange_order SET duration_slots = 1", "are fixed"),
    ("UPDATE exchange_order SET hold_id = gen_random_uuid()", "its own or that of an amendment"),
    ("UPDATE exchange_orderamendment SET units = 9 WHERE number = 1", "decided once"),
    ("UPDATE exchange_orderamendment SET units = 9 WHERE number = 2", "decided once"),
    (
        "UPDATE exchange_orderamendment SET state = 'requested', batch = NULL WHERE number = 1",
        "decided once",
    ),
    ("UPDATE exchange_orderamendment SET state = 'applied' WHERE number = 2", "by_a_batch"),
    ("DELETE FROM exchange_orderamendment", "append-only"),
    ("TRUNCATE exchange_orderamendment", "append-only|permission"),
]


@pytest.mark.parametrize(("statement", "said"), ATTACKS)
def test_raw_sql_cannot_change_terms_or_their_history(statement, said):
    buyer = make.funded_buyer()
    order = make.place(buyer, limit="10", units=4, **FIXED)
    make.match()
    amend(buyer, order, units=3)
    make.match()
    amend(buyer, order, units=2, version=1)
    with pytest.raises(Exception, match=said) as refused:
        run(statement)
    assert "exchange" in str(refused.value) or isinstance(refused.value, IntegrityError)
    order.refresh_from_db()
    assert (order.units, order.version) == (3, 1)


def test_amendments_follow_one_another_by_number():
    buyer = make.funded_buyer()
    make.place(buyer, limit="10", units=4, **FIXED)
    columns = ", ".join(f.column for f in OrderAmendment._meta.concrete_fields)
    for number, state, units, batch in (
        (0, "placed", 5, "NULL"),
        (1, "requested", 4, "NULL"),
        (0, "applied", 4, 1),
    ):
        values = {
            "id": "gen_random_uuid()",
            "order_id": "id",
            "number": number,
            "state": f"'{state}'",
            "reason": "''",
            "units": units,
            "keeps_entry": "false",
            "requested_at": "placed_at",
            "batch": batch,
            "decided_at": "NULL",
        }
        chosen = ", ".join(str(values.get(c.strip(), c.strip())) for c in columns.split(","))
        with pytest.raises(IntegrityError, match=r"follows on nothing|amendment"):
            run(
                f"INSERT INTO exchange_orderamendment ({columns}) "
                f"SELECT {chosen} FROM exchange_order"
            )


def test_an_amendment_that_comes_after_a_batch_that_closed_its_order_is_refused():
    buyer = make.funded_buyer(1000)
    order = make.place(buyer, limit="10", units=4, **FIXED)
    make.match()
    make.offered_pool(make.seller(), price="10", units=4)
    admission.admit(make.book().id, now=make.NOW)  # the batch that fills it
    late = amend(buyer, order, limit="12")
    make.match()
    order.refresh_from_db()
    assert order.state == "filled"
    assert decided(late) == ("refused", "closed")
    assert make.balance(buyer).held == 80 * YUAN
    assert_sound()
