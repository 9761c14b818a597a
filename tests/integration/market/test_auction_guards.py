"""Raw SQL against each rule of the auction that the database itself holds."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.utils import InternalError, ProgrammingError

from exchange.market.day_ahead import gate
from exchange.market.day_ahead.models import Auction, AuctionReservation
from exchange.market.models import Trade
from tests.integration.market import auctions as at
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")


@pytest.fixture
def auction():
    """An open auction with an offer of 8 units of a pool of 8 and an order of 6, in two hours."""
    auction = at.opened()
    provider = make.seller()
    pool = make.capacity.pool(provider, make.capacity.centre(provider), units=8)
    at.sell(provider, auction, pool, at.line(auction, "5", 8, (0, 1)))
    at.buy(make.funded_buyer(), auction, at.line(auction, "9", 6, (0, 1)))
    return auction


def closed(auction: Auction) -> None:
    assert gate.close_gate(auction_id=auction.id, now=at.AFTER)


def cleared(auction: Auction) -> None:
    closed(auction)
    assert gate.clear_auction(auction_id=auction.id, now=at.AFTER)


def published(auction: Auction) -> None:
    assert at.advance(auction) == "published"


def run(statement: str, *values) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


def copy_of(table: str, **changes: str) -> str:
    """An insert of a copy of a table's first row with other values."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s"
            " ORDER BY ordinal_position",
            [table],
        )
        columns = [row[0] for row in cursor.fetchall()]
    chosen = ", ".join(changes.get(column, column) for column in columns)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {chosen} FROM {table} "
        f"{changes.get('where', '')} LIMIT 1"
    )


AUCTIONS = [
    ("closes_at = closes_at + interval '1 hour'", "are fixed"),
    ("first_slot = first_slot + 1", "are fixed"),
    ("highest_price = 5", "are fixed"),
    ("state = 'cleared'", "does not go from open to cleared"),
    ("state = 'published', ended_at = now()", "does not go from open to published"),
    ("state = 'cancelled'", "auction_over_says_when"),
    ("ended_at = now()", "does not go from open to open"),
]


@pytest.mark.parametrize(("change", "said"), AUCTIONS)
def test_an_auctions_times_and_moves(auction, change, said):
    with pytest.raises(IntegrityError, match=said):
        run(f"UPDATE exchange_auction SET {change}")


def test_one_auction_for_a_day_and_it_begins_announced(auction):
    fresh = {"id": "gen_random_uuid()"}
    with pytest.raises(IntegrityError, match="begins announced"):
        run(copy_of("exchange_auction", **fresh))
    with pytest.raises(IntegrityError, match="one_auction_for_a_day"):
        run(copy_of("exchange_auction", **fresh, state="'announced'"))
    for change, said in (
        ({"end_slot": "first_slot"}, "auction_covers_a_day"),
        ({"closes_at": "opens_at"}, "auction_times_in_order"),
        ({"lowest_price": "0"}, "auction_prices_in_order"),
    ):
        day = {"delivery_date": "delivery_date + 1", "state": "'announced'"}
        with pytest.raises(IntegrityError, match=said):
            run(copy_of("exchange_auction", **fresh, **day, **change))


BUY, SELL = "WHERE side = 'buy'", "WHERE side = 'sell'"
ENTRIES = [
    ({"where": BUY, "entered_at": "entered_at + interval '9 hours'"}, "gate of auction"),
    ({"where": BUY, "entered_at": "entered_at - interval '9 hours'"}, "gate of auction"),
    ({"where": BUY, "state": "'answered'"}, "gate of auction"),
    ({"where": BUY, "held_micro": "0"}, "holds_funds_and_offer_names_pool"),
    ({"where": BUY, "spent_micro": "1"}, "gate of auction"),
    ({"where": SELL, "pool_id": "NULL"}, "own provider"),
    ({"where": SELL, "region_id": "'luoyang'"}, "own provider"),
    (
        {
            "where": SELL,
            "organisation_id": "(SELECT organisation_id FROM exchange_auctionentry"
            " WHERE side = 'buy' LIMIT 1)",
        },
        "own provider",
    ),
    (
        {
            "where": BUY,
            "organisation_id": "(SELECT organisation_id FROM exchange_auctionentry"
            " WHERE side = 'sell' LIMIT 1)",
        },
        "one_side_of_a_grade_in_an_auction",
    ),
    ({"where": SELL, "minimum_income_micro": "-1"}, "auction_minimum_income_not_negative"),
]


