"""A seeded fault run: a day of the continuous market in which workers, sessions and hints die.

Members trade, sellers and the desk change what may be sold, time goes on with what they do, and
nothing is spared. In the end everything verifies, and the trades are those that both engines make
of the admission log. ``SIMULATION_SEED`` repeats a run's calls (not when what dies dies),
``SIMULATION_CALLS`` gives each of the three members so many.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connection, transaction

from core import clock
from core.management.commands.verify import findings
from exchange.capacity.models import Book, BookEvent
from exchange.market import amendments, loading, matching, services
from exchange.market.engine import BookState
from exchange.market.models import Order, OrderAmendment, Trade
from exchange.market.orderly import services as orderly
from exchange.market.orderly.models import Halt
from exchange.market.reference import ReferenceBook
from exchange.market.retelling import retell, trades_written
from exchange.market.standing import rolling
from exchange.market.standing.models import StandingOrder
from exchange.market.states import ORDER_LIVE
from exchange.scheduling.services import pull_leases
from exchange.topology.selectors import network
from ledger.models import Hold
from tests import factories
from tests.databases import ROOT, TestDatabase
from tests.integration.capacity.builders import load_reference
from tests.integration.market import builders as make
from tests.simulation.market import hourglass
from tests.simulation.market.actor import GENERAL, INTELLIGENT, REGIONS

CALLS = int(os.environ.get("SIMULATION_CALLS") or 150)
MEMBERS, WORKERS = ("buyer", "buyer", "seller"), ("matcher", "matcher", "sweeper")


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("SIMULATION_SEED") or random.randrange(10**6))
    sys.stdout.write(f"SIMULATION_SEED={chosen}\n")  # pytest shows it where the run fails
    return chosen


@pytest.fixture
def members(fresh_database) -> None:
    """Two sellers with six pools in three regions, one who also buys, five buyers, the desk."""
    load_reference()
    factories.organisation("operator")
    for yuan in (100_000, 100_000, 2_000, 100):
        make.funded_buyer(yuan)
    both = make.funded_buyer(100_000)
    owner = make.capacity.Organisation.objects.get(id=both.organisation_id)
    owner.kinds = ["buyer", "provider"]
    owner.save()
    sellers = [make.seller(), make.capacity.actor_for(owner, scopes=make.SCOPES)]
    for number, region in enumerate(REGIONS):
        seller = sellers[number % 2]
        centre = make.capacity.centre(seller, f"c{number}", region=region)
        for place, grade in enumerate((*INTELLIGENT, GENERAL)):
            pool = make.capacity.pool(seller, centre, f"p{place}", grade, units=8)
            make.offer(seller, pool, units=4, price="9")


def live_through(seed: int, glass: Path, database: TestDatabase) -> tuple[Counter, int, Counter]:
    """The day: calls by what became of them, workers killed, sessions and hints that were lost."""
    connection.close()
    connection.close_pool()  # this process's own sessions are not spared
    with ExitStack() as ended:

        def start(module: str, kind: str, *arguments: object) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", f"tests.simulation.market.{module}", kind]
                + [str(argument) for argument in arguments],
                cwd=ROOT,
                env=os.environ | {"DATABASE_POOL": "0", "LOG_LEVEL": "ERROR"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            ended.callback(process.kill)
            return process

        members = [
            start("actor", kind, f"{seed}-{place}", CALLS, glass, place)
            for place, kind in enumerate(MEMBERS)
        ]
        workers = [
            start("worker", kind, f"{seed}-{kind}-{place}", glass)
            for place, kind in enumerate(WORKERS)
        ]
        for process in members + workers:
            assert process.stdout.readline() == "ready\n"
        for process in members:
            process.stdin.write("go\n")
            process.stdin.flush()
        faults = wreck(members, random.Random(f"{seed}-faults"), database)
        told = [process.communicate(timeout=60)[0].splitlines() for process in members + workers]
    assert [process.returncode for process in members + workers] == [0] * len(told)
    said = [json.loads(lines[-1]) for lines in told]
    calls = sum((Counter(counts) for counts in said[: len(members)]), Counter())
    return calls, sum(said[len(members) :]), faults


def wreck(
    members: list[subprocess.Popen[str]], dice: random.Random, database: TestDatabase
) -> Counter:
    """Strike again and again, until the last member has made its calls."""
    faults: Counter = Counter()
    with psycopg.connect(database.admin_url, autocommit=True) as killer:
        strikes_at = clock.now()
        while any(process.poll() is None for process in members):
            if clock.now() >= strikes_at:
                faults[strike(dice, killer, database.name)] += 1
                strikes_at = clock.now() + timedelta(hours=dice.uniform(0, 1.5))
            time.sleep(0.01)
    return faults


def strike(dice: random.Random, killer: psycopg.Connection, database: str) -> str:
    """End a session, a busy one first, or forget what Redis knows."""
    if dice.random() < 0.75:
        killer.execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = %s AND backend_type = 'client backend'
                ORDER BY state = 'idle', md5(pid::text || %s) LIMIT 1""",
            [database, str(dice.random())],
        )
        return "sessions"
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as broker:
        for key in broker.scan_iter(match=f"{settings.REDIS_PREFIX}:*", count=1000):
            broker.delete(key)
    return "flushes"


