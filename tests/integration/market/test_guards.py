"""Raw SQL against each rule of the market that the database itself holds."""

from __future__ import annotations

import uuid
from decimal import Decimal

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from django.db.utils import InternalError, ProgrammingError

from core.slots import slot_start_at
from exchange.market.models import Admission, Order, Trade, TradeRelease
from tests.integration.capacity import builders as capacity
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")
WINDOW = {"duration_hours": 2, "latest_end_at": slot_start_at(make.SLOT + 3)}


@pytest.fixture
def traded():
    """A pool of 8 with 6 units sold for two hours."""
    pool, _ = make.offered_pool(make.seller(), units=8)
    make.place(make.funded_buyer(), units=6, **WINDOW)
    make.match()
    return pool


def run(statement: str, *values) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


def copy_of_trade(**changes) -> None:
    """Insert a copy of the one trade with other values, as a hostile writer would."""
    columns = [f.column for f in Trade._meta.concrete_fields]
    values = {column: column for column in columns}
    values |= {"id": f"'{uuid.uuid4()}'", "position": "99"} | changes
    chosen = ", ".join(str(values[column]) for column in columns)
    names = ", ".join(columns)
    run(f"INSERT INTO exchange_trade ({names}) SELECT {chosen} FROM exchange_trade")


TRADES = [
    ("oversold", {"units": "3"}, "would be sold to 9 of 8"),
    ("twice", {"position": "position"}, "trade_written_once"),
    (
        "other_grade",
        {"units": "1", "grade_id": "(SELECT max(id) FROM exchange_grade)"},
        "terms: goods",
    ),
    (
        "before_window",
        {"units": "1", "start_slot": "start_slot - 5", "end_slot": "end_slot - 5"},
        "order window",
    ),
    ("too_long", {"units": "1", "end_slot": "end_slot - 1"}, "terms: duration"),
    ("above_limit", {"units": "1", "compute_micro": "20000003"}, "terms: limit"),
    ("reclaimable", {"units": "1", "is_reclaimable": "true"}, "terms: reclaimable"),
    ("with_itself", {"units": "1", "seller_id": "buyer_id"}, "no_organisation_trades_with_itself"),
    ("nothing", {"units": "0"}, "trade_units_above_zero"),
    ("negative", {"units": "1", "compute_micro": "-1"}, "trade_cost_not_negative"),
    ("no_time", {"units": "1", "ends_at": "starts_at"}, "trade_covers_time"),
]


@pytest.mark.parametrize(("changes", "said"), [t[1:] for t in TRADES], ids=[t[0] for t in TRADES])
def test_a_trade_that_breaks_a_rule_is_refused(traded, changes, said):
    with pytest.raises(IntegrityError, match=said):
        copy_of_trade(**changes)
    assert Trade.objects.count() == 1


def test_the_counters_are_written_by_trades_alone(traded):
    for statement in (
        "UPDATE exchange_poolday SET sold = array_fill(0, ARRAY[24])",
        "DELETE FROM exchange_poolday",
        "INSERT INTO exchange_poolday (pool_id, day, sold) SELECT pool_id, 1, sold FROM x",
    ):
        with pytest.raises(IntegrityError, match="counted by trades"):
            run(f"WITH x AS (SELECT * FROM exchange_poolday) {statement}")


UNITS = [
    "units = 5, available_units = 5",
    "units = 0, available_units = 0",
    # stating them anew from a slot that is sold does not help
    "units = 5, available_units = 5, units_stated_at = to_timestamp({last_slot} * 3600.0 + 3599)",
    "units_stated_at = NULL, units = 5, available_units = 5",
]


@pytest.mark.parametrize("change", UNITS)
def test_registered_units_stay_above_what_is_sold(traded, change):
    change = change.format(last_slot=Trade.objects.get().end_slot - 1)
    with pytest.raises(IntegrityError, match="would not cover the 6 that are sold"):
        run(f"UPDATE exchange_pool SET {change}")
    traded.refresh_from_db()
    assert (traded.units, traded.available_units, traded.units_stated_at) == (8, 8, None)


