"""The reference index: published once an hour, carried forward, never corrected."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.utils import InternalError, ProgrammingError

from core.models import OutboxEvent
from core.slots import slot_of, slot_start_at
from exchange.capacity.models import Book
from exchange.market import matching
from exchange.market.models import Trade
from exchange.market.orderly import selectors
from exchange.market.orderly.models import IndexHour, IndexPublication
from exchange.market.orderly.publishing import MAX_HOURS, publish_index
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")
TURN = make.later(2 / 3)  # 03:00, the hour after that of NOW
SECOND = timedelta(seconds=1)


def ask(price: str, *, units: int = 2, now=make.NOW, **facts) -> None:
    """An order at a price, and after it a pool that is just what it wants: they will match."""
    first = slot_of(now) + 1
    window = {"latest_end_at": slot_start_at(first + 2)}
    make.place(make.funded_buyer(), units=units, limit=price, now=now, **window, **facts)
    provider = make.seller()
    pool = make.capacity.pool(provider, make.capacity.centre(provider), units=units)
    terms = {"start_at": slot_start_at(first), "end_at": slot_start_at(first + 2)}
    if facts:
        terms |= {"is_reclaimable": True, "reclaim_notice_seconds": 600}
    make.offer(provider, pool, price="1", **terms)


def trade(price: str, *, units: int = 2, now=make.NOW) -> None:
    """A trade of two hours at a price, in Zhengzhou."""
    ask(price, units=units, now=now)
    make.match(now=now)


def prices() -> list[tuple]:
    rows = IndexHour.objects.order_by("slot", "region")
    return [
        (r.slot - make.SLOT, str(r.price_per_unit_hour), r.priced_slot - make.SLOT, r.trades)
        for r in rows
    ]


def test_an_hour_is_published_once_it_is_over_and_weighted_by_volume():
    trade("10", units=1)
    trade("14", units=3)
    assert publish_index(now=TURN - SECOND) == 0
    assert publish_index(now=TURN) == 1
    assert publish_index(now=TURN) == 0
    row = IndexHour.objects.get()
    assert (row.price_per_unit_hour, row.unit_hours, row.trades) == (Decimal(13), 8, 2)
    assert (row.region_id, row.grade.code, row.slot) == ("zhengzhou", make.NPU, make.SLOT)
    told = OutboxEvent.objects.get(kind="market.index")
    assert (told.organisation_id, told.subject_id) == (None, row.id)
    assert told.payload["price_per_unit_hour"] == "13.000000"
    assert selectors.prices_in_force(row.publication.book_id, [row.grade_id]) == {
        (row.grade_id, "zhengzhou"): 13_000_000
    }


def test_hours_without_trades_carry_the_price_and_all_missing_hours_are_made_up():
    trade("10")
    trade("20", now=make.later(3))
    publish_index(now=make.later(4.7))
    assert prices() == [
        (0, "10.000000", 0, 1),
        (1, "10.000000", 0, 0),
        (2, "10.000000", 0, 0),
        (3, "20.000000", 3, 1),
        (4, "20.000000", 3, 0),
    ]


def test_a_long_stop_is_made_up_in_turns_and_an_old_price_ends():
    trade("10")
    late = make.later(24 * 9)
    turns = [publish_index(now=late)]
    while turns[-1]:
        turns.append(publish_index(now=late))
    assert turns[0] == MAX_HOURS
    assert sum(turns) == IndexPublication.objects.count() == 24 * 9
    assert len(prices()) == 1 + 7 * 24
    assert selectors.index_in_force() == []


def test_a_thin_hour_keeps_the_price_but_shows_what_was_traded():
    Book.objects.filter(code="intelligent").update(index_min_unit_hours=4)
    trade("10", units=2)
    trade("90", units=1, now=make.later(1))
    publish_index(now=make.later(2))
    assert prices() == [(0, "10.000000", 0, 1), (1, "10.000000", 0, 1)]
    thin = IndexHour.objects.get(slot=make.SLOT + 1)
    assert (thin.is_carried, thin.unit_hours) == (True, 2)


def test_a_batch_still_being_written_is_waited_for_and_later_counts_where_it_is_written(
    monkeypatch,
):
    trade("10")
    ask("30")

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(matching.writing, "write_batch", die)
        with pytest.raises(KeyboardInterrupt):
            make.match()
    assert publish_index(now=TURN + 59 * SECOND) == 0
    assert publish_index(now=TURN + 60 * SECOND) == 1
    make.match(now=TURN + 61 * SECOND)
    assert publish_index(now=make.later(2)) == 1
    assert prices() == [(0, "10.000000", 0, 1), (1, "30.000000", 1, 1)]
    counted = IndexPublication.objects.order_by("slot").values_list("first_batch", "last_batch")
    assert [last - first + 1 for first, last in counted][1] == 1


def test_reclaimable_capacity_is_another_good():
    ask("3", accepts_reclaimable=True)
    make.match()
    assert Trade.objects.get().is_reclaimable
    assert publish_index(now=TURN) == 1
    assert prices() == []


def test_every_trade_counts_once_whatever_the_hours(django_assert_num_queries):
    for hour, price in enumerate(("10", "11", "12")):
        trade(price, now=make.later(hour))
        publish_index(now=make.later(hour))
    publish_index(now=make.later(3))
    assert sum(row.trades for row in IndexHour.objects.all()) == Trade.objects.count() == 3
    with django_assert_num_queries(1):
        assert len(selectors.index_in_force()) == 1


def run(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


_PUBLISH = """
    INSERT INTO exchange_indexpublication
           (book_id, slot, first_batch, last_batch, min_unit_hours, published_at)
    SELECT book_id, slot + {slot}, {first}, {last}, 1, now() FROM exchange_indexpublication
