"""Real processes race for capacity, and are killed: nothing is sold twice, nothing is lost."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time

import pytest
from django.db import transaction

from core.slots import slot_start_at
from exchange.capacity.models import BookEvent
from exchange.market import matching, services, verify
from exchange.market.models import Order, Trade
from exchange.market.orderly import services as orderly
from exchange.market.orderly.models import OrderLimit
from exchange.market.reference import ReferenceBook
from exchange.market.retelling import retell, trades_written
from ledger import verify as ledger_verify
from tests import factories
from tests.concurrency.market import racers
from tests.integration.capacity.builders import load_reference
from tests.integration.market import builders as make

spawn = multiprocessing.get_context("spawn")
WINDOW = {"duration_hours": 2, "latest_end_at": slot_start_at(make.SLOT + 3)}


@pytest.fixture
def market(fresh_database):
    load_reference()
    matching.forget_states()
    return fresh_database


def assert_sound() -> None:
    """The trades are those that the reference makes of the log, and everything verifies."""
    book = make.book()
    assert trades_written(book) == retell(book, ReferenceBook).trades
    findings = [*verify.checks(), *ledger_verify.checks()]
    assert [finding for finding in findings if not finding.ok] == []


def test_twenty_orders_race_for_the_last_unit_before_two_matchers(market):
    make.offered_pool(make.seller(), units=1)
    make.match()
    buyers = [make.funded_buyer(1000) for _ in range(20)]
    start, done = spawn.Barrier(6), spawn.Event()
    book_id = make.book().id
    matchers = [
        spawn.Process(target=racers.match_until, args=(start, done, book_id, make.NOW))
        for _ in range(2)
    ]
    placers = [
        spawn.Process(
            target=racers.place_orders,
            args=(start, buyers[i::4], [make.order_request(units=1, **WINDOW)] * 5, make.NOW),
        )
        for i in range(4)
    ]
    for process in matchers + placers:
        process.start()
    for placer in placers:
        placer.join(90)
    deadline = time.monotonic() + 30
    while BookEvent.objects.filter(batch=None).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    done.set()
    for matcher in matchers:
        matcher.join(30)
    assert [process.exitcode for process in matchers + placers] == [0] * 6

    matching.match_book(book_id=book_id, now=make.NOW)
    states = list(Order.objects.values_list("state", flat=True))
    assert (states.count("filled"), states.count("open")) == (1, 19)
    assert Trade.objects.get().units == 1
    winner = Trade.objects.get().buyer_id
    held = sorted(make.balance(buyer).held for buyer in buyers)
    # The winner's hold is the trade's cost; the others' cover a micro-yuan or two of rounding too.
    assert held == [20_000_000] + [20_000_002] * 19
    assert make.balance(next(b for b in buyers if b.organisation_id == winner)).held == 20_000_000
    assert_sound()


def test_an_offer_withdrawn_while_it_is_matched_sells_nothing_afterwards(market):
    """Four processes place, two match, and the provider withdraws in the middle of it."""
    provider = make.seller()
    _, offer = make.offered_pool(provider, units=1_000)
    make.match()
    buyers = [make.funded_buyer(10_000) for _ in range(8)]
    start, done = spawn.Barrier(5), spawn.Event()
    book_id = make.book().id
    matchers = [
        spawn.Process(target=racers.match_until, args=(start, done, book_id, make.NOW))
        for _ in range(2)
    ]
    placers = [
        spawn.Process(
            target=racers.place_orders,
            args=(start, buyers[i::2] * 10, [make.order_request(units=1, **WINDOW)] * 40, make.NOW),
        )
        for i in range(2)
    ]
    for process in matchers + placers:
        process.start()
    start.wait()
    while not Trade.objects.exists():
        time.sleep(0.01)
    with transaction.atomic():
        services.withdraw_offer(actor=provider, offer_id=offer.id, now=make.NOW)
    for placer in placers:
        placer.join(90)
    deadline = time.monotonic() + 30
    while BookEvent.objects.filter(batch=None).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    done.set()
    for matcher in matchers:
        matcher.join(30)
    assert [process.exitcode for process in matchers + placers] == [0] * 4
    matching.match_book(book_id=book_id, now=make.NOW)

    offer.refresh_from_db()
    assert offer.state == "withdrawn"
    withdrawn = BookEvent.objects.get(kind="offer_withdrawn")
    entered = {
        event.subject_id: (event.batch, event.position)
        for event in BookEvent.objects.filter(kind="order_entered")
    }
    # In the sequence of the admissions: all that came before it are filled, and none after it.
    before = {o for o, at in entered.items() if at < (withdrawn.batch, withdrawn.position)}
    assert set(Trade.objects.values_list("order_id", flat=True)) == before
    assert 0 < len(before) <= len(entered) == 80
    assert_sound()


def test_killed_in_the_middle_of_batches_the_trades_are_those_of_the_log(market):
    luck = random.Random(20261123)
    for price in ("8", "9"):
        make.offered_pool(make.seller(), units=40, price=price)
    make.match()
    buyers = [make.funded_buyer(1_000_000) for _ in range(8)]
    book_id = make.book().id
    killed = 0
    for _ in range(5):
        start, done = spawn.Barrier(2), spawn.Event()
        matcher = spawn.Process(
            target=racers.match_until, args=(start, done, book_id, make.NOW, 0.2)
        )
        matcher.start()
        start.wait()
        for buyer in buyers:
            make.place(
                buyer, units=luck.randint(1, 4), limit=luck.choice(["7", "8.5", "10"]), **WINDOW
            )
        time.sleep(luck.uniform(0.05, 0.3))
        os.kill(matcher.pid, signal.SIGKILL)
        matcher.join()
        killed += make.book().admitted > make.book().version
    assert killed, "at least one worker should have died between admission and writing"

    make.match()

    assert not BookEvent.objects.filter(batch=None).exists()
    assert not Order.objects.filter(state="pending").exists()
    assert Order.objects.count() == 40
    assert_sound()


def test_racing_orders_never_pass_an_organisations_limit(market):
    buyer = make.funded_buyer()
    OrderLimit.objects.create(
        organisation_id=buyer.organisation_id, open_orders=5, changed_at=make.NOW
    )
    start, results = spawn.Barrier(4), spawn.Queue()
    placers = [
        spawn.Process(
            target=racers.place_until_refused,
            args=(start, buyer, make.order_request(units=1, **WINDOW), make.NOW, results),
        )
        for _ in range(4)
    ]
    for placer in placers:
        placer.start()
    placed = sum(results.get(timeout=90) for _ in placers)
    for placer in placers:
        placer.join(30)
    assert [placer.exitcode for placer in placers] == [0] * 4
    assert placed == Order.objects.count() == 5


def test_a_halt_in_the_middle_of_racing_orders_and_killed_workers(market):
    """Orders arrive all the time, a worker is killed, trading is halted and goes on."""
    luck = random.Random(20261124)
    desk = factories.operator("market")
    for price in ("8", "9"):
        make.offered_pool(make.seller(), units=30, price=price)
    make.match()
    book_id, seen_while_halted = make.book().id, set()
    for _ in range(3):
        start, done = spawn.Barrier(2), spawn.Event()
        matcher = spawn.Process(
            target=racers.match_until, args=(start, done, book_id, make.NOW, 0.2)
        )
        matcher.start()
        start.wait()
        for _ in range(4):
            make.place(make.funded_buyer(), units=luck.randint(1, 3), limit="10", **WINDOW)
        time.sleep(luck.uniform(0.05, 0.3))  # a batch is under way
        halt = orderly.halt_trading(actor=desk, book_code="intelligent", reason="x", now=make.NOW)
        for _ in range(3):
            make.place(make.funded_buyer(), units=1, limit="12", **WINDOW)
        os.kill(matcher.pid, signal.SIGKILL)
        matcher.join()
        make.match()
        assert make.book().is_halted
        before = Trade.objects.count()
        make.place(make.funded_buyer(), units=1, limit="20", **WINDOW)
        make.match()
        assert Trade.objects.count() == before
        seen_while_halted.add(before)
        with transaction.atomic():
            orderly.resume_trading(actor=desk, halt_id=halt.id, reason="y", now=make.NOW)
        make.match()
        assert Trade.objects.count() > before
    assert len(seen_while_halted) == 3
    assert_sound()