def test_what_is_sold_firm_outlasts_lower_availability(traded):
    run("UPDATE exchange_pool SET available_units = 0")
    run("UPDATE exchange_pool SET units = 6")
    over = f"units_stated_at = to_timestamp({Trade.objects.get().end_slot} * 3600.0)"
    run(f"UPDATE exchange_pool SET units = 5, {over}")
    with pytest.raises(IntegrityError, match="would not cover the 6 that are sold"):
        run("UPDATE exchange_pool SET units_stated_at = units_stated_at - interval '1 second'")
    assert Trade.objects.get().units == 6


@pytest.mark.parametrize("table", ["trade", "traderelease", "admission", "ruleset", "leaseevent"])
@pytest.mark.parametrize(
    "statement",
    ["UPDATE exchange_{} SET {} = {}", "DELETE FROM exchange_{}", "TRUNCATE exchange_{} CASCADE"],
    ids=["update", "delete", "truncate"],
)
def test_history_cannot_be_changed(traded, table, statement):
    column = {"traderelease": "trade_id", "ruleset": "version"}.get(table, "id")
    with pytest.raises((IntegrityError, ProgrammingError, InternalError)):
        run(statement.format(table, column, column))


def test_history_cannot_be_changed_by_the_owner_either(traded, owner_connection):
    with pytest.raises(psycopg.errors.RestrictViolation):
        owner_connection.execute("UPDATE exchange_trade SET units = 1")


def test_a_release_frees_just_the_rest_and_only_once(traded):
    trade = Trade.objects.get()
    event = capacity.services.inbox.append(
        book_id=trade.book_id,
        events=[capacity.services.inbox.InboxEvent("capacity_released", trade.id)],
        now=make.NOW,
    )[0]

    def release(from_slot: int) -> None:
        with transaction.atomic():
            TradeRelease.objects.create(
                trade=trade, from_slot=from_slot, event=event, released_at=make.NOW
            )

    for outside in (trade.start_slot - 1, trade.end_slot):
        with pytest.raises(IntegrityError, match="slots that it has"):
            release(outside)
    release(trade.start_slot + 1)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(u) FROM exchange_poolday, unnest(sold) u WHERE pool_id = %s", [traded.id]
        )
        assert cursor.fetchone()[0] == 6
    with pytest.raises(IntegrityError):
        release(trade.start_slot + 1)


ORDERS = [
    ("units = 0", "order_units_above_zero|terms"),
    ("limit_prices = '{99}'", "terms of order .* are fixed"),
    ("latest_slot = earliest_slot", "terms of order .* are fixed"),
    ("filled_units = units + 1", "order_never_overfilled"),
    ("spent_micro = held_micro + 1", "order_never_spends_more_than_held"),
]


@pytest.mark.parametrize(("change", "said"), ORDERS)
def test_an_orders_terms_and_limits_hold(traded, change, said):
    with pytest.raises(IntegrityError, match=said):
        run(f"UPDATE exchange_order SET {change}")
    assert Order.objects.get().limit_prices == [Decimal(10)]


OFFERS = [
    ("prices = '{1,2}'", "offer_has_one_price"),
    ("end_slot = start_slot", "offer_window_not_empty"),
    ("min_chunk_units = units + 1", "offer_chunk_within_units"),
    ("max_duration_slots = min_duration_slots - 1", "offer_durations_in_order|out of range"),
    ("is_reclaimable = true", "reclaimable_offer_states_its_notice"),
    ("units = 0, min_chunk_units = 0", "offer_units_above_zero|offer_chunk"),
]


@pytest.mark.parametrize(("change", "said"), OFFERS)
def test_an_offers_terms_hold(traded, change, said):
    with pytest.raises(IntegrityError, match=said):
        run(f"UPDATE exchange_offer SET {change}")


def test_a_books_events_are_admitted_once_and_its_batches_one_by_one(traded):
    with pytest.raises(IntegrityError, match="admitted once"):
        run("UPDATE exchange_bookevent SET batch = 9, position = 9")
    with pytest.raises(IntegrityError, match="book_has_at_most_one_open_batch"):
        run("UPDATE exchange_book SET admitted = admitted + 2")
    with pytest.raises(IntegrityError, match="book_has_at_most_one_open_batch"):
        run("UPDATE exchange_book SET version = admitted + 1")
    known = Admission.objects.get()
    twice = Admission(book=known.book, batch=known.batch, admitted_at=make.NOW)
    with pytest.raises(IntegrityError, match="admission_batch_once"), transaction.atomic():
        twice.save(force_insert=True)