"""
_PRICE = """
    INSERT INTO exchange_indexhour (id, publication_id, grade_id, region_id, slot,
           price_per_unit_hour, priced_slot, unit_seconds, compute_micro, trades)
    SELECT gen_random_uuid(), publication_id, {grade}, {region}, slot + {slot}, {price},
           priced_slot + {priced}, unit_seconds, compute_micro, {trades} FROM exchange_indexhour
"""


def publication(slot="1", first="last_batch + 1", last="last_batch") -> str:
    return _PUBLISH.format(slot=slot, first=first, last=last)


def price(**facts: str) -> str:
    values = {
        "grade": "grade_id",
        "region": "'luoyang'",
        "slot": "0",
        "price": "1",
        "priced": "0",
        "trades": "trades",
    }
    return _PRICE.format(**(values | facts))


ATTACKS = [
    ("a_gap", publication(slot="2"), "goes on with slot"),
    ("again", publication(slot="0"), "goes on with slot"),
    ("counted_twice", publication(first="last_batch"), "goes on with slot"),
    ("left_out", publication(first="last_batch + 2", last="last_batch + 1"), "goes on with slot"),
    ("unwritten", publication(last="last_batch + 1"), "is not written"),
    ("backwards", publication(last="last_batch - 1"), "index_batches_in_order"),
    ("price_twice", price(region="region_id"), "index_price_once_an_hour"),
    ("price_zero", price(price="0"), "index_price_above_zero"),
    ("future_price", price(priced="1"), "index_price_is_not_of_the_future"),
    ("no_trades", price(trades="0"), "index_volume_goes_with_trades"),
    ("other_hour", price(slot="1"), "the hour and the book"),
    (
        "other_book",
        price(grade="(SELECT min(id) FROM exchange_grade WHERE resource_class = 'general')"),
        "the hour and the book",
    ),
]


@pytest.mark.parametrize(
    ("statement", "said"), [a[1:] for a in ATTACKS], ids=[a[0] for a in ATTACKS]
)
def test_the_database_refuses_an_index_with_gaps(statement, said):
    trade("10")
    publish_index(now=TURN)
    with pytest.raises(IntegrityError, match=said):
        run(statement)
    assert (IndexPublication.objects.count(), IndexHour.objects.count()) == (1, 1)
    assert publish_index(now=make.later(2)) == 1, "and the sweep goes on"


@pytest.mark.parametrize("table", ["exchange_indexpublication", "exchange_indexhour"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET slot = 1", "DELETE FROM {}", "TRUNCATE {}"])
def test_what_is_published_stays(table, statement, owner_connection):
    with pytest.raises((InternalError, ProgrammingError)):
        run(statement.format(table))
    with pytest.raises(Exception, match=r"append-only|referenced"):
        owner_connection.execute(statement.format(table))
