"""Sweeps of standing orders race and are killed: each slot is ordered once, and none is lost."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from dataclasses import replace

from exchange.market.models import Order
from exchange.market.standing import rolling, services
from exchange.market.standing.models import StandingRoll
from exchange.market.standing.wishes import StandingRequest
from tests.concurrency.market import racers
from tests.concurrency.market.test_racing_books import assert_sound, market, spawn
from tests.integration.market import builders as make

__all__ = ["market"]  # the fixture


def test_killed_sweeps_place_no_order_twice(market):
    make.offered_pool(make.seller(), units=40)
    make.match()
    wish = replace(make.order_request(units=1, latest_end_at=None), duration_hours=1)
    for _ in range(12):
        services.create(
            actor=make.funded_buyer(1000),
            request=StandingRequest(wish=wish, lead_seconds=3600),
            now=make.NOW,
        )
    for pause in (0.15, 0.35):
        start = spawn.Barrier(3)
        sweepers = [
            spawn.Process(target=racers.roll_until_killed, args=(start, make.NOW, 0.05))
            for _ in range(2)
        ]
        for sweeper in sweepers:
            sweeper.start()
        start.wait()
        time.sleep(pause)
        for sweeper in sweepers:
            os.kill(sweeper.pid, signal.SIGKILL)
            sweeper.join()
    rolling.roll_due(now=make.NOW)

    rolls = StandingRoll.objects.values_list("standing_id", "start_slot")
    assert set(Counter(rolls).values()) == {1}
    assert len(rolls) == Order.objects.count() == 12
    make.match()
    assert rolling.settle_rolls(now=make.NOW) == 12
    assert set(StandingRoll.objects.values_list("state", flat=True)) == {"covered"}
    assert_sound()
