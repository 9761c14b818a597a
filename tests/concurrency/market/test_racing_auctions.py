"""Real processes at one auction beside a trading book, and killed: it is published once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest

from core.slots import slot_start_at
from exchange.capacity import verify as capacity_verify
from exchange.market import matching
from exchange.market import verify as market_verify
from exchange.market.day_ahead import gate, verify
from exchange.market.day_ahead.models import Auction, AuctionResult
from exchange.market.models import Trade
from ledger import verify as ledger_verify
from tests.concurrency.market import racers
from tests.integration.capacity.builders import load_reference
from tests.integration.market import auctions as at
from tests.integration.market import builders as make

spawn = multiprocessing.get_context("spawn")


@pytest.fixture
def auction(fresh_database):
    """Three providers whose pools stand in the book too, and twelve buyers."""
    load_reference()
    matching.forget_states()
    auction = at.opened()
    for number in range(3):
        provider = make.seller()
        pool, _ = make.offered_pool(provider, units=20, price="3", code=f"c{number}")
        at.sell(provider, auction, pool, at.line(auction, str(4 + number), 12, (0, 1, 2, 3)))
    make.match()
    for number in range(12):
        at.buy(make.funded_buyer(), auction, at.line(auction, str(5 + number % 4), 3, (0, 1, 2, 3)))
    return auction


def assert_sound() -> None:
    findings = [
        *verify.checks(),
        *market_verify.checks(),
        *capacity_verify.checks(),
        *ledger_verify.checks(),
    ]
    assert [finding for finding in findings if not finding.ok] == []


def test_two_workers_take_one_auction_while_its_book_trades(auction):
    book_id = make.book().id
    start, done = spawn.Barrier(5), spawn.Event()
    window = {
        "earliest_start_at": slot_start_at(auction.first_slot),
        "latest_end_at": slot_start_at(auction.first_slot + 4),
        "units": 2,
        "duration_hours": 2,
    }
    buyers = [make.funded_buyer() for _ in range(20)]
    requests = [make.order_request(**window)] * 20
    workers = [
        spawn.Process(target=racers.advance_auction, args=(start, auction.id, at.AFTER))
        for _ in range(2)
    ]
    others = [
        spawn.Process(target=racers.place_orders, args=(start, buyers, requests, at.AFTER)),
        spawn.Process(target=racers.match_until, args=(start, done, book_id, at.AFTER)),
    ]
    for process in workers + others:
        process.start()
    start.wait()
    for worker in workers:
        worker.join(90)
    others[0].join(90)
    gate.advance(auction_id=auction.id, now=at.AFTER)
    done.set()
    others[1].join(60)
    make.match(now=at.AFTER)
    assert Auction.objects.get().state == "published"
    assert AuctionResult.objects.count() == 1
    sold = Trade.objects.filter(resting_side="auction")
    # Each unit is bought once and sold once.
    answered = AuctionResult.objects.get().certificate["steps"]
    bought = sum(t.units * (t.end_slot - t.start_slot) for t in sold)
    assert 2 * bought == sum(step["units"] for step in answered) > 0
    assert_sound()


def test_a_worker_killed_while_it_publishes_leaves_it_to_the_next(auction):
    start = spawn.Barrier(2)
    doomed = spawn.Process(target=racers.advance_auction, args=(start, auction.id, at.AFTER, 60.0))
    doomed.start()
    start.wait()
    deadline = time.monotonic() + 90
    while Auction.objects.get().state != "cleared" and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.0)
    assert doomed.pid is not None
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.join(30)
    assert (Auction.objects.get().state, Trade.objects.count()) == ("cleared", 0)
    assert gate.due_auctions(now=at.AFTER) == [auction.id]
    assert gate.advance(auction_id=auction.id, now=at.AFTER) == "published"
    assert Trade.objects.filter(resting_side="auction").exists()
    assert_sound()
