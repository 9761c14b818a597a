"""Reclaim: notice, order, compensation, the sweep, and what raw SQL may not take back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from core.errors import InvalidInput, NotFound
from core.slots import slot_start_at
from exchange.capacity.models import PoolDay
from exchange.capacity.verify import checks as capacity_checks
from exchange.market import preview
from exchange.market.errors import OfferRefused
from exchange.market.models import Trade
from exchange.market.verify import checks
from exchange.scheduling import reclaiming, services
from exchange.scheduling.errors import ReclaimRefused
from exchange.scheduling.models import Lease, Reclaim
from exchange.scheduling.verify import checks as lease_checks
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")
YUAN = 1_000_000
FIRST = make.SLOT + 1
TERMS = {
    "is_reclaimable": True,
    "reclaim_notice_seconds": 1800,
    "reclaim_compensation_bp": 2_500,
    "reclaim_least_micro": 3 * YUAN,
}


@pytest.fixture
def reference(db):
    from exchange.market import matching
    from tests.integration.capacity import builders

    builders.load_reference()
    matching.forget_states()
    yield
    matching.forget_states()


class Sold:
    """A pool of 12: three buyers with 4 units each for four hours, the last of them firm or not."""

    def __init__(self, *, firm: bool = False):
        self.provider = make.with_leases(make.seller())
        self.pool = make.capacity.pool(self.provider, make.capacity.centre(self.provider), units=12)
        make.offer(self.provider, self.pool, **({} if firm else TERMS))
        self.buyers = [make.funded_buyer() for _ in range(3)]
        for buyer in self.buyers:
            make.place(
                buyer,
                units=4,
                limit="10",
                accepts_reclaimable=True,
                duration_hours=4,
                earliest_start_at=slot_start_at(FIRST),
                latest_end_at=slot_start_at(FIRST + 4),
            )
            make.match()
        services.pull_leases(now=make.NOW)
        self.trades = list(Trade.objects.order_by("batch", "position"))

    def reclaim(self, *, from_slot=FIRST + 2, actor=None, now=make.NOW, **what) -> list[Reclaim]:
        return reclaiming.reclaim(
            actor=actor or self.provider,
            pool_id=self.pool.id,
            from_slot=from_slot,
            now=now,
            **(what or {"units": 4}),
        )


def sold_unit_hours() -> int:
    return sum(sum(day.sold) for day in PoolDay.objects.all())


def assert_sound() -> None:
    findings = [*checks(), *capacity_checks(), *lease_checks()]
    assert [f for f in findings if not f.ok and f.name != "scheduling.pulled"] == []


def test_the_latest_entry_goes_first_and_is_compensated_by_its_terms():
    sold = Sold()
    rows = sold.reclaim(units=5)
    assert [row.pk for row in rows] == [sold.trades[2].id, sold.trades[1].id]
    due = slot_start_at(FIRST + 2)
    assert {row.due_at for row in rows} == {due}
    services.transition_lease(
        actor=sold.provider,
        lease_id=sold.trades[2].id,
        event="activate",
        now=slot_start_at(FIRST),
    )
    assert reclaiming.execute_due(now=due - timedelta(seconds=1)) == 0
    assert reclaiming.execute_due(now=due + timedelta(seconds=7)) == 2
    assert reclaiming.execute_due(now=due + timedelta(seconds=8)) == 0
    lease = Lease.objects.get(pk=sold.trades[2].id)
    assert (lease.state, lease.ended_at) == ("terminated", due)
    assert Lease.objects.get(pk=sold.trades[0].id).state == "scheduled"
    # Two of four hours of 160 yuan are not delivered; a quarter of their price is owed.
    assert set(Reclaim.objects.values_list("compensation_micro", flat=True)) == {20 * YUAN}
    assert sold_unit_hours() == 16 + 8 + 8
    make.match(now=due)
    assert_sound()


def test_the_least_compensation_is_owed_where_the_share_is_smaller():
    sold = Sold()
    (row,) = sold.reclaim(from_slot=FIRST + 3, units=1)
    trade = sold.trades[2]
    assert reclaiming.compensation_micro(trade, row.due_at) == 10 * YUAN
    trade.reclaim_least_micro = 11 * YUAN
    assert reclaiming.compensation_micro(trade, row.due_at) == 11 * YUAN


def test_the_terms_are_shown_before_the_order_and_kept_on_the_trade():
    sold = Sold()
    trade = sold.trades[0]
    assert (
        trade.is_reclaimable,
        trade.reclaim_notice_seconds,
        trade.reclaim_compensation_bp,
        trade.reclaim_least_micro,
    ) == (True, 1800, 2_500, 3 * YUAN)
    quoted = preview.preview_order(
        actor=sold.buyers[0],
        request=make.order_request(accepts_reclaimable=True, units=1),
        now=make.NOW,
    )
    assert quoted.fills[0].reclaim.reclaim_compensation_bp == 2_500
    with pytest.raises(OfferRefused) as refused:
        make.offer(sold.provider, sold.pool, reclaim_compensation_bp=100)
    assert refused.value.fields[0].field == "reclaim_compensation_bp"


def test_firm_trades_are_never_taken_back():
    sold = Sold(firm=True)
    with pytest.raises(ReclaimRefused) as refused:
        sold.reclaim(units=1)
    assert refused.value.extra["reclaimable_units"] == 0
    with pytest.raises(ReclaimRefused, match="firm"):
        sold.reclaim(lease_ids=[sold.trades[0].id])
    assert not Reclaim.objects.exists()


def test_the_notice_is_kept_and_strangers_take_nothing():
    sold = Sold()
    late = slot_start_at(FIRST + 2) - timedelta(minutes=29)
    with pytest.raises(ReclaimRefused, match="notice"):
        sold.reclaim(lease_ids=[sold.trades[0].id], now=late)
    with pytest.raises(ReclaimRefused):
        sold.reclaim(units=1, now=late)
    with pytest.raises(NotFound):
        sold.reclaim(actor=make.with_leases(make.seller()))
    for bad in ({"units": 0}, {"units": 1, "lease_ids": [sold.trades[0].id]}):
        with pytest.raises(InvalidInput):
            sold.reclaim(**bad)
    with pytest.raises(InvalidInput):
        sold.reclaim(from_slot=make.SLOT)
    with pytest.raises(ReclaimRefused) as refused:
        sold.reclaim(units=13)
    assert refused.value.extra["reclaimable_units"] == 12
    assert not Reclaim.objects.exists()


def test_a_lease_is_taken_once_and_not_after_it_ended():
    sold = Sold()
    (row,) = sold.reclaim(lease_ids=[sold.trades[0].id])
    with pytest.raises(ReclaimRefused, match="already"):
        sold.reclaim(lease_ids=[sold.trades[0].id])
    services.transition_lease(
        actor=make.with_leases(sold.buyers[0]), lease_id=row.pk, event="terminate", now=make.NOW
    )
    assert reclaiming.execute_due(now=row.due_at) == 1
    row.refresh_from_db()
    assert (row.state, row.compensation_micro) == ("void", None)
    assert_sound()


ATTACKS = [
    "UPDATE exchange_reclaim SET due_at = due_at - interval '1 hour'",
    "UPDATE exchange_reclaim SET state = 'executed', compensation_micro = 0, due_at = noticed_at",
    "DELETE FROM exchange_reclaim",
]


@pytest.mark.parametrize("statement", ATTACKS)
def test_raw_sql_shortens_no_notice_and_forgets_nothing(statement):
    sold = Sold()
    sold.reclaim()
    with (
        pytest.raises(Exception, match=r"reclaim"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


@pytest.mark.parametrize(("firm", "minutes"), [(True, 90), (False, 20)])
def test_raw_sql_takes_back_nothing_firm_and_nothing_without_notice(firm, minutes):
    sold = Sold(firm=firm)
    due = slot_start_at(FIRST + 2)
    with (
        pytest.raises(IntegrityError, match="sold firm, or without its notice"),
        transaction.atomic(),
    ):
        Reclaim.objects.create(
            lease_id=sold.trades[0].id,
            request_id=sold.pool.id,
            from_slot=FIRST + 2,
            due_at=due,
            noticed_at=due - timedelta(minutes=minutes),
        )
