"""Halts: through the inbox, before everything else in a batch, and back by one matching."""

from __future__ import annotations

import uuid

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.errors import OperatorRoleMissing
from accounts.models import AuditRow
from core.errors import InvalidInput, TransitionRefused
from core.models import OutboxEvent
from core.slots import slot_start_at
from exchange.capacity.models import Book
from exchange.market import matching, preview, services, verify
from exchange.market.errors import OrderRefused
from exchange.market.models import Order, Trade
from exchange.market.orderly import services as orderly
from exchange.market.orderly.errors import HaltNotFound
from exchange.market.orderly.models import Halt
from exchange.market.reference import ReferenceBook
from exchange.market.retelling import retell, trades_written
from tests import factories
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")
WINDOW = {"duration_hours": 2, "latest_end_at": slot_start_at(make.SLOT + 3)}


@pytest.fixture
def staff(reference):
    return factories.operator("market")


def halt(staff, **scope) -> Halt:
    scope = scope or {"book_code": "intelligent"}
    return orderly.halt_trading(actor=staff, reason="Prices run away", now=make.NOW, **scope)


def resume(staff, halted: Halt) -> Halt:
    return orderly.resume_trading(actor=staff, halt_id=halted.id, reason="Explained", now=make.NOW)


def states() -> list[str]:
    return list(Order.objects.order_by("id").values_list("state", flat=True))


def assert_sound() -> None:
    book = make.book()
    assert trades_written(book) == retell(book, ReferenceBook).trades
    assert [finding for finding in verify.checks() if not finding.ok] == []


def test_while_halted_orders_rest_and_may_be_cancelled_and_then_the_best_is_matched(staff):
    make.offered_pool(make.seller(), units=4, price="9")
    make.match()
    halted = halt(staff)
    poor = make.place(make.funded_buyer(), limit="10", units=4, **WINDOW)
    rich = make.place(make.funded_buyer(), limit="12", units=4, **WINDOW)
    gone = make.place(make.funded_buyer(), limit="15", units=4, **WINDOW)
    make.match()
    make.offered_pool(make.seller(), units=4, price="8")  # a cheaper one comes meanwhile
    make.match()
    assert states() == ["open"] * 3
    assert not Trade.objects.exists()
    assert make.book().is_halted
    services.cancel_order(actor=actor_of(gone), order_id=gone.id, now=make.NOW)
    make.match()
    gone.refresh_from_db()
    assert gone.state == "cancelled"

    resume(staff, halted)
    make.match()

    # All pools open at once: the best order takes the cheaper pool, though the other came first.
    first, second = Trade.objects.order_by("batch", "position")
    assert (first.order_id, first.price_per_unit_hour) == (rich.id, 12)
    assert (second.order_id, second.price_per_unit_hour) == (poor.id, 9)
    assert make.book().halts_in_force == {}
    assert_sound()
    kinds = OutboxEvent.objects.filter(kind__in=["market.halted", "market.resumed"]).order_by("id")
    assert [(e.kind, e.subject_id, e.payload) for e in kinds] == [
        ("market.halted", halted.id, {"book": "intelligent", "regions": None}),
        ("market.resumed", halted.id, {"book": "intelligent", "regions": None}),
    ]
    acts = AuditRow.objects.filter(subject_id=str(halted.id)).order_by("id")
    assert [(a.action, a.after["state"], a.after["reason"]) for a in acts] == [
        ("market.halt", "halted", "Prices run away"),
        ("market.resume", "open", "Explained"),
    ]


def actor_of(order: Order):
    return make.capacity.actor_for(order.buyer, scopes=make.SCOPES)


def test_a_halt_stands_before_the_orders_that_came_first(staff):
    make.offered_pool(make.seller(), units=4)
    make.match()
    make.place(make.funded_buyer(), **WINDOW)
    halt(staff)
    assert make.match() == 1
    assert states() == ["open"]


