"""Leases: pulled once, moved by whom it concerns and when, ended in time, capacity given back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditRow
from core.errors import InvalidInput, TransitionRefused
from core.models import OutboxEvent
from core.slots import slot_of
from exchange.capacity.models import BookEvent, Centre, PoolDay
from exchange.market.models import TradeRelease
from exchange.scheduling import selectors, services
from exchange.scheduling.errors import (
    LeaseNotFound,
    LeaseOver,
    NamedTwice,
    NoAccessDetails,
    NotYourMove,
    TooEarly,
)
from exchange.scheduling.models import Lease, LeaseAccess, LeaseEvent
from exchange.scheduling.services import LeaseMove
from ledger import selectors as ledger_reads
from tests import factories as make
from tests.factories import GRACE, HOUR, START

pytestmark = pytest.mark.django_db


class Deal:
    """A buyer, a provider, their actors, and trades between them with their leases."""

    def __init__(self, trades: int = 1, **facts) -> None:
        self.buyer, self.seller = make.organisation("buyer"), make.organisation("provider")
        self.as_buyer, self.as_seller = make.actor_of(self.buyer), make.actor_of(self.seller)
        make.fund(self.buyer, 1_000_000_000)
        self.pool = make.pool(self.seller)
        self.trades = [
            make.trade(self.buyer, self.seller, sold=self.pool, **facts) for _ in range(trades)
        ]
        self.trade = self.trades[0]
        services.pull_leases(now=START - HOUR)

    @property
    def lease(self) -> Lease:
        return Lease.objects.get(pk=self.trade.pk)

    def move(self, event: str, *, at, actor=None, reason: str = "") -> Lease:
        return services.transition_lease(
            actor=actor or self.as_seller,
            lease_id=self.trade.pk,
            event=event,
            reason=reason,
            now=at,
        )


def test_a_lease_is_pulled_once_and_both_parties_are_told():
    deal = Deal(trades=3)
    assert services.pull_leases(now=START) == 0
    assert Lease.objects.count() == 3
    lease, trade = deal.lease, deal.trade
    assert lease.state == "scheduled"
    assert (lease.buyer_id, lease.provider_id) == (deal.buyer.pk, deal.seller.pk)
    assert (lease.units, lease.centre_id) == (trade.units, deal.pool.centre_id)
    assert (lease.starts_at, lease.ends_at) == (trade.starts_at, trade.ends_at)
    told = OutboxEvent.objects.filter(subject_id=trade.pk, kind="lease.scheduled")
    assert set(told.values_list("organisation_id", flat=True)) == {deal.buyer.pk, deal.seller.pk}


def test_leases_are_pulled_in_portions_and_in_order():
    buyer, seller = make.organisation("buyer"), make.organisation("provider")
    make.fund(buyer, 1_000_000_000)
    pool = make.pool(seller)
    trades = [make.trade(buyer, seller, sold=pool) for _ in range(5)]
    assert [services.pull_leases(now=START, limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert set(Lease.objects.values_list("pk", flat=True)) == {trade.pk for trade in trades}


def test_the_way_of_a_lease_from_its_start_to_its_end():
    deal = Deal()
    assert deal.move("provision", at=START - HOUR).state == "provisioning"
    active = deal.move("activate", at=START + timedelta(seconds=30))
    assert (active.state, active.activated_at) == ("active", START + timedelta(seconds=30))
    done = deal.move("complete", at=START + 2 * HOUR + timedelta(seconds=9))
    assert (done.state, done.ended_at) == ("completed", START + 2 * HOUR)
    assert list(
        LeaseEvent.objects.filter(lease=done).values_list("event", "state_before", "state_after")
    ) == [
        ("provision", "scheduled", "provisioning"),
        ("activate", "provisioning", "active"),
        ("complete", "active", "completed"),
    ]
    assert AuditRow.objects.filter(subject_id=str(done.pk)).count() == 3
    assert not TradeRelease.objects.exists()


@pytest.mark.parametrize(
    ("event", "by", "at", "error"),
    [
        ("activate", "seller", START - timedelta(seconds=1), TooEarly),
        ("activate", "seller", START + 2 * HOUR, LeaseOver),
        ("activate", "buyer", START, NotYourMove),
        ("provision", "seller", START + 2 * HOUR, LeaseOver),
        ("complete", "seller", START + 2 * HOUR, TransitionRefused),  # never active
        ("terminate", "seller", START, NotYourMove),
        ("terminate", "buyer", START + 2 * HOUR, LeaseOver),
        ("suspend", "seller", START, NotYourMove),
        ("resume", "buyer", START, NotYourMove),
        ("explode", "seller", START, InvalidInput),
    ],
)
def test_a_refused_step_changes_nothing(event, by, at, error):
    deal = Deal()
    events, audits = OutboxEvent.objects.count(), AuditRow.objects.count()
    with pytest.raises(error):
        deal.move(event, at=at, actor=deal.as_buyer if by == "buyer" else deal.as_seller)
    assert deal.lease.state == "scheduled"
    assert not LeaseEvent.objects.exists()
    assert (OutboxEvent.objects.count(), AuditRow.objects.count()) == (events, audits)


def test_an_active_lease_is_not_completed_early_nor_failed_late():
    deal = Deal()
    deal.move("activate", at=START)
    with pytest.raises(TooEarly):
        deal.move("complete", at=START + HOUR)
    with pytest.raises(LeaseOver):
        deal.move("fail", at=START + 2 * HOUR)


def test_a_stranger_finds_no_lease():
    deal = Deal()
    stranger = make.actor_of(make.organisation("provider", "buyer"))
    with pytest.raises(LeaseNotFound):
        deal.move("activate", at=START, actor=stranger)
    with pytest.raises(LeaseNotFound):
        selectors.lease(actor=stranger, lease_id=deal.trade.pk)
    assert not selectors.visible_to(stranger).exists()
    assert selectors.visible_to(deal.as_buyer).count() == 1
    assert selectors.visible_to(make.operator("auditor")).count() == 1


def test_an_early_end_gives_the_whole_slots_left_back_and_shortens_the_hold():
    deal = Deal(hours=5)
    slot = slot_of(START)
    deal.move("activate", at=START)
    ended_at = START + HOUR + timedelta(minutes=10)
    lease = deal.move("terminate", at=ended_at, actor=deal.as_buyer, reason="done early")
    assert (lease.state, lease.ended_at, lease.state_reason) == (
        "terminated",
        ended_at,
        "done early",
    )
    release = TradeRelease.objects.get(trade=deal.trade)
    assert release.from_slot == slot + 2
    event = BookEvent.objects.get(pk=release.event_id)
    assert (event.kind, event.subject_id) == ("capacity_released", deal.trade.pk)
    assert event.payload == {
        "units": 4,
        "start_slot": slot + 2,
        "end_slot": slot + 5,
        "offer": str(deal.trade.offer_id),
    }
    day = PoolDay.objects.get(pool=deal.pool, day=slot // 24)
    assert day.sold[slot % 24 : slot % 24 + 5] == [4, 4, 0, 0, 0]
    hold = ledger_reads.holds([deal.trade.pk])[deal.trade.pk]
    assert (hold.rest, hold.expires_at) == (80_000_000, ended_at + GRACE)


def test_a_lease_that_never_ran_lets_all_of_its_money_go():
    deal = Deal()
    assert make.held(deal.buyer) == 80_000_000
    deal.move("fail", at=START - HOUR, reason="cooling is out")
    assert make.held(deal.buyer) == 0
    release = TradeRelease.objects.get(trade=deal.trade)
    assert release.from_slot == slot_of(START)


def test_many_leases_move_at_once_and_each_refusal_is_named():
    deal = Deal(trades=4)
    other = Deal()
    ids = [trade.pk for trade in deal.trades]
    moves = [
        LeaseMove(ids[0], "activate"),
        LeaseMove(ids[1], "complete"),
        LeaseMove(other.trade.pk, "activate"),
        LeaseMove(ids[2], "fail", "burnt"),
        LeaseMove(ids[0], "fail"),
        LeaseMove(ids[3], "terminate"),
    ]
    moved = services.transition_leases(actor=deal.as_seller, moves=moves, now=START)
    assert [(m.state, type(m.refusal)) for m in moved] == [
        ("active", type(None)),
        (None, TransitionRefused),
        (None, LeaseNotFound),
        ("failed", type(None)),
        (None, NamedTwice),
        (None, NotYourMove),
    ]
    states = dict(Lease.objects.values_list("pk", "state"))
    assert [states[pk] for pk in ids] == ["active", "scheduled", "failed", "scheduled"]
    assert states[other.trade.pk] == "scheduled"


def test_the_statements_of_a_bulk_call_do_not_grow_with_it():
    def statements(count: int) -> int:
        deal = Deal(trades=count)
        moves = [LeaseMove(trade.pk, "fail") for trade in deal.trades]
        with CaptureQueriesContext(connection) as captured:
            services.transition_leases(actor=deal.as_seller, moves=moves, now=START)
        return len(captured)

    assert statements(2) == statements(12)


def test_more_moves_than_a_call_takes_are_refused():
    deal = Deal()
    for moves in ([], [LeaseMove(deal.trade.pk, "activate")] * 1_001):
        with pytest.raises(InvalidInput):
            services.transition_leases(actor=deal.as_seller, moves=moves, now=START)


def test_the_sweep_completes_what_ran_and_fails_what_never_did():
    deal = Deal(trades=2)
    deal.move("activate", at=START)
    assert services.end_due_leases(now=START + 2 * HOUR - timedelta(seconds=1)) == 0
    assert services.end_due_leases(now=START + 2 * HOUR) == 2
    ran, idle = (Lease.objects.get(pk=trade.pk) for trade in deal.trades)
    assert (ran.state, ran.ended_at) == ("completed", START + 2 * HOUR)
    assert (idle.state, idle.state_reason) == ("failed", "never activated")
    assert make.held(deal.buyer) == 80_000_000  # of the one that ran; the other's went back
    assert services.end_due_leases(now=START + 3 * HOUR) == 0


def test_leases_follow_their_centre_out_and_back():
    deal = Deal(trades=3, hours=4)
    future = make.trade(
        deal.buyer, deal.seller, sold=deal.pool, starts_at=START + 3 * HOUR, hours=2
    )
    services.pull_leases(now=START)
    deal.move("activate", at=START)
    Centre.objects.filter(pk=deal.pool.centre_id).update(is_reachable=False)
    out_at = START + timedelta(minutes=20)
    assert services.suspend_and_resume(now=out_at) == 3
    states = dict(Lease.objects.values_list("pk", "state"))
    assert [states[trade.pk] for trade in deal.trades] == ["suspended"] * 3
    assert states[future.pk] == "scheduled"
    assert services.suspend_and_resume(now=out_at) == 0
    Centre.objects.filter(pk=deal.pool.centre_id).update(is_reachable=True)
    back_at = START + timedelta(minutes=50)
    assert services.suspend_and_resume(now=back_at) == 3
    states = dict(Lease.objects.values_list("pk", "state"))
    assert [states[trade.pk] for trade in deal.trades] == ["active", "scheduled", "scheduled"]
    assert selectors.suspended_spans([deal.trade.pk]) == {deal.trade.pk: [(out_at, back_at)]}


def test_a_suspended_lease_ends_in_time():
    deal = Deal()
    deal.move("activate", at=START)
    Centre.objects.update(is_reachable=False)
    services.suspend_and_resume(now=START + HOUR)
    assert services.end_due_leases(now=START + 2 * HOUR) == 1
    assert deal.lease.state == "completed"
    assert selectors.suspended_spans([deal.trade.pk]) == {
        deal.trade.pk: [(START + HOUR, START + 2 * HOUR)]
    }


def test_only_the_buyer_reads_how_to_get_in():
    deal = Deal()
    secret = {"host": "10.0.0.1", "token": "s3cret-令牌"}
    with pytest.raises(NoAccessDetails):
        selectors.access_details(actor=deal.as_buyer, lease_id=deal.trade.pk, now=START)
    services.put_access(
        actor=deal.as_seller, lease_id=deal.trade.pk, details={"host": "old"}, now=START
    )
    services.put_access(actor=deal.as_seller, lease_id=deal.trade.pk, details=secret, now=START)
    assert (
        selectors.access_details(actor=deal.as_buyer, lease_id=deal.trade.pk, now=START) == secret
    )
    for actor in (
        deal.as_seller,
        make.operator("auditor"),
        make.actor_of(make.organisation("buyer")),
    ):
        with pytest.raises(LeaseNotFound):
            selectors.access_details(actor=actor, lease_id=deal.trade.pk, now=START)
    stored = LeaseAccess.objects.get(lease=deal.trade.pk)
    assert b"s3cret" not in bytes(stored.ciphertext)
    assert bytes(stored.ciphertext).startswith(stored.key_id.encode())
    audit = AuditRow.objects.filter(action="lease.put_access").last()
    assert "s3cret" not in str(audit.after)


def test_only_the_provider_of_a_running_lease_stores_how_to_get_in():
    deal = Deal()
    for actor in (deal.as_buyer, make.actor_of(make.organisation("provider"))):
        with pytest.raises(LeaseNotFound):
            services.put_access(
                actor=actor, lease_id=deal.trade.pk, details={"host": "x"}, now=START
            )
    deal.move("fail", at=START)
    with pytest.raises(LeaseOver):
        services.put_access(
            actor=deal.as_seller, lease_id=deal.trade.pk, details={"host": "x"}, now=START
        )
    assert not LeaseAccess.objects.exists()
