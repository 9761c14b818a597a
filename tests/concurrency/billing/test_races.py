"""Rating, reporting, cutting off and executing, raced by threads with connections of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum

from billing.metering.models import UnratedRecord, UsageRecord
from billing.periods import services as periods
from billing.rating import verify as rating_verify
from billing.rating.models import Charge
from billing.rating.services import rate_pending
from billing.settlement import services, verify
from billing.settlement.models import Payout, SettlementPeriod
from core.errors import ExchangeError
from exchange.pricing.chart import PLATFORM
from exchange.scheduling import services as scheduling
from exchange.scheduling.models import Lease, LeaseEvent
from ledger import periods as ledger_periods
from ledger.models import Period, Transfer
from tests import factories as make
from tests.factories import HOUR, START
from tests.integration.billing.deals import Deal, run

END = START + 2 * HOUR
MINUTE = timedelta(minutes=1)


def race(*contestants: Callable[[], Any]) -> list[Any]:
    """Run all at once; what each returned, or the refusal that it met."""
    barrier = Barrier(len(contestants))

    def start(contestant: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return contestant()
        except ExchangeError as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(contestants)) as pool:
        return list(pool.map(start, contestants))


def not_ok(*modules: Any) -> list[str]:
    return [f.check for module in modules for f in module.checks() if not f.ok]


def minutes(deal: Deal, of: Iterable[int]) -> list:
    return [deal.use(f"m{n}", start=n * MINUTE, end=(n + 1) * MINUTE) for n in of]


@pytest.mark.usefixtures("fresh_database")
def test_a_record_is_charged_once_whoever_rates():
    deals = [run(seller_region="luoyang") for _ in range(4)]
    for deal in deals:
        deal.report(*minutes(deal, range(120)))

    def rate_all() -> int:
        taken = 0
        while done := rate_pending(now=END, limit=37):
            taken += done
        return taken

    assert sum(race(*[rate_all] * 4)) == 4 * 120
    assert Charge.objects.count() == 4 * 120
    assert Charge.objects.aggregate(sum=Sum("amount_micro"))["sum"] == 4 * 80_000_000
    assert not UnratedRecord.objects.exists()
    assert make.balance(PLATFORM, "clearing:luoyang", "zhengzhou") == 4 * 80_000_000
    assert not_ok(rating_verify) == []


@pytest.mark.usefixtures("fresh_database")
def test_reports_on_one_lease_queue_and_the_same_record_is_stored_once():
    deal = run()
    batches = [
        lambda: deal.report(*minutes(deal, range(60))),
        lambda: deal.report(*minutes(deal, range(59, -1, -1))),
        lambda: deal.report(*minutes(deal, range(30, 90))),
    ]
    receipts = race(*batches)
    assert sum(receipt.stored for receipt in receipts) == 90
    assert sum(receipt.repeated for receipt in receipts) == 90
    assert UsageRecord.objects.count() == 90


@pytest.mark.usefixtures("fresh_database")
def test_every_charge_falls_on_one_side_of_the_cut_off():
    clerk = make.operator("settlement_clerk")
    deals = [run() for _ in range(3)]
    for deal in deals:
        deal.report(*minutes(deal, range(60)))

    def rate_some() -> None:
        while rate_pending(now=END, limit=10):
            pass

    rate_pending(now=END, limit=5)
    race(rate_some, rate_some, lambda: services.cut_off(actor=clerk, now=END))
    assert Charge.objects.count() == 180
    by_period = dict(
        Charge.objects.order_by().values_list("period__state").annotate(sum=Sum("amount_micro"))
    )
    closing = SettlementPeriod.objects.get(state="closing")
    batch = services.draft_batch(actor=clerk, period_id=closing.pk, now=END)
    assert batch.charged_micro == by_period["closing"]
    assert not_ok(rating_verify, verify) == []


@pytest.mark.usefixtures("fresh_database")
def test_executed_by_many_at_once_a_batch_settles_once():
    clerk, approver = make.operator("settlement_clerk"), make.operator("settlement_approver")
    for deal in [run(seller_region="luoyang"), run(buyer_region="luoyang")]:
        deal.report(deal.use("a"))
    period = services.cut_off(actor=clerk, now=END)
    batch = services.draft_batch(actor=clerk, period_id=period.pk, now=END)
    services.submit_batch(actor=clerk, batch_id=batch.pk, now=END)
    services.approve_batch(
        actor=approver, batch_id=batch.pk, content_hash=batch.content_hash, now=END
    )
    done = race(*[lambda: services.execute_batch(batch_id=batch.pk, now=END)] * 4)
    assert {found.state for found in done} == {"settled"}
    payouts = Payout.objects.filter(batch=batch, amount_fen__gt=0)
    assert Transfer.objects.filter(code="settlement.payout").count() == payouts.count() == 2
    assert make.balance(PLATFORM, "clearing:luoyang", "zhengzhou") == 0
    assert not_ok(verify) == []


@pytest.mark.usefixtures("fresh_database")
def test_books_that_another_closed_meanwhile_are_closed_once(monkeypatch):
    clerk, approver = make.operator("settlement_clerk"), make.operator("settlement_approver")
    deal = run(seller_region="luoyang")
    deal.report(deal.use("a"))
    period = services.cut_off(actor=clerk, now=END)
    batch = services.draft_batch(actor=clerk, period_id=period.pk, now=END)
    services.submit_batch(actor=clerk, batch_id=batch.pk, now=END)
    services.approve_batch(
        actor=approver, batch_id=batch.pk, content_hash=batch.content_hash, now=END
    )
    listed, closed_by_other = ledger_periods.closing_periods, []

    def listed_and_overtaken(*, up_to: int) -> list[int]:
        due = listed(up_to=up_to)
        monkeypatch.setattr(ledger_periods, "closing_periods", listed)
        closed_by_other.append(periods.close_books(now=END))
        return due

    monkeypatch.setattr(ledger_periods, "closing_periods", listed_and_overtaken)
    assert services.execute_batch(batch_id=batch.pk, now=END).state == "settled"
    assert closed_by_other == [1]
    assert Period.objects.get(pk=period.ledger_period_id).state == "closed"


@pytest.mark.usefixtures("fresh_database")
def test_of_two_who_end_a_lease_one_is_told_that_it_was_ended():
    deal = run()
    as_buyer = make.actor_of(deal.buyer)

    def move(actor, event):
        return lambda: scheduling.transition_lease(
            actor=actor, lease_id=deal.trade.pk, event=event, now=START + HOUR
        )

    outcome = race(move(as_buyer, "terminate"), move(deal.as_seller, "fail"))
    assert sum(isinstance(found, ExchangeError) for found in outcome) == 1
    assert LeaseEvent.objects.filter(event__in=["terminate", "fail"]).count() == 1


@pytest.mark.usefixtures("fresh_database")
def test_trades_are_pulled_once_by_many():
    buyer, seller = make.organisation("buyer"), make.organisation("provider")
    make.fund(buyer, 1_000_000_000)
    pool = make.pool(seller)
    trades = [make.trade(buyer, seller, sold=pool, compute_micro=1_000) for _ in range(40)]

    def pull() -> int:
        return sum(scheduling.pull_leases(now=START, limit=7) for _ in range(8))

    assert sum(race(*[pull] * 3)) == len(trades)
    assert Lease.objects.count() == len(trades)
