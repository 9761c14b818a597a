"""Amendments race with matching and with kills: each is decided once, and truthfully."""

from __future__ import annotations

import os
import random
import signal
import time

from exchange.market import matching
from exchange.market.models import Order, OrderAmendment
from tests.concurrency.market import racers
from tests.concurrency.market.test_racing_books import (
    WINDOW,
    assert_sound,
    market,
    spawn,
)
from tests.integration.market import builders as make

__all__ = ["market"]  # the fixture


def test_amendments_race_with_matchers_that_are_killed(market):
    luck = random.Random(20261124)
    provider = make.seller()
    pool = make.capacity.pool(provider, make.capacity.centre(provider), units=60)
    buyer, book_id = make.funded_buyer(1_000_000), make.book().id
    orders = [make.place(buyer, units=6, limit="10", **WINDOW) for _ in range(6)]
    make.match()
    for _ in range(4):
        start, done = spawn.Barrier(3), spawn.Event()
        matcher = spawn.Process(
            target=racers.match_until, args=(start, done, book_id, make.NOW, 0.1)
        )
        amender = spawn.Process(
            target=racers.amend_orders, args=(start, buyer, [o.id for o in orders], make.NOW)
        )
        for process in (matcher, amender):
            process.start()
        start.wait()
        make.offer(provider, pool, units=3, price="10")
        time.sleep(luck.uniform(0.3, 0.8))
        os.kill(matcher.pid, signal.SIGKILL)
        matcher.join()
        amender.join(60)
        assert amender.exitcode == 0
    matching.match_book(book_id=book_id, now=make.NOW)

    assert not OrderAmendment.objects.filter(state="requested").exists()
    states = set(OrderAmendment.objects.values_list("state", flat=True))
    assert {"placed", "applied"} <= states <= {"placed", "applied", "refused"}
    for order in Order.objects.filter(version__gt=0):
        in_force = order.amendments.get(number=order.version)
        assert (in_force.state, in_force.units) == ("applied", order.units)
        assert not order.amendments.filter(number__gt=order.version, state="applied").exists()
    expected = sum(trade.compute_micro for order in orders for trade in order.trades.all()) + sum(
        make.services.intake.order_hold(
            order, remaining_units=order.units - order.filled_units, spent_micro=order.spent_micro
        )
        for order in Order.objects.filter(state__in=("open", "partially_filled"))
    )
    assert make.balance(buyer).held == expected
    assert_sound()