def test_halted_and_resumed_in_one_batch_changes_nothing_and_a_later_halt_holds(staff):
    make.offered_pool(make.seller(), units=4)
    make.match()
    make.place(make.funded_buyer(), **WINDOW)
    resume(staff, halt(staff))
    again = halt(staff)
    assert make.match() == 1
    assert states() == ["open"]
    assert make.book().halts_in_force == {str(again.id): None}
    resume(staff, again)
    make.match()
    assert states() == ["filled"]
    assert_sound()


def test_a_batch_under_way_is_written_and_the_halt_holds_from_the_next(staff, monkeypatch):
    make.offered_pool(make.seller(), units=8)
    make.match()
    make.place(make.funded_buyer(), units=4, **WINDOW)

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(matching.writing, "write_batch", die)
        with pytest.raises(KeyboardInterrupt):
            make.match()
    halt(staff)
    make.place(make.funded_buyer(), units=4, **WINDOW)
    assert make.match() == 2
    assert states() == ["filled", "open"]
    assert_sound()


def test_a_region_is_halted_in_every_book_with_all_below_it(staff):
    make.offered_pool(make.seller(), units=4, price="5", region="zhengzhou")
    make.offered_pool(make.seller(), units=4, price="9", region="luoyang")
    make.match()
    city = halt(staff, region_code="zhengzhou")
    make.place(make.funded_buyer(), units=4, **WINDOW)
    make.match()
    assert [t.seller_region_id for t in Trade.objects.all()] == ["luoyang"]
    province = halt(staff, region_code="henan")
    for code in Book.objects.values_list("code", flat=True):
        make.match(code=code)
        regions = Book.objects.get(code=code).halts_in_force
        assert set(regions) == {str(city.id), str(province.id)}
        assert {"henan", "luoyang", "zhengzhou"} <= set(regions[str(province.id)])
    waits = make.place(make.funded_buyer(), units=4, **WINDOW)
    resume(staff, province)
    make.match()
    waits.refresh_from_db()
    assert waits.state == "open", "its city is still halted by itself"
    _late, _ = make.offered_pool(make.seller(), units=4, price="6", region="zhengzhou", code="c9")
    make.match()
    assert Trade.objects.count() == 1
    resume(staff, city)
    make.match()
    assert [t.price_per_unit_hour for t in Trade.objects.order_by("batch")] == [9, 5]
    assert_sound()


def test_ioc_and_fok_are_refused_while_the_book_is_halted_and_a_preview_says_so(staff):
    make.offered_pool(make.seller(), units=4)
    halted = halt(staff)
    make.match()
    buyer = make.funded_buyer()
    for kind in ("ioc", "fok"):
        with pytest.raises(OrderRefused) as refused:
            make.place(buyer, time_in_force=kind, **WINDOW)
        assert [bad.field for bad in refused.value.fields] == ["time_in_force"]
        assert "halted" in refused.value.fields[0].rule
    quoted = preview.preview_order(actor=buyer, request=make.order_request(**WINDOW), now=make.NOW)
    assert (quoted.would_fill_units, quoted.tests) == (0, {"open": 1})
    assert quoted.warnings[0].rule == "halted"
    resume(staff, halted)
    make.match()
    assert make.place(buyer, time_in_force="ioc", **WINDOW).state == "pending"


def test_an_ioc_that_passed_before_the_halt_is_cancelled_unfilled(staff):
    make.offered_pool(make.seller(), units=4)
    make.match()
    buyer = make.funded_buyer()
    make.place(buyer, time_in_force="ioc", **WINDOW)
    halt(staff)
    make.match()
    assert states() == ["cancelled"]
    assert make.balance(buyer).held == 0


def test_transitions_that_are_none(staff):
    halted = halt(staff)
    with pytest.raises(TransitionRefused, match="takes resume"):
        halt(staff)
    resume(staff, halted)
    with pytest.raises(TransitionRefused, match="takes halt"):
        resume(staff, halted)
    assert halt(staff).id != halted.id
    assert Halt.objects.count() == 2
    assert AuditRow.objects.filter(action__startswith="market.").count() == 3