@pytest.mark.parametrize(("changes", "said"), ENTRIES)
def test_what_enters(auction, changes, said):
    with pytest.raises(IntegrityError, match=said):
        run(copy_of("exchange_auctionentry", id="gen_random_uuid()", **changes))


def test_nothing_enters_or_leaves_once_the_gate_is_closed(auction):
    closed(auction)
    for table in ("exchange_auctionentry", "exchange_auctionline"):
        fresh = {"id": "gen_random_uuid()", "token": "gen_random_uuid()", "position": "99"}
        with pytest.raises(IntegrityError, match="gate of auction"):
            run(copy_of(table, **fresh))
    with pytest.raises(IntegrityError, match="does not go from entered to cancelled"):
        run("UPDATE exchange_auctionentry SET state = 'cancelled'")
    with pytest.raises(IntegrityError, match="does not go from entered to answered"):
        run("UPDATE exchange_auctionentry SET state = 'answered'")


LINES = [
    ({"units": "units[1:23]"}, "units for each slot"),
    ({"units": "array_fill(0, ARRAY[24])"}, "units for each slot"),
    ({"units": "array_fill(-1, ARRAY[24])"}, "units for each slot"),
    ({"price": "1001"}, "limits of the auction"),
    ({"least_ratio": "0.5"}, "auction_ratio_and_parent_are_of_blocks"),
    ({"parent_id": "id"}, "a parent is a block before it"),
    ({"position": "position"}, "auction_line_once"),
    ({"token": "token"}, "token"),
]


@pytest.mark.parametrize(("changes", "said"), LINES)
def test_lines(auction, changes, said):
    fresh = {"id": "gen_random_uuid()", "token": "gen_random_uuid()", "position": "9"}
    with pytest.raises(IntegrityError, match=said):
        run(copy_of("exchange_auctionline", **(fresh | changes)))


def test_terms_are_fixed_and_history_stays(auction):
    for change in ("held_micro = held_micro + 1", "region_id = 'luoyang'", "grade_id = 1"):
        with pytest.raises(IntegrityError, match="are fixed"):
            run(f"UPDATE exchange_auctionentry SET {change} {BUY}")
    published(auction)
    for table in (
        "auctionline",
        "auctionschedule",
        "auctionreservation",
        "auctionreservationend",
        "auctionproblem",
        "auctionresult",
        "auctionanswer",
    ):
        for statement in ("DELETE FROM exchange_{}", "TRUNCATE exchange_{} CASCADE"):
            with pytest.raises((IntegrityError, ProgrammingError, InternalError)):
                run(statement.format(table))


def test_a_line_more_than_is_held_keeps_the_gate_from_closing(auction):
    fresh = {"id": "gen_random_uuid()", "token": "gen_random_uuid()", "position": "9"}
    bought = "WHERE entry_id IN (SELECT id FROM exchange_auctionentry WHERE side = 'buy')"
    run(copy_of("exchange_auctionline", **fresh, where=bought))
    with pytest.raises(IntegrityError, match="holds another amount"):
        gate.close_gate(auction_id=auction.id, now=at.AFTER)


def test_reservations_count_against_the_pool_and_end_with_their_auction(auction):
    closed(auction)
    reservation = AuctionReservation.objects.get()
    with pytest.raises(IntegrityError, match="would be sold to 9 of 8"), transaction.atomic():
        make.capacity.sell(reservation.pool, 1, start_slot=auction.first_slot, slots=1)
    with pytest.raises(IntegrityError, match="would not cover the 8 that are sold"):
        run("UPDATE exchange_pool SET units = 7, available_units = 7")
    end = (
        "INSERT INTO exchange_auctionreservationend (reservation_id, returned, ended_at) "
        "SELECT line_id, {}, now() FROM exchange_auctionreservation"
    )
    with pytest.raises(IntegrityError, match="ends with its auction"):
        run(end.format("units"))
    other = "(SELECT l.id FROM exchange_auctionline l JOIN exchange_auctionentry e"
    other += " ON e.id = l.entry_id WHERE e.side = 'buy')"
    with pytest.raises(IntegrityError, match="of what a line of a closed auction offers"):
        run(copy_of("exchange_auctionreservation", line_id=other))
    run("UPDATE exchange_auction SET state = 'cancelled', ended_at = now()")
    with pytest.raises(IntegrityError, match="ends with its auction"):
        run(end.format("array_fill(0, ARRAY[24])"))
    run(end.format("units"))
    make.capacity.sell(reservation.pool, 8, start_slot=auction.first_slot, slots=1)


