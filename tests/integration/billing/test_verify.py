"""Verify is clean after a day's work, and each finding fails where its fact was broken."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.metering import verify as metering
from billing.metering.models import UnratedRecord
from billing.rating import verify as rating
from billing.rating.models import Charge, ChargeLine
from billing.rating.services import rate_pending
from billing.settlement import services, verify
from billing.settlement.funds import record_top_up
from billing.settlement.models import Payout, RegionPayment, SettlementBatch, TopUp
from core.ids import new_id
from exchange.market.models import TradeRelease
from exchange.scheduling import services as scheduling
from exchange.scheduling import verify as leases
from exchange.scheduling.models import Lease
from tests import factories as make
from tests.factories import HOUR, START
from tests.integration.billing.deals import run

pytestmark = pytest.mark.django_db
END = START + 2 * HOUR


def broken() -> set[str]:
    modules = (leases, metering, rating, verify)
    return {finding.check for room in modules for finding in room.checks() if not finding.ok}


@pytest.fixture
def day() -> SettlementBatch:
    """A settled day with all that can happen to a lease."""
    across = run(buyer_region="zhengzhou", seller_region="luoyang", compute_micro=79_999_999)
    across.report(across.use("zero", start=HOUR, end=HOUR + timedelta(minutes=1), unit_seconds=0))
    across.report(across.use("a"), across.use("b", start=HOUR + timedelta(minutes=1), end=2 * HOUR))
    early = run(hours=6)
    early.report(early.use("a"))
    scheduling.transition_lease(
        actor=make.actor_of(early.buyer), lease_id=early.trade.pk, event="terminate", now=END
    )
    run(active=False)
    scheduling.end_due_leases(now=END)
    clerk, approver = make.operator("settlement_clerk"), make.operator("settlement_approver")
    record_top_up(
        actor=clerk,
        organisation_id=early.buyer.pk,
        amount_micro=5,
        bank_reference="r",
        now=END,
    )
    period = services.cut_off(actor=clerk, now=END)
    batch = services.draft_batch(actor=clerk, period_id=period.pk, now=END)
    services.submit_batch(actor=clerk, batch_id=batch.pk, now=END)
    services.approve_batch(
        actor=approver, batch_id=batch.pk, content_hash=batch.content_hash, now=END
    )
    return services.execute_batch(batch_id=batch.pk, now=END)


def test_a_days_work_leaves_nothing_to_find(day):
    assert broken() == set()


def test_a_trade_without_lease_is_found(day):
    buyer, seller = make.organisation("buyer"), make.organisation("provider")
    make.fund(buyer, 80_000_000)
    make.trade(buyer, seller)
    assert broken() == {"scheduling.pulled"}


@pytest.mark.parametrize(
    ("change", "checks"),
    [
        ({"units": 5}, {"scheduling.as_traded"}),
        ({"state": "failed"}, {"scheduling.history"}),
        (
            {"state": "active", "ended_at": None},
            {"scheduling.history"},
        ),
        ({"ended_at": START + HOUR}, {"scheduling.times", "metering.within_lease"}),
    ],
)
def test_a_changed_lease_is_found(day, change, checks):
    lease = Lease.objects.filter(state="completed").first()
    Lease.objects.filter(pk=lease.pk).update(**change)
    assert checks <= broken()


def test_an_early_end_that_gave_nothing_back_is_found(day):
    lease = Lease.objects.get(state="terminated")
    assert TradeRelease.objects.filter(trade_id=lease.pk).exists()
    Lease.objects.filter(pk=lease.pk).update(ended_at=START + HOUR)
    assert "scheduling.released" in broken()


def test_a_record_that_is_neither_charged_nor_waits_is_found(day):
    deal = run()
    deal.report(deal.use("a"))
    assert broken() == set()
    UnratedRecord.objects.all().delete()
    assert broken() == {"metering.charged_or_waiting"}


def test_a_charge_without_its_lines_and_transfer_is_found(day):
    charge = Charge.objects.filter(amount_micro__gt=0).first()
    deal = run()
    deal.report(deal.use("a"))
    waiting = UnratedRecord.objects.get()
    services.ensure_open_period(now=END)
    Charge.objects.create(
        usage_record=waiting.usage_record,
        lease_id=deal.trade.pk,
        period=services.ensure_open_period(now=END),
        buyer=deal.buyer,
        seller=deal.seller,
        buyer_region_id="zhengzhou",
        seller_region_id="zhengzhou",
        rule_set_id=charge.rule_set_id,
        unit_seconds_before=5,
        unit_seconds_after=10,
        compute_micro=7,
        transport_micro=0,
        amount_micro=7,
        charged_at=END,
    )
    waiting.delete()
    assert broken() == {"rating.lines", "rating.cumulative", "rating.ledger"}


def test_a_changed_batch_is_found(day):
    Payout.objects.filter(batch=day).update(state="pending")
    assert broken() == {"settlement.payouts", "settlement.payable"}
    RegionPayment.objects.create(
        batch=day, payer_region_id="luoyang", payee_region_id="zhengzhou", amount_micro=1
    )
    assert {"settlement.netting", "settlement.content"} <= broken()


def test_a_top_up_without_transfer_is_found(day):
    TopUp.objects.create(
        id=new_id(),
        organisation=make.organisation("buyer"),
        region_id="zhengzhou",
        amount_micro=5,
        bank_reference="forged",
        received_at=END,
    )
    assert broken() == {"settlement.top_ups"}


def test_a_second_charge_line_is_refused_by_the_database_before_it_could_be_found(day):
    assert ChargeLine.objects.exists()
    assert rate_pending(now=END) == 0