@pytest.mark.parametrize(
    ("scope", "reason", "field"),
    [
        ({}, "Why", "book"),
        ({"book_code": "intelligent", "region_code": "henan"}, "Why", "book"),
        ({"region_code": "atlantis"}, "Why", "region"),
        ({"book_code": "intelligent"}, "   ", "reason"),
        ({"book_code": "intelligent"}, "x" * 501, "reason"),
    ],
)
def test_bad_halts_name_their_field(staff, scope, reason, field):
    with pytest.raises(InvalidInput) as refused:
        orderly.halt_trading(actor=staff, reason=reason, now=make.NOW, **scope)
    assert [bad.field for bad in refused.value.fields] == [field]
    assert not Halt.objects.exists()


def test_only_the_market_desk_halts(staff):
    for other in (factories.operator("auditor"), make.seller()):
        with pytest.raises(OperatorRoleMissing):
            halt(other)
    with pytest.raises(HaltNotFound):
        orderly.resume_trading(actor=staff, halt_id=uuid.UUID(int=7), reason="x", now=make.NOW)


def run(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def another(reason: str, book: str, region: str) -> str:
    """Insert a copy of the one halt with other values."""
    return f"""
        INSERT INTO exchange_halt (id, reason, halted_by, halted_at, resume_reason, resumed_by,
                                   book_id, region_id)
        SELECT gen_random_uuid(), {reason}, halted_by, halted_at, '', '', {book}, {region}
          FROM exchange_halt"""


ATTACKS = [
    ("trade_while_halted", None, "where trading is halted"),
    (
        "lifted_without_a_batch",
        "UPDATE exchange_book SET halts_in_force = '{}' WHERE halts_in_force <> '{}'",
        "through its inbox",
    ),
    (
        "set_without_a_batch",
        "UPDATE exchange_book SET halts_in_force = '{\"x\": null}' WHERE code = 'general'",
        "through its inbox",
    ),
    ("other_reason", "UPDATE exchange_halt SET reason = 'Because'", "told once"),
    ("other_book", "UPDATE exchange_halt SET book_id = book_id + 1", "told once"),
    ("forgotten", "DELETE FROM exchange_halt", "told once"),
    (
        "resumed_in_part",
        "UPDATE exchange_halt SET resumed_at = now() + interval '9 days'",
        "halt_resumed_whole",
    ),
    (
        "resumed_before",
        (
            "UPDATE exchange_halt SET resumed_at = halted_at - interval '1 second',"
            " resumed_by = 'x', resume_reason = 'y'"
        ),
        "halt_resumed_whole",
    ),
    (
        "halted_twice",
        another(reason="reason", book="book_id", region="region_id"),
        "book_halted_once",
    ),
    (
        "of_nothing",
        another(reason="reason", book="null", region="null"),
        "halt_is_of_a_book_or_of_a_region",
    ),
    (
        "without_reason",
        another(reason="''", book="null", region="'henan'"),
        "halt_has_a_reason",
    ),
    ("no_band", "UPDATE exchange_book SET band_bp = 0", "book_band_is_a_band"),
]


@pytest.mark.parametrize(
    ("statement", "said"), [a[1:] for a in ATTACKS], ids=[a[0] for a in ATTACKS]
)
def test_the_database_refuses_what_no_service_does(staff, statement, said):
    make.offered_pool(make.seller(), units=8)
    make.match()
    make.place(make.funded_buyer(), units=4, **WINDOW)
    make.match()
    halt(staff)
    make.match()
    if statement is None:
        columns = [f.column for f in Trade._meta.concrete_fields]
        own = {"id": "gen_random_uuid()", "position": "99"}
        chosen = ", ".join(own.get(column, column) for column in columns)
        statement = (
            f"INSERT INTO exchange_trade ({', '.join(columns)}) SELECT {chosen} FROM exchange_trade"
        )
    with pytest.raises(IntegrityError, match=said):
        run(statement)
    assert Trade.objects.count() == Halt.objects.count() == 1
