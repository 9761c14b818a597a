"""A day-ahead auction through the services: what is held, reserved, traded and given back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction

from billing.metering.rules import ReportedUse
from billing.metering.services import report_usage
from billing.rating.services import rate_pending
from core.errors import InsufficientFunds
from core.slots import slot_start_at
from exchange.capacity import verify as capacity_verify
from exchange.capacity.models import PoolDay
from exchange.market import verify as market_verify
from exchange.market.day_ahead import gate, services, verify
from exchange.market.day_ahead.errors import EntryRefused, GateNotOpen
from exchange.market.day_ahead.models import AuctionEntry, AuctionResult
from exchange.market.models import Order, Trade
from exchange.pricing import chart
from exchange.scheduling import services as scheduling
from exchange.scheduling.models import Lease
from ledger import verify as ledger_verify
from ledger.services import Balance
from tests import factories
from tests.integration.market import auctions as at
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")
YUAN = 1_000_000


def assert_sound() -> None:
    findings = [
        *verify.checks(),
        *market_verify.checks(),
        *capacity_verify.checks(),
        *ledger_verify.checks(),
    ]
    assert [finding for finding in findings if not finding.ok] == []


def sold(pool) -> dict[int, int]:
    return {
        day.day * 24 + hour: units
        for day in PoolDay.objects.filter(pool=pool)
        for hour, units in enumerate(day.sold)
        if units
    }


def test_two_zones_a_full_link_and_every_micro_yuan():
    auction = at.opened()
    assert (auction.first_slot, auction.hours) == (make.SLOT + 14, 24)
    cheap, dear = make.seller(), make.seller()
    luoyang = make.capacity.pool(cheap, make.capacity.centre(cheap, region="luoyang"), units=16)
    zhengzhou = make.capacity.pool(dear, make.capacity.centre(dear), units=16)
    link = at.link("luoyang", "zhengzhou", units=4, price="1")
    carrier = factories.organisation("carrier")
    link.carrier = carrier
    link.save()
    hours = (2, 3, 4)
    at.sell(cheap, auction, luoyang, at.line(auction, "5", 10, hours))
    at.sell(dear, auction, zhengzhou, at.line(auction, "9", 10, hours))
    buyer = make.funded_buyer(1000)
    order = at.buy(buyer, auction, at.line(auction, "20", 6, hours))
    assert make.balance(buyer) == Balance(1000 * YUAN, 6 * 3 * 20 * YUAN)

    assert at.advance(auction, make.NOW) == "open"
    assert at.advance(auction) == "published"

    order.refresh_from_db()
    # 4 units over the link, 2 from the zone itself, all at the zone's price of 9.
    assert (order.state, order.spent_micro) == ("answered", 6 * 3 * 9 * YUAN)
    by_pool = {trade.pool_id: trade for trade in Trade.objects.all()}
    near, far = by_pool[zhengzhou.id], by_pool[luoyang.id]
    start = auction.first_slot + 2
    assert (near.units, near.start_slot, near.end_slot) == (2, start, start + 3)
    assert (near.compute_micro, near.transport_micro) == (2 * 3 * 9 * YUAN, 0)
    assert (far.units, far.start_slot, far.end_slot) == (4, start, start + 3)
    assert far.compute_micro == 4 * 3 * 5 * YUAN
    # Each unit pays 9, the seller gets 5, the link 1: 3 are congestion rent.
    assert (far.transport_micro, far.congestion_micro) == (4 * 3 * 4 * YUAN, 4 * 3 * 3 * YUAN)
    assert (far.path_link_ids, far.path_prices_micro) == ([link.id], [YUAN])
    result = AuctionResult.objects.get()
    assert (result.method, result.payments_micro) == ("optimal", 162 * YUAN)
    assert (result.receipts_micro, result.transport_micro, result.rent_micro) == (
        114 * YUAN,
        12 * YUAN,
        36 * YUAN,
    )
    assert make.balance(buyer) == Balance(1000 * YUAN, 162 * YUAN)
    slots = range(start, start + 3)
    assert sold(luoyang) == dict.fromkeys(slots, 4)
    assert sold(zhengzhou) == dict.fromkeys(slots, 2)
    assert_sound()

    # Delivered in full, the money goes where the certificate says.
    assert scheduling.pull_leases(now=at.AFTER) == 2
    for trade, actor in ((near, dear), (far, cheap)):
        provider = factories.actor_of(factories.Organisation.objects.get(id=actor.organisation_id))
        scheduling.transition_lease(
            actor=provider, lease_id=trade.id, event="activate", now=trade.starts_at
        )
        use = ReportedUse(
            lease_id=trade.id,
            source_record_id="all",
            period_start_at=trade.starts_at,
            period_end_at=trade.ends_at,
            active_unit_seconds=trade.units * 3 * 3600,
        )
        report_usage(actor=provider, records=[use], now=trade.ends_at)
    rate_pending(now=near.ends_at)
    assert make.balance(buyer) == Balance(838 * YUAN, 0)
    rent = factories.balance(chart.PLATFORM, chart.CONGESTION_RENT, "zhengzhou")
    assert rent == 36 * YUAN
    carried = factories.balance(carrier.id, chart.PAYABLE, "zhengzhou")
    # Tax-inclusive: 9 % are in the twelve yuan of the link.
    tax = 990_826
    assert carried == 12 * YUAN - tax
    kept = sum(
        factories.balance(chart.PLATFORM, chart.COMMISSION, region)
        + factories.balance(chart.PLATFORM, chart.TAX_PAYABLE, region)
        for region in ("zhengzhou", "luoyang")
    )
    paid = factories.balance(cheap.organisation_id, chart.PAYABLE, "luoyang")
    paid += factories.balance(dear.organisation_id, chart.PAYABLE, "zhengzhou")
    assert paid + kept - tax == 114 * YUAN
    mirrors = factories.balance(chart.PLATFORM, "clearing:luoyang", "zhengzhou")
    assert mirrors == -factories.balance(chart.PLATFORM, "clearing:zhengzhou", "luoyang") != 0
    assert_sound()


def test_what_is_reserved_the_book_cannot_sell_and_what_is_left_it_can():
    auction = at.opened()
    provider = make.seller()
    pool, _offer = make.offered_pool(provider, units=8, price="3")
    make.match()
    at.sell(provider, auction, pool, at.line(auction, "5", 6, (0, 1)))
    at.buy(make.funded_buyer(), auction, at.line(auction, "20", 4, (0, 1)))
    assert gate.close_gate(auction_id=auction.id, now=at.AFTER)
    first = auction.first_slot
    assert sold(pool) == {first: 6, first + 1: 6}

    # The book knows: of an order for the reserved hours it fills what is left, two units of eight.
    window = {
        "earliest_start_at": slot_start_at(first),
        "latest_end_at": slot_start_at(first + 2),
        "now": at.AFTER,
    }
    waiting = make.place(make.funded_buyer(), units=5, duration_hours=2, **window)
    make.match(now=at.AFTER)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.filled_units) == ("partially_filled", 2)
    assert sold(pool) == {first: 8, first + 1: 8}
    assert_sound()

    # Publishing takes four of the six, and the two that are given back fill the order.
    assert at.advance(auction) == "published"
    make.match(now=at.AFTER)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.filled_units) == ("partially_filled", 4)
    assert sold(pool) == {first: 8, first + 1: 8}
    assert_sound()


def test_a_book_read_again_knows_what_is_reserved_and_what_was_published():
    auction = at.opened()
    provider = make.seller()
    pool, _offer = make.offered_pool(provider, units=8, price="3")
    at.sell(provider, auction, pool, at.line(auction, "5", 6, (0, 1)))
    at.buy(make.funded_buyer(), auction, at.line(auction, "20", 4, (0, 1)))
    gate.close_gate(auction_id=auction.id, now=at.AFTER)
    make.match(now=at.AFTER)
    first = auction.first_slot
    window = {
        "earliest_start_at": slot_start_at(first),
        "latest_end_at": slot_start_at(first + 2),
        "duration_hours": 2,
        "units": 5,
        "now": at.AFTER,
    }
    make.matching.forget_states()
    one = make.place(make.funded_buyer(), **window)
    make.match(now=at.AFTER)
    one.refresh_from_db()
    assert one.filled_units == 2
    gate.clear_auction(auction_id=auction.id, now=at.AFTER)
    gate.publish_auction(auction_id=auction.id, now=at.AFTER)
    make.matching.forget_states()
    make.match(now=at.AFTER)
    one.refresh_from_db()
    assert one.filled_units == 4
    # A lease of the auction ends before its time: the book takes its hours back.
    scheduling.pull_leases(now=at.AFTER)
    trade = Trade.objects.get(resting_side="auction")
    owner = factories.Organisation.objects.get(id=trade.buyer_id)
    scheduling.transition_lease(
        actor=factories.actor_of(owner), lease_id=trade.id, event="terminate", now=at.AFTER
    )
    make.match(now=at.AFTER)
    one.refresh_from_db()
    assert one.filled_units == 5
    assert_sound()


def test_blocks_linked_blocks_and_minimum_income_are_answered_with_their_reasons():
    auction = at.opened()
    provider = make.seller()
    pool = make.capacity.pool(provider, make.capacity.centre(provider), units=30)
    offer = at.sell(
        provider,
        auction,
        pool,
        at.line(auction, "4", 10, (0, 1)),
        minimum_income_micro=50 * YUAN,
    )
    buyer = make.funded_buyer()
    order = at.buy(
        buyer,
        auction,
        at.line(auction, "10", 6, (0, 1), kind="block"),
        at.line(auction, "8", 2, (0,), kind="block", parent=0),
        at.line(auction, "3", 2, (0, 1), kind="block"),
    )
    assert at.advance(auction) == "published"
    answers = [line.answer for line in order.lines.select_related("answer")]
    assert [sum(a.accepted) for a in answers] == [12, 2, 0]
    assert [a.reason for a in answers] == ["", "", "out_of_the_money"]
    (given,) = [line.answer for line in offer.lines.select_related("answer")]
    assert sum(given.accepted) == 14
    assert given.amount_micro >= 50 * YUAN
    order.refresh_from_db()
    assert order.spent_micro == given.amount_micro
    assert_sound()


def test_a_pool_sold_meanwhile_gives_what_it_still_has():
    auction = at.opened()
    provider = make.seller()
    pool, _offer = make.offered_pool(provider, units=8)
    steps = at.sell(provider, auction, pool, at.line(auction, "5", 8, (0, 1)))
    block = at.sell(provider, auction, pool, at.line(auction, "5", 8, (0, 5), kind="block"))
    make.place(
        make.funded_buyer(),
        units=3,
        duration_hours=1,
        earliest_start_at=slot_start_at(auction.first_slot),
        latest_end_at=slot_start_at(auction.first_slot + 1),
    )
    make.match()
    assert gate.close_gate(auction_id=auction.id, now=at.AFTER)
    (line,) = steps.lines.all()
    assert line.reservation.units[:2] == [5, 8]
    assert not hasattr(block.lines.get(), "reservation")
    assert at.advance(auction) == "published"
    assert_sound()


def test_an_empty_auction_is_published_empty():
    auction = at.opened()
    assert at.advance(auction) == "published"
    assert AuctionResult.objects.get().payments_micro == 0
    assert_sound()


def test_an_order_is_replaced_and_cancelled_while_the_gate_is_open():
    auction = at.opened()
    buyer = make.funded_buyer(100)
    order = at.buy(buyer, auction, at.line(auction, "5", 10, (0,)))
    wanted = at.AuctionOrderRequest(
        grade=make.NPU, zone="zhengzhou", lines=(at.line(auction, "8", 10, (0,)),)
    )
    # 80 of 100 yuan: only since the 50 of the order before come back with it.
    other = services.replace_order(actor=buyer, entry_id=order.id, request=wanted, now=make.NOW)
    assert other.replaces_id == order.id
    assert make.balance(buyer).held == 80 * YUAN
    with pytest.raises(InsufficientFunds), transaction.atomic():
        at.buy(buyer, auction, at.line(auction, "5", 10, (0,)))
    for _ in range(2):
        services.cancel_entry(actor=buyer, entry_id=other.id, side="buy", now=make.NOW)
    assert make.balance(buyer).held == 0
    with pytest.raises(GateNotOpen):
        services.cancel_entry(actor=buyer, entry_id=other.id, side="buy", now=at.AFTER)
    with pytest.raises(GateNotOpen):
        at.buy(buyer, auction, at.line(auction, "5", 1, (0,)), now=at.AFTER)
    assert_sound()


def test_nobody_stands_on_both_sides_of_a_grade():
    auction = at.opened()
    owner = make.capacity.organisation("buyer", "provider")
    both = make.capacity.actor_for(owner, scopes=make.SCOPES)
    factories.fund(owner, 1000 * YUAN)
    pool = make.capacity.pool(both, make.capacity.centre(both), units=8)
    at.sell(both, auction, pool, at.line(auction, "5", 8, (0,)))
    with pytest.raises(EntryRefused, match="one side"):
        at.buy(both, auction, at.line(auction, "9", 8, (0,)))
    assert not make.balance(both).held


@pytest.mark.parametrize("step", ["open", "closed", "cleared"])
def test_a_cancelled_auction_gives_everything_back(step):
    auction = at.opened()
    provider, buyer = make.seller(), make.funded_buyer()
    pool, _offer = make.offered_pool(provider, units=8, price="30")
    at.sell(provider, auction, pool, at.line(auction, "5", 8, (0,)))
    order = at.buy(buyer, auction, at.line(auction, "9", 8, (0,)))
    if step != "open":
        gate.close_gate(auction_id=auction.id, now=at.AFTER)
    if step == "cleared":
        gate.clear_auction(auction_id=auction.id, now=at.AFTER)
    staff = factories.operator("market")
    gate.cancel_auction(actor=staff, auction_id=auction.id, reason="a flood", now=at.AFTER)
    order.refresh_from_db()
    auction.refresh_from_db()
    assert (auction.state, auction.state_reason, order.state) == (
        "cancelled",
        "a flood",
        "returned",
    )
    assert make.balance(buyer).held == 0
    assert sold(pool) == {}
    make.match(now=at.AFTER)
    waiting = make.place(
        make.funded_buyer(),
        units=8,
        duration_hours=1,
        limit="30",
        earliest_start_at=slot_start_at(auction.first_slot),
        latest_end_at=slot_start_at(auction.first_slot + 1),
        now=at.AFTER,
    )
    make.match(now=at.AFTER)
    waiting.refresh_from_db()
    assert waiting.state == "filled"
    assert not Trade.objects.filter(resting_side="auction").exists()
    assert_sound()


def test_a_deadline_that_passes_fails_the_auction_loudly_and_gives_everything_back():
    auction = at.opened()
    buyer = make.funded_buyer()
    at.buy(buyer, auction, at.line(auction, "9", 8, (0,)))
    late = at.CLOSES + timedelta(hours=1)
    assert gate.due_auctions(now=late) == [auction.id]
    assert at.advance(auction, late) == "failed"
    assert auction.state_reason == "it was not cleared by its deadline"
    assert make.balance(buyer).held == 0
    assert gate.due_auctions(now=late) == []
    assert_sound()


def test_an_answer_that_the_checker_refuses_is_not_published(monkeypatch):
    from exchange.market.auction import certificate

    auction = at.opened()
    buyer = make.funded_buyer()
    provider = make.seller()
    pool = make.capacity.pool(provider, make.capacity.centre(provider), units=8)
    at.sell(provider, auction, pool, at.line(auction, "5", 8, (0,)))
    at.buy(buyer, auction, at.line(auction, "9", 8, (0,)))
    said = certificate.certificate

    def one_unit_more(result):
        document = said(result)
        document["steps"][0]["units"] += 1
        return document

    monkeypatch.setattr(certificate, "certificate", one_unit_more)
    assert at.advance(auction) == "failed"
    assert auction.state_reason.startswith("the checker refused the answer")
    assert make.balance(buyer).held == 0
    assert sold(pool) == {}
    assert not AuctionResult.objects.exists()
    assert_sound()


def test_without_a_solver_the_plain_rule_is_published_and_said(monkeypatch):
    from exchange.market.auction import clearing
    from exchange.market.auction.relaxation import SolverFailed

    auction = at.opened()
    buyer, provider = make.funded_buyer(), make.seller()
    pool = make.capacity.pool(provider, make.capacity.centre(provider), units=8)
    at.sell(provider, auction, pool, at.line(auction, "5", 8, (0,)))
    order = at.buy(buyer, auction, at.line(auction, "9", 3, (0,)))

    def fails(*_args, **_options):
        raise SolverFailed("no licence for the day")

    monkeypatch.setattr(clearing.Search, "run", fails)
    assert at.advance(auction) == "published"
    result = AuctionResult.objects.get()
    assert (result.method, result.note) == ("fallback", "no licence for the day")
    order.refresh_from_db()
    assert order.spent_micro == 3 * 5 * YUAN
    assert_sound()


def test_killed_at_any_step_it_is_continued_to_the_same_trades(monkeypatch):
    auction = at.opened()
    provider = make.seller()
    pool = make.capacity.pool(provider, make.capacity.centre(provider), units=8)
    at.sell(provider, auction, pool, at.line(auction, "5", 8, (0, 1, 2)))
    for price in ("9", "7", "6"):
        at.buy(make.funded_buyer(), auction, at.line(auction, price, 4, (0, 1, 2)))

    def die(*_args, **_options):
        raise KeyboardInterrupt

    for target, name in (
        (gate.freezing, "_problem"),
        (gate, "answer"),
        (gate, "_store"),
        (gate.publishing.writing, "copy_trades"),
        (gate.publishing.outbox, "emit_many"),
    ):
        with monkeypatch.context() as killed:
            killed.setattr(target, name, die)
            with pytest.raises(KeyboardInterrupt):
                at.advance(auction)
        assert not Trade.objects.exists()
    assert gate.due_auctions(now=at.AFTER) == [auction.id]
    assert at.advance(auction) == "published"
    rows = Trade.objects.order_by("position").values_list("units", "start_slot", "end_slot")
    first = auction.first_slot
    assert list(rows) == [(4, first, first + 3), (4, first, first + 3)]
    assert Lease.objects.count() == 0
    assert Order.objects.filter(state="filled").count() == 2
    assert AuctionEntry.objects.filter(state="answered").count() == 4
    assert at.advance(auction) == "published"
    assert_sound()