def drain(now: datetime) -> None:
    """Trading goes on everywhere, nothing new is asked for, and everything that waits is done."""
    desk = factories.operator("market")
    for halt in Halt.objects.filter(resumed_at=None):
        with transaction.atomic():
            orderly.resume_trading(actor=desk, halt_id=halt.id, reason="The day is over", now=now)
    StandingOrder.objects.exclude(state="ended").update(state="paused", reason="owner")
    for _ in range(3):
        with transaction.atomic():
            services.request_expiries(now=now)
        rolling.settle_rolls(now=now)
        for book in Book.objects.all():
            matching.match_book(book_id=book.id, now=now)
    pull_leases(now=now)


def needed_holds() -> dict:
    """What each order and trade needs to be held for it, by the id of the hold."""
    needed = {
        trade.id: trade.compute_micro + trade.transport_micro for trade in Trade.objects.all()
    }
    waiting = {a.order_id: a for a in OrderAmendment.objects.filter(state="requested")}
    for order in Order.objects.filter(state__in=ORDER_LIVE):
        needed[order.hold_id or order.id] = amendments.hold_under_way(
            order, waiting.get(order.id), filled=order.filled_units, spent=order.spent_micro
        )
    return needed


def is_plain(order) -> bool:
    """Nothing but a price stands between it and what is offered in its window."""
    return (
        order.placement == "anywhere"
        and order.min_units == 1
        and order.max_cost_micro is None
        and not order.on_demand
    )


@pytest.mark.timeout(240 + CALLS)
def test_whatever_dies_the_trades_are_those_of_the_log(
    members, fresh_database, seed, tmp_path, monkeypatch
):
    monkeypatch.setattr(clock, "CLOCK", clock.CLOCK)  # undone afterwards
    hourglass.fill(tmp_path / "glass", len(MEMBERS))
    hourglass.go_by(tmp_path / "glass")
    matching.forget_states()
    calls, kills, faults = live_through(seed, tmp_path / "glass", fresh_database)
    now = clock.now()
    drain(now)

    assert not BookEvent.objects.filter(batch=None).exists()
    assert not Order.objects.filter(state="pending").exists()
    assert not OrderAmendment.objects.filter(state="requested").exists()
    assert [finding for finding in findings() if not finding.ok] == []
    for book in Book.objects.filter(version__gt=0):
        fast, slow = retell(book, BookState), retell(book, ReferenceBook)
        assert trades_written(book) == slow.trades == fast.trades
        stored = loading.load_state(book, network(), now_s=int(now.timestamp()))
        assert stored.orders == slow.engine.orders == fast.engine.orders
        # Nothing rests that could be had: a worse order would have been filled before it.
        whole = {offer.id for offer in stored.offers() if offer.min_chunk_units == 1}
        for order in filter(is_plain, stored.orders.values()):
            fills = stored.quote(order, int(now.timestamp()))
            assert [fill for fill in fills if fill.offer in whole] == []
    rest = Hold.objects.filter(resolved_at=None)
    assert {hold.id: hold.amount - hold.posted - hold.released for hold in rest} == needed_holds()

    # The run was what it claims to be.
    summary = Counter({key.split(" ", 1)[1]: 0 for key in calls})
    for key, count in calls.items():
        summary[key.split(" ", 1)[1]] += count
    sys.stdout.write(
        f"{sum(calls.values())} calls {dict(summary)}, {kills} workers killed, {dict(faults)}, "
        f"{Trade.objects.count()} trades of {Order.objects.count()} orders\n"
    )
    assert all(calls[f"{verb} ok"] for verb in ("place", "amend", "cancel", "offer", "change_pool"))
    assert Trade.objects.exists()
    assert kills > 3
    assert faults["sessions"]
    assert faults["flushes"]