def test_problem_result_and_publication_in_their_turn(auction):
    with pytest.raises(IntegrityError, match="is not closed"):
        run("INSERT INTO exchange_auctionproblem SELECT id, '{}', 'x', now() FROM exchange_auction")
    closed(auction)
    run("UPDATE exchange_auction SET state = 'cleared', cleared_at = now()")
    with pytest.raises(IntegrityError, match="has no result to publish"):
        run("UPDATE exchange_auction SET state = 'published', ended_at = now()")
    result = (
        "INSERT INTO exchange_auctionresult (auction_id, certificate, problem_sha256, method, note,"
        " payments_micro, receipts_micro, transport_micro, rent_micro, objective_micro,"
        " bound_micro, checked_at) SELECT auction_id, '{{}}', {}, 'optimal', '', {}, 5, 0, 0, 1,"
        " {}, now() FROM exchange_auctionproblem"
    )
    for sha, payments, bound, said in (
        ("'other'", 5, 1, "of another problem"),
        ("sha256", 6, 1, "auction_payments_are_receipts_transport_and_rent"),
        ("sha256", 5, 0, "auction_bound_not_below_objective"),
    ):
        with pytest.raises(IntegrityError, match=said):
            run(result.format(sha, payments, bound))


ANSWERS = [
    ("sell", "units", "0", "breaks a rule: loss"),
    ("buy", "units", "1000000 * 1000", "breaks a rule: loss"),
    ("sell", "array_fill(9, ARRAY[24])", "1", "breaks a rule: units"),
    ("buy", "array_fill(-1, ARRAY[24])", "1", "breaks a rule: units"),
    ("buy", "units[1:3]", "1", "breaks a rule: units"),
]


@pytest.mark.parametrize(("side", "accepted", "amount", "said"), ANSWERS)
def test_answers_stay_within_their_lines(auction, side, accepted, amount, said):
    cleared(auction)
    answer = (
        f"INSERT INTO exchange_auctionanswer SELECT l.id, {accepted}, {amount}, '', 0"
        " FROM exchange_auctionline l JOIN exchange_auctionentry e ON e.id = l.entry_id"
        " WHERE e.side = %s"
    )
    with pytest.raises(IntegrityError, match="breaks a rule: state"):
        run(answer, side)
    run("UPDATE exchange_auction SET state = 'published', ended_at = now()")
    with pytest.raises(IntegrityError, match=said):
        run(answer, side)


TRADES = [
    ({"resting_side": "'offer'"}, "not of one published auction|trade_congestion"),
    ({"path_prices_micro": "NULL"}, "not of one published auction"),
    ({"path_prices_micro": "ARRAY[1]::bigint[]"}, "not of one published auction"),
    ({"congestion_micro": "transport_micro + 1"}, "trade_congestion_is_a_part_of_transport"),
    ({"congestion_micro": "-1"}, "trade_congestion_is_a_part_of_transport"),
]


@pytest.mark.parametrize(("changes", "said"), TRADES)
def test_trades_are_an_auctions_on_both_sides(auction, changes, said):
    published(auction)
    assert Trade.objects.get().resting_side == "auction"
    fresh = {"id": "gen_random_uuid()", "position": "99", "units": "1", "compute_micro": "1"}
    with pytest.raises(IntegrityError, match=said):
        run(copy_of("exchange_trade", **(fresh | changes)))


def test_what_stands_for_an_auction_in_the_market_stays_so(auction):
    published(auction)
    for statement, said in (
        ("UPDATE exchange_order SET auction_entry_id = NULL", "are fixed"),
        ("UPDATE exchange_order SET filled_units = 0", "order_of_an_auction_is_filled"),
        ("UPDATE exchange_offer SET state = 'open'", "offer_of_an_auction_stays_there"),
        ("UPDATE exchange_auctionentry SET spent_micro = held_micro + 1", "spends|terms|entry"),
    ):
        with pytest.raises(IntegrityError, match=said):
            run(statement)
