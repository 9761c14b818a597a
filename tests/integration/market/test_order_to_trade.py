"""From the order to the trade: what is stored, held, split and given back, to the micro-yuan."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest

from core import outbox
from core.errors import InsufficientFunds
from core.models import OutboxEvent
from core.slots import slot_start_at
from exchange.capacity.models import BookEvent, PoolDay
from exchange.market import matching, services
from exchange.market.errors import OrderClosed, OrderRefused
from exchange.market.models import Admission, Order, Trade
from ledger.services import Balance
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")
YUAN = 1_000_000
NOBODY = uuid.UUID(int=7)


def test_an_order_is_held_matched_at_the_offers_price_and_its_surplus_freed():
    pool, _ = make.offered_pool(make.seller(), price="9.5")
    buyer = make.funded_buyer(1000)
    order = make.place(buyer, limit="10", units=4, duration_hours=2)
    # 4 units x 2 hours x 10 yuan, and two micro-yuan for each unit's rounding
    assert order.state == "pending"
    assert make.balance(buyer) == Balance(1000 * YUAN, 80 * YUAN + 8)

    assert make.match() == 1

    order.refresh_from_db()
    trade = Trade.objects.get()
    assert (order.state, order.filled_units, order.spent_micro) == ("filled", 4, 76 * YUAN)
    assert (trade.units, trade.compute_micro, trade.transport_micro) == (4, 76 * YUAN, 0)
    assert trade.price_per_unit_hour == Decimal("9.5")
    assert (trade.starts_at, trade.ends_at) == (
        slot_start_at(make.SLOT + 1),
        slot_start_at(make.SLOT + 3),
    )
    assert make.balance(buyer) == Balance(1000 * YUAN, 76 * YUAN)
    sold = {
        day.day * 24 + hour: units
        for day in PoolDay.objects.filter(pool=pool)
        for hour, units in enumerate(day.sold)
        if units
    }
    assert sold == {make.SLOT + 1: 4, make.SLOT + 2: 4}
    kinds = sorted(OutboxEvent.objects.values_list("kind", flat=True))
    assert kinds.count("order.filled") == kinds.count("market.trade") == 1
    assert kinds.count("trade.made") == 2


def test_an_offer_that_arrives_later_gets_the_orders_limit():
    provider, buyer = make.seller(), make.funded_buyer()
    pool = make.capacity.pool(provider, make.capacity.centre(provider), units=16)
    order = make.place(buyer, limit="12", units=4, duration_hours=1)
    make.match()
    order.refresh_from_db()
    assert order.state == "open"
    make.offer(provider, pool, price="9")
    make.match()
    assert Trade.objects.get().price_per_unit_hour == 12
    assert Trade.objects.get().resting_side == "order"


def test_a_partial_fill_keeps_just_the_hold_that_the_rest_needs():
    make.offered_pool(make.seller(), units=3, price="10")
    buyer = make.funded_buyer(1000)
    order = make.place(
        buyer,
        limit="10",
        units=5,
        duration_hours=2,
        earliest_start_at=slot_start_at(make.SLOT + 4),
        latest_end_at=slot_start_at(make.SLOT + 6),
    )
    make.match()
    order.refresh_from_db()
    assert (order.state, order.filled_units) == ("partially_filled", 3)
    assert make.balance(buyer).held == 60 * YUAN + (40 * YUAN + 4)
    services.cancel_order(actor=buyer, order_id=order.id, now=make.NOW)
    services.cancel_order(actor=buyer, order_id=order.id, now=make.NOW)
    make.match()
    order.refresh_from_db()
    assert (order.state, order.closed_at) == ("cancelled", make.NOW)
    assert make.balance(buyer).held == 60 * YUAN
    with pytest.raises(OrderClosed):
        services.cancel_order(actor=buyer, order_id=order.id, now=make.NOW)


def test_on_demand_starts_now_and_is_priced_by_the_second():
    make.offered_pool(make.seller(), price="9")
    buyer = make.funded_buyer()
    make.place(buyer, units=1, duration_hours=1, on_demand=True, latest_end_at=None)
    make.match()
    trade = Trade.objects.get()
    # 02:20 to 03:00 and the hour after it: 100 minutes at 9 yuan an hour
    assert trade.starts_at == make.NOW
    assert trade.compute_micro == 15 * YUAN
    assert trade.end_slot - trade.start_slot == 2


@pytest.mark.parametrize(("time_in_force", "filled"), [("ioc", 3), ("fok", 0)])
def test_what_ioc_and_fok_leave_is_cancelled_and_freed(time_in_force, filled):
    make.offered_pool(make.seller(), units=3)
    buyer = make.funded_buyer()
    order = make.place(
        buyer,
        units=5,
        duration_hours=2,
        time_in_force=time_in_force,
        latest_end_at=slot_start_at(make.SLOT + 3),
    )
    make.match()
    order.refresh_from_db()
    assert (order.state, order.filled_units) == ("cancelled", filled)
    assert make.balance(buyer).held == filled * 20 * YUAN


def test_an_order_whose_window_is_over_expires_by_the_sweep_and_is_freed():
    buyer = make.funded_buyer()
    order = make.place(buyer, duration_hours=2, latest_end_at=slot_start_at(make.SLOT + 6))
    make.match()
    late = make.later(5)
    assert services.request_expiries(now=make.later(3)) == 0
    assert services.request_expiries(now=late) == 1
    assert services.request_expiries(now=late) == 0
    make.match(now=late)
    order.refresh_from_db()
    assert order.state == "expired"
    assert make.balance(buyer).held == 0


def test_without_funds_nothing_is_stored():
    buyer = make.funded_buyer(10)
    with pytest.raises(InsufficientFunds):
        make.place(buyer, limit="10", units=4, duration_hours=2)
    assert not make.balance(buyer).held


def test_a_batch_left_by_a_killed_worker_is_matched_to_the_same_trades(monkeypatch):
    make.offered_pool(make.seller(), units=6, price="9")
    buyers = [make.funded_buyer() for _ in range(3)]
    window = {"latest_end_at": slot_start_at(make.SLOT + 3), "duration_hours": 2}
    orders = [make.place(buyer, units=3, **window) for buyer in buyers]

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(matching.writing, "write_batch", die)
        with pytest.raises(KeyboardInterrupt):
            make.match()
    book = make.book()
    assert (book.admitted, book.version, Trade.objects.count()) == (1, 0, 0)
    late = make.place(make.funded_buyer(), limit="20", units=3, **window)

    assert make.match() == 2

    assert Admission.objects.filter(book=book).count() == 2
    filled = set(Trade.objects.values_list("order_id", flat=True))
    assert filled == {orders[0].id, orders[1].id}
    assert {o.state for o in Order.objects.filter(id__in=[orders[2].id, late.id])} == {"open"}
    assert not BookEvent.objects.filter(batch=None).exists()


def test_capacity_taken_back_between_admission_and_writing_is_not_sold(monkeypatch):
    provider = make.seller()
    pool, _ = make.offered_pool(provider, units=8)
    make.match()
    buyer = make.funded_buyer()
    order = make.place(buyer, units=6, latest_end_at=slot_start_at(make.SLOT + 3))
    admit = matching.admission.admit

    def admit_then_lose_units(book_id, *, now):
        batch = admit(book_id, now=now)
        if batch is not None and batch.book.version == 1:
            monkeypatch.setattr(matching.admission, "admit", admit)
            make.capacity.services.change_pool(
                actor=provider, pool_id=pool.id, available_units=4, now=now
            )
        return batch

    monkeypatch.setattr(matching.admission, "admit", admit_then_lose_units)
    make.match()
    order.refresh_from_db()
    assert (order.state, order.filled_units) == ("partially_filled", 4)
    assert Trade.objects.get().units == 4


def test_a_book_is_read_again_though_an_offer_that_sold_was_withdrawn():
    provider, buyer = make.seller(), make.funded_buyer()
    pool, offer = make.offered_pool(provider, units=8)
    window = {"latest_end_at": slot_start_at(make.SLOT + 3), "duration_hours": 2}
    make.place(buyer, units=6, **window)
    make.match()
    services.withdraw_offer(actor=provider, offer_id=offer.id, now=make.NOW)
    make.match()
    matching.forget_states()
    make.offer(provider, pool)
    make.place(buyer, units=6, **window)
    make.match()
    assert list(Trade.objects.order_by("batch").values_list("units", flat=True)) == [6, 2]


BAD_ORDERS = [
    ({"grade": "no-such-grade"}, "grades[0].grade"),
    ({"units": 0}, "units"),
    ({"units": 10**9}, "units"),
    ({"limit": "-1"}, "grades[0].limit_price_per_unit_hour"),
    ({"min_units": 5}, "min_units"),
    ({"duration_hours": 0}, "duration_hours"),
    ({"duration_hours": 48}, "latest_end_at"),
    ({"earliest_start_at": slot_start_at(make.SLOT - 3)}, "earliest_start_at"),
    ({"latest_end_at": make.NOW}, "latest_end_at"),
    ({"rtt_region": "zhengzhou"}, "max_rtt_ms"),
    ({"data_in_gb_per_unit": Decimal(5)}, "data_region"),
    ({"regions_excluded": ("atlantis",)}, "regions_excluded"),
    ({"time_in_force": "gtd"}, "good_till_at"),
    ({"max_pue": Decimal("0.9")}, "max_pue"),
    ({"regions_allowed": ()}, "regions_allowed"),
    (
        {"regions_allowed": ("zhengzhou",), "regions_excluded": ("henan",)},
        "regions_excluded",
    ),
    ({"max_cost_micro": 0}, "max_cost"),
    ({"max_cost_micro": 10**30}, "max_cost"),
    ({"duration_hours": 10**9}, "duration_hours"),
    ({"latest_end_at": make.later(24 * 3650).replace(minute=0)}, "latest_end_at"),
    (
        {
            "units": 10**6,
            "limit": "999999",
            "duration_hours": 1000,
            "latest_end_at": slot_start_at(make.SLOT + 1001),
        },
        "units",
    ),
    ({"grades": make.many_grades(1000)}, "grades"),
    ({"good_till_at": make.later(1), "time_in_force": "ioc"}, "good_till_at"),
    ({"min_green_share": Decimal(2)}, "min_green_share"),
]


@pytest.mark.parametrize(("facts", "field"), BAD_ORDERS, ids=[field for _, field in BAD_ORDERS])
def test_a_bad_order_is_refused_by_name_and_leaves_nothing(facts, field):
    buyer = make.funded_buyer()
    with pytest.raises(OrderRefused) as refused:
        make.place(buyer, **facts)
    assert field in {bad.field for bad in refused.value.fields}
    assert not Order.objects.exists()
    assert not make.balance(buyer).held


def test_all_broken_rules_are_named_at_once():
    with pytest.raises(OrderRefused) as refused:
        make.place(make.funded_buyer(), units=0, max_pue=Decimal(9), data_region="atlantis")
    assert {bad.field for bad in refused.value.fields} >= {"units", "max_pue", "data_region"}


def test_more_is_told_at_once_than_a_statement_has_parameters(django_assert_max_num_queries):
    many = [
        OutboxEvent(kind="a.b", subject_id=NOBODY, payload={}, occurred_at=make.NOW)
        for _ in range(14_000)
    ]
    with django_assert_max_num_queries(10):
        outbox.emit_many(many)
    event = make.capacity.services.inbox.InboxEvent("pool_changed", NOBODY)
    made = make.capacity.services.inbox.append(
        book_id=make.book().id, events=[event] * 10_000, now=make.NOW
    )
    assert len(made) == 10_000
