"""Usage: a batch whole, repeats swallowed, contradictions and impossible records named."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.errors import OperatorRoleMissing, ScopeMissing
from billing.metering.models import UnratedRecord, UsageRecord
from billing.metering.services import UsageReceipt, report_usage
from core.errors import InvalidInput
from exchange.capacity.models import Centre
from exchange.scheduling import services as scheduling
from tests import factories as make
from tests.factories import GRACE, HOUR, START
from tests.integration.billing.deals import run

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def refused(deal, *uses, now=None) -> list[tuple[str, str]]:
    """The fields and rules of a refusal, of which nothing is stored."""
    before = UsageRecord.objects.count()
    with pytest.raises(InvalidInput) as caught:
        deal.report(*uses, now=now)
    assert UsageRecord.objects.count() == before
    return [(problem.field, problem.rule) for problem in caught.value.fields]


def test_records_are_stored_and_wait_for_their_charge():
    deal = run()
    assert deal.report(deal.use("a"), deal.use("b", start=HOUR, end=2 * HOUR)) == UsageReceipt(2, 0)
    stored = list(UsageRecord.objects.order_by("period_start_at"))
    assert [row.active_unit_seconds for row in stored] == [14_400, 14_400]
    assert set(UnratedRecord.objects.values_list("pk", flat=True)) == {row.pk for row in stored}


def test_a_repeat_is_swallowed_within_a_batch_and_later_even_after_the_term():
    deal = run()
    assert deal.report(deal.use("a"), deal.use("a")) == UsageReceipt(1, 1)
    assert deal.report(deal.use("a"), now=START + 100 * HOUR) == UsageReceipt(0, 1)
    assert UsageRecord.objects.count() == 1


def test_a_contradiction_names_what_is_stored():
    deal = run()
    deal.report(deal.use("a"))
    ((field, rule),) = refused(deal, deal.use("a", unit_seconds=5))
    assert field == "records.0.source_record_id"
    assert "2026-11-23T08:00:00Z to 2026-11-23T09:00:00Z, 14400 unit-seconds" in rule


def test_the_same_id_of_another_lease_is_another_record():
    one, other = run(), run()
    one.report(one.use("a"))
    assert other.report(other.use("a")) == UsageReceipt(1, 0)


def test_periods_of_a_lease_never_overlap():
    deal = run()
    deal.report(deal.use("a", end=HOUR))
    assert refused(deal, deal.use("b", start=HOUR - MINUTE, end=HOUR + MINUTE)) == [
        (
            "records.0.period_start_at",
            "the period overlaps record 'a', 2026-11-23T08:00:00Z to 2026-11-23T09:00:00Z",
        )
    ]
    overlapping = [
        deal.use("c", start=HOUR, end=2 * HOUR),
        deal.use("d", start=HOUR + MINUTE, end=HOUR + 2 * MINUTE),
    ]
    assert [field for field, _ in refused(deal, *overlapping)] == ["records.1.period_start_at"]
    assert deal.report(deal.use("b", start=HOUR, end=2 * HOUR)) == UsageReceipt(1, 0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"period_end_at": START}, "period_end_at"),
        ({"period_start_at": START - MINUTE}, "period_start_at"),
        (
            {
                "period_start_at": START + HOUR + 2 * MINUTE,
                "period_end_at": START + 2 * HOUR + MINUTE,
                "active_unit_seconds": 1,
            },
            "period_end_at",
        ),
        ({"active_unit_seconds": 14_401}, "active_unit_seconds"),
        ({"active_unit_seconds": -1}, "active_unit_seconds"),
        ({"source_record_id": ""}, "source_record_id"),
        ({"source_record_id": "x" * 65}, "source_record_id"),
        ({"lease_id": make.new_id()}, "lease_id"),
    ],
)
def test_a_bad_record_is_named_and_the_good_ones_beside_it_are_not_stored(change, field):
    deal = run()
    good = deal.use("good", start=HOUR, end=HOUR + MINUTE)
    named = refused(deal, good, replace(deal.use("bad"), **change), now=START + 3 * HOUR)
    assert [name for name, _ in named] == [f"records.1.{field}"]


def test_all_bad_records_of_a_batch_are_named():
    deal = run()
    uses = [
        deal.use(f"r{n}", start=n * MINUTE, end=(n + 1) * MINUTE, unit_seconds=240 + n % 2)
        for n in range(100)
    ]
    named = refused(deal, *uses)
    assert [field for field, _ in named] == [
        f"records.{n}.active_unit_seconds" for n in range(1, 100, 2)
    ]


def test_use_is_reported_up_to_the_end_of_the_term_and_no_later():
    deal = run()
    end = deal.trade.ends_at + GRACE
    assert (
        refused(deal, deal.use("a"), now=end + timedelta(seconds=1))[0][0] == "records.0.lease_id"
    )
    assert deal.report(deal.use("a"), now=end) == UsageReceipt(1, 0)


def test_what_was_never_active_delivered_nothing():
    deal = run(active=False)
    assert refused(deal, deal.use("a")) == [("records.0.lease_id", "the lease was never active")]


def test_after_an_early_end_nothing_more_was_delivered():
    deal = run()
    scheduling.transition_lease(
        actor=make.actor_of(deal.buyer),
        lease_id=deal.trade.pk,
        event="terminate",
        now=START + 30 * MINUTE,
    )
    assert refused(deal, deal.use("a"))[0][0] == "records.0.period_end_at"
    assert deal.report(deal.use("a", end=30 * MINUTE)) == UsageReceipt(1, 0)


def test_time_in_which_the_centre_was_out_is_not_delivered():
    deal = run()
    Centre.objects.update(is_reachable=False)
    scheduling.suspend_and_resume(now=START + 10 * MINUTE)
    Centre.objects.update(is_reachable=True)
    scheduling.suspend_and_resume(now=START + 25 * MINUTE)
    ((field, _),) = refused(deal, deal.use("a"))
    assert field == "records.0.active_unit_seconds"
    assert deal.report(deal.use("a", unit_seconds=4 * 45 * 60)) == UsageReceipt(1, 0)


def test_who_may_report():
    deal = run()
    with pytest.raises(ScopeMissing):
        report_usage(
            actor=make.actor_of(deal.seller, scopes=["usage:read"]),
            records=[deal.use()],
            now=deal.trade.ends_at,
        )
    for actor in (make.actor_of(deal.buyer), make.actor_of(make.organisation("provider"))):
        with pytest.raises(InvalidInput) as caught:
            report_usage(actor=actor, records=[deal.use()], now=deal.trade.ends_at)
        assert caught.value.fields[0].rule == "unknown lease"
    with pytest.raises(OperatorRoleMissing):
        report_usage(
            actor=deal.as_seller, records=[deal.use()], source="probe", now=deal.trade.ends_at
        )


def test_the_probe_speaks_beside_the_provider_and_is_not_charged():
    deal = run()
    deal.report(deal.use("a"))
    probe = make.operator("market")
    assert report_usage(
        actor=probe,
        records=[deal.use("a", unit_seconds=14_000)],
        source="probe",
        now=deal.trade.ends_at,
    ) == UsageReceipt(1, 0)
    assert UnratedRecord.objects.count() == 1


@pytest.mark.parametrize("count", [0, 5_001])
def test_a_batch_has_its_bounds(count):
    deal = run()
    with pytest.raises(InvalidInput):
        deal.report(*[deal.use()] * count)


def test_the_statements_of_a_batch_do_not_grow_with_it():
    def statements(count: int) -> int:
        deal = run()
        uses = [deal.use(f"r{n}", start=n * MINUTE, end=(n + 1) * MINUTE) for n in range(count)]
        with CaptureQueriesContext(connection) as captured:
            deal.report(*uses)
        return len(captured)

    assert statements(2) == statements(60)
