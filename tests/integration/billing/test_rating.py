"""Charges: exact to the micro-yuan, in the right books, once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from billing.metering.models import UnratedRecord
from billing.periods.models import SettlementPeriod
from billing.rating.models import Charge, ChargeLine
from billing.rating.services import HOLD_MARGIN, rate_pending, release_overdue_holds
from exchange.pricing.chart import PLATFORM
from exchange.scheduling import services as scheduling
from ledger import selectors as ledger_reads
from ledger import services as ledger
from tests import factories as make
from tests.factories import GRACE, HOUR, START
from tests.integration.billing.deals import run

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
END = START + 2 * HOUR


def test_a_use_within_one_region_is_charged_by_component_against_the_hold():
    deal = run(compute_micro=106_000_000)
    deal.report(deal.use("a", end=HOUR))
    assert rate_pending(now=END) == 1
    charge = Charge.objects.get()
    assert (charge.amount_micro, charge.compute_micro, charge.transport_micro) == (
        53_000_000,
        53_000_000,
        0,
    )
    assert (charge.unit_seconds_before, charge.unit_seconds_after) == (0, 14_400)
    lines = ChargeLine.objects.filter(charge=charge)
    assert set(lines.values_list("component", "payee_id", "region_id", "amount_micro")) == {
        ("seller_net", deal.seller.pk, "zhengzhou", 53_000_000 - 3_000_000 - 1_590_000),
        ("commission", None, "zhengzhou", 1_590_000),
        ("compute_vat", None, "zhengzhou", 3_000_000),
    }
    assert make.balance(deal.buyer.pk, "available", "zhengzhou") == 53_000_000
    assert make.held(deal.buyer) == 53_000_000
    assert make.balance(deal.seller.pk, "payable", "zhengzhou") == 48_410_000
    assert make.balance(PLATFORM, "commission", "zhengzhou") == 1_590_000
    assert make.balance(PLATFORM, "tax_payable", "zhengzhou") == 3_000_000
    (transfer,) = ledger_reads.transfers([charge.pk]).values()
    assert (transfer.code, transfer.reference, transfer.hold) == (
        "charge.usage",
        charge.usage_record_id,
        deal.trade.pk,
    )


def test_a_use_across_regions_goes_through_clearing_and_carriers_are_cleared_directly():
    carrier = make.organisation("carrier", region_code="xuchang", name="A carrier")
    first = make.link("zhengzhou", "xuchang", carrier=carrier, price_per_gb="0.06")
    second = make.link("xuchang", "luoyang", carrier=None, price_per_gb="0.04")
    deal = run(
        seller_region="luoyang",
        compute_micro=106_000_000,
        transport_micro=10_900_000,
        links=[first, second],
    )
    deal.report(deal.use("a", end=HOUR), deal.use("b", start=HOUR, end=2 * HOUR))
    assert rate_pending(now=END) == 2
    assert Charge.objects.aggregate(total=Sum("amount_micro"))["total"] == 116_900_000
    # The buyer's own region: what goes out, and the part of the link that nobody owns.
    assert make.balance(deal.buyer.pk, "available", "zhengzhou") == 0
    assert make.balance(PLATFORM, "clearing:luoyang", "zhengzhou") == 106_000_000
    assert make.balance(PLATFORM, "clearing:xuchang", "zhengzhou") == 6_540_000
    assert make.balance(PLATFORM, "payable", "zhengzhou") == 4_000_000
    assert make.balance(PLATFORM, "tax_payable", "zhengzhou") == 360_000
    # The seller's region.
    assert make.balance(PLATFORM, "clearing:zhengzhou", "luoyang") == -106_000_000
    assert make.balance(deal.seller.pk, "payable", "luoyang") == 96_820_000
    assert make.balance(PLATFORM, "commission", "luoyang") == 3_180_000
    assert make.balance(PLATFORM, "tax_payable", "luoyang") == 6_000_000
    # The carrier's region.
    assert make.balance(PLATFORM, "clearing:zhengzhou", "xuchang") == -6_540_000
    assert make.balance(carrier.pk, "payable", "xuchang") == 6_000_000
    assert make.balance(PLATFORM, "tax_payable", "xuchang") == 540_000
    for books in ledger_reads.trial_balance():
        assert books.debits == books.credits


def test_records_out_of_order_and_in_small_parts_cost_what_the_whole_costs():
    cost = 79_999_999
    deal = run(compute_micro=cost)
    parts = [deal.use(f"r{n}", start=n * 7 * MINUTE, end=(n + 1) * 7 * MINUTE) for n in range(17)]
    parts.append(deal.use("rest", start=119 * MINUTE, end=120 * MINUTE))
    for use in [*parts[9:], *parts[:9]]:
        deal.report(use)
        rate_pending(now=END)
    assert Charge.objects.aggregate(total=Sum("amount_micro"))["total"] == cost
    assert make.balance(deal.buyer.pk, "available", "zhengzhou") == 0
    assert make.held(deal.buyer) == 0


def test_a_record_is_charged_once():
    deal = run()
    deal.report(deal.use("a"))
    assert [rate_pending(now=END), rate_pending(now=END)] == [1, 0]
    assert Charge.objects.count() == 1
    assert not UnratedRecord.objects.exists()


def test_a_record_of_nothing_is_charged_nothing():
    deal = run()
    deal.report(deal.use("a", unit_seconds=0))
    assert rate_pending(now=END) == 1
    charge = Charge.objects.get()
    assert (charge.amount_micro, charge.lines.count()) == (0, 0)
    assert not ledger_reads.transfers([charge.pk])


def test_what_the_ledger_refuses_stays_behind_and_leaves_others_be():
    lost, sound = run(), run()
    for deal in (lost, sound):
        deal.report(deal.use("a"))
    ledger.post([(ledger.ReleaseHold(hold=lost.trade.pk),)], now=END)
    assert rate_pending(now=END) == 2
    assert list(Charge.objects.values_list("lease_id", flat=True)) == [sound.trade.pk]
    kept = UnratedRecord.objects.get()
    assert (kept.refused_code, kept.refused_at) == ("hold_exhausted", END)
    assert make.balance(lost.buyer.pk, "available", "zhengzhou") == 80_000_000
    assert rate_pending(now=END) == 0


def test_a_charge_goes_into_the_open_period():
    deal = run()
    deal.report(deal.use("a"))
    rate_pending(now=END)
    period = SettlementPeriod.objects.get()
    assert Charge.objects.get().period == period
    # 18:00 in Zhengzhou on the 23rd: the operator's day, from its midnight to the next.
    assert (period.date.isoformat(), period.state) == ("2026-11-23", "open")
    assert (period.starts_at.isoformat(), period.ends_at.isoformat()) == (
        "2026-11-22T16:00:00+00:00",
        "2026-11-23T16:00:00+00:00",
    )


def test_the_rest_of_a_hold_goes_back_when_its_use_can_no_longer_be_reported():
    deal = run()
    deal.report(deal.use("a", end=HOUR))
    overdue = deal.trade.ends_at + GRACE + HOLD_MARGIN
    assert release_overdue_holds(now=overdue - timedelta(seconds=1)) == 0
    assert make.held(deal.buyer) == 40_000_000
    assert release_overdue_holds(now=overdue) == 1
    assert make.held(deal.buyer) == 0
    assert make.balance(deal.buyer.pk, "available", "zhengzhou") == 40_000_000


def test_an_early_end_frees_the_rest_sooner():
    deal = run(hours=10)
    ended_at = START + HOUR
    scheduling.transition_lease(
        actor=make.actor_of(deal.buyer), lease_id=deal.trade.pk, event="terminate", now=ended_at
    )
    deal.report(deal.use("a", end=HOUR), now=ended_at)
    assert release_overdue_holds(now=ended_at + GRACE + HOLD_MARGIN) == 1
    assert make.held(deal.buyer) == 0
    assert make.balance(deal.buyer.pk, "available", "zhengzhou") == 72_000_000


def test_the_statements_of_rating_do_not_grow_with_the_records():
    def statements(count: int) -> int:
        for _ in range(count):
            deal = run()
            deal.report(deal.use("a"), deal.use("b", start=HOUR, end=2 * HOUR))
        with CaptureQueriesContext(connection) as captured:
            assert rate_pending(now=END) == 2 * count
        return len(captured)

    first = statements(1)  # opens accounts and the period
    assert first >= statements(1)
    assert statements(2) == statements(8)
