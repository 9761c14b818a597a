"""A period from its cut-off to its payouts: every figure exact, four eyes, once."""

from __future__ import annotations

import csv
from datetime import timedelta
from io import StringIO

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from accounts.errors import OperatorRoleMissing
from accounts.models import AuditRow
from billing.periods.models import SettlementPeriod
from billing.rating.models import Charge
from billing.rating.services import rate_pending
from billing.settlement import selectors, services
from billing.settlement.errors import (
    BatchUnderWay,
    BooksDoNotBalance,
    ContentDiffers,
    EarlierPeriodUnsettled,
    FourEyes,
    NotApprovedYet,
    PeriodNotClosing,
)
from billing.settlement.models import Obligation, Payout, RegionPayment, SettlementBatch
from billing.settlement.payment_file import payment_file
from core.errors import InvalidInput, TransitionRefused
from core.ids import new_id
from exchange.pricing import chart
from exchange.pricing.chart import PLATFORM
from ledger import selectors as ledger_reads
from ledger import services as ledger
from tests import factories as make
from tests.factories import HOUR, START
from tests.integration.billing.deals import Deal, run

pytestmark = pytest.mark.django_db
END = START + 2 * HOUR
NEXT_DAY = timedelta(days=1)


class Office:
    """The operator's two people, and a period's way through their hands."""

    def __init__(self) -> None:
        self.clerk = make.operator("settlement_clerk")
        self.approver = make.operator("settlement_approver")

    def cut_off(self, now=END) -> SettlementPeriod:
        return services.cut_off(actor=self.clerk, now=now)

    def draft(self, period=None, now=END) -> SettlementBatch:
        period = period or self.cut_off(now)
        return services.draft_batch(actor=self.clerk, period_id=period.pk, now=now)

    def submit(self, batch, now=END) -> SettlementBatch:
        return services.submit_batch(actor=self.clerk, batch_id=batch.pk, now=now)

    def approve(self, batch, now=END) -> SettlementBatch:
        return services.approve_batch(
            actor=self.approver,
            batch_id=batch.pk,
            content_hash=batch.content_hash,
            now=now,
        )

    def settle(self, now=END) -> SettlementBatch:
        batch = self.draft(now=now)
        self.submit(batch, now)
        self.approve(batch, now)
        return services.execute_batch(batch_id=batch.pk, now=now)


@pytest.fixture
def office() -> Office:
    return Office()


def delivered(**facts) -> Deal:
    """A lease that was delivered and reported in full."""
    deal = run(**facts)
    deal.report(deal.use("a", end=timedelta(hours=deal.trade.end_slot - deal.trade.start_slot)))
    return deal


def triangle() -> list[Deal]:
    """Three regions that owe one another in a ring."""
    return [
        delivered(buyer_region="zhengzhou", seller_region="luoyang", compute_micro=106_000_000),
        delivered(buyer_region="luoyang", seller_region="hami", compute_micro=212_000_000),
        delivered(buyer_region="hami", seller_region="zhengzhou", compute_micro=79_999_999),
    ]


def test_the_whole_way_with_every_amount(office):
    one, two, three = triangle()
    batch = office.settle()
    batch.refresh_from_db()
    assert batch.state == "settled"
    # 397.999999 yuan charged. Net of 6/106 tax and 3 % commission, in whole fen:
    # 96.82, 193.64 and 73.0754707 -> 73.07.
    assert batch.charged_micro == 397_999_999
    assert batch.paid_out_micro == 96_820_000 + 193_640_000 + 73_070_000
    assert batch.charged_micro == batch.paid_out_micro + batch.kept_micro
    clearing = Obligation.objects.filter(batch=batch, kind="clearing")
    assert set(clearing.values_list("debtor_region_id", "creditor_region_id", "amount_micro")) == {
        ("zhengzhou", "luoyang", 106_000_000),
        ("luoyang", "hami", 212_000_000),
        ("hami", "zhengzhou", 79_999_999),
    }
    payments = RegionPayment.objects.filter(batch=batch)
    assert set(payments.values_list("payer_region_id", "payee_region_id", "amount_micro")) == {
        ("luoyang", "hami", 106_000_000),
        ("zhengzhou", "hami", 26_000_001),
    }
    payouts = {p.organisation_id: p for p in Payout.objects.filter(batch=batch)}
    shown = payouts[three.seller.pk]
    assert (shown.owed_micro, shown.amount_fen, shown.carried_micro) == (73_071_697, 7_307, 1_697)
    assert {p.state for p in payouts.values()} == {"sent"}
    for deal in (one, two, three):
        payout = payouts[deal.seller.pk]
        left = make.balance(deal.seller.pk, "payable", deal.seller.region_code)
        assert left == payout.carried_micro
    for here in ("zhengzhou", "luoyang", "hami"):
        for there in {"zhengzhou", "luoyang", "hami"} - {here}:
            assert make.balance(PLATFORM, f"clearing:{there}", here) == 0
    # Bank of Luoyang: 212 prepaid, 106 paid to Hami, 96.82 paid out.
    assert make.balance(PLATFORM, "bank", "luoyang") == 212_000_000 - 106_000_000 - 96_820_000
    for books in ledger_reads.trial_balance():
        assert books.debits == books.credits
    batch.period.refresh_from_db()
    assert (batch.period.state, batch.period.closed_at) == ("closed", END)


def test_money_in_is_money_out_and_money_kept(office):
    triangle()
    office.settle()
    bank = sum(row.by_code.get("bank", 0) for row in ledger_reads.trial_balance())
    kept = SettlementBatch.objects.get().kept_micro
    paid_out = Payout.objects.aggregate(fen=Sum("amount_fen"))["fen"] * 10_000
    assert bank == Charge.objects.aggregate(sum=Sum("amount_micro"))["sum"] - paid_out == kept


def test_parts_of_a_fen_are_carried_into_the_next_period(office):
    seller = make.organisation("provider")
    delivered(seller=seller, compute_micro=79_999_999)
    office.settle()
    delivered(seller=seller, compute_micro=79_999_999)
    second = office.settle(now=END + NEXT_DAY)
    payout = Payout.objects.get(batch=second)
    carried = Payout.objects.exclude(batch=second).get().carried_micro
    lines = Obligation.objects.get(batch=second, kind="payout").amount_micro
    assert carried == 1_697
    assert payout.owed_micro == lines + carried
    assert make.balance(seller.pk, "payable", "zhengzhou") == payout.carried_micro
    assert second.charged_micro == second.paid_out_micro + second.kept_micro


def test_business_goes_on_while_a_period_is_settled(office):
    delivered()
    period = office.cut_off()
    late = run()
    late.report(late.use("a"))
    rate_pending(now=END)
    charge = Charge.objects.get(lease=late.trade.pk)
    assert charge.period.date == period.date + NEXT_DAY
    batch = office.draft(period)
    assert batch.charged_micro == 80_000_000
    assert make.balance(late.seller.pk, "payable", "zhengzhou") > 0


def test_what_was_reported_before_the_cut_off_is_charged_into_the_period(office):
    deal = run()
    deal.report(deal.use("a"))
    period = office.cut_off()
    assert Charge.objects.get().period == period


def test_a_cut_off_joins_one_period_to_the_next(office):
    first = office_period = services.ensure_open_period(now=START)
    assert office.cut_off(now=END) == office_period
    second = SettlementPeriod.objects.get(state="open")
    first.refresh_from_db()
    assert (first.state, first.ends_at, second.starts_at) == ("closing", END, END)
    assert second.date == first.date + NEXT_DAY
    office.cut_off(now=END + 5 * NEXT_DAY)
    third = SettlementPeriod.objects.get(state="open")
    assert third.date == (START + 5 * NEXT_DAY).date()


def test_the_sweep_cuts_off_at_the_operators_midnight_and_not_before():
    period = services.ensure_open_period(now=START)
    assert services.cut_off_due_period(now=period.ends_at - timedelta(seconds=1)) is None
    closing = services.cut_off_due_period(now=period.ends_at)
    assert closing is not None
    assert (closing.pk, closing.state) == (period.pk, "closing")
    assert services.cut_off_due_period(now=period.ends_at) is None


def test_periods_are_settled_in_their_order(office):
    delivered()
    first, second = office.cut_off(), office.cut_off(now=END + NEXT_DAY)
    with pytest.raises(EarlierPeriodUnsettled):
        office.draft(second)
    with pytest.raises(PeriodNotClosing):
        office.draft(SettlementPeriod.objects.get(state="open"))
    assert office.draft(first).charged_micro == 80_000_000


def test_an_earlier_day_without_charges_holds_nothing_up(office):
    first = office.cut_off()
    delivered()
    second = office.cut_off(now=END + NEXT_DAY)
    assert office.draft(second).charged_micro == 80_000_000
    assert office.draft(first).charged_micro == 0


def test_drawn_up_again_the_same_charges_give_the_same_hash(office):
    triangle()
    first = office.draft()
    second = office.draft(first.period)
    assert first.content_hash == second.content_hash
    first.refresh_from_db()
    assert (first.state, first.state_reason) == ("rejected", "drawn up again")
    office.submit(second)
    with pytest.raises(BatchUnderWay):
        office.draft(second.period)


def test_nobody_approves_what_they_submitted(office):
    both = make.operator("settlement_clerk", "settlement_approver")
    batch = office.draft()
    services.submit_batch(actor=both, batch_id=batch.pk, now=END)
    with pytest.raises(FourEyes):
        services.approve_batch(
            actor=both, batch_id=batch.pk, content_hash=batch.content_hash, now=END
        )
    batch.refresh_from_db()
    assert (batch.state, batch.approved_by_id) == ("submitted", None)


def test_roles_are_asked_for(office):
    period = office.cut_off()
    for refused in (
        lambda: services.cut_off(actor=office.approver, now=END),
        lambda: services.draft_batch(actor=office.approver, period_id=period.pk, now=END),
    ):
        with pytest.raises(OperatorRoleMissing):
            refused()
    batch = office.draft(period)
    with pytest.raises(OperatorRoleMissing):
        services.submit_batch(actor=office.approver, batch_id=batch.pk, now=END)
    office.submit(batch)
    for refused in (
        lambda: services.approve_batch(
            actor=office.clerk, batch_id=batch.pk, content_hash=batch.content_hash, now=END
        ),
        lambda: services.reject_batch(actor=office.clerk, batch_id=batch.pk, reason="no", now=END),
    ):
        with pytest.raises(OperatorRoleMissing):
            refused()


def test_another_hash_approves_nothing(office):
    batch = office.draft()
    office.submit(batch)
    with pytest.raises(ContentDiffers):
        services.approve_batch(
            actor=office.approver, batch_id=batch.pk, content_hash="0" * 64, now=END
        )
    batch.refresh_from_db()
    assert batch.state == "submitted"


def test_rows_slipped_into_a_batch_are_noticed(office):
    triangle()
    batch = office.draft()
    office.submit(batch)
    RegionPayment.objects.create(
        batch=batch, payer_region_id="hami", payee_region_id="luoyang", amount_micro=5
    )
    with pytest.raises(ContentDiffers):
        office.approve(batch)


def test_rows_slipped_in_after_the_approval_stop_the_execution(office):
    deals = triangle()
    batch = office.draft()
    office.submit(batch)
    office.approve(batch)
    Payout.objects.filter(organisation=deals[0].seller.pk).update(
        amount_fen=9_681, carried_micro=0, owed_micro=96_810_000
    )
    done = services.execute_batch(batch_id=batch.pk, now=END)
    assert (done.state, done.state_reason) == (
        "failed",
        "the rows of the batch are not what was approved",
    )
    assert make.balance(PLATFORM, "clearing:luoyang", "zhengzhou") == 106_000_000
    assert SettlementPeriod.objects.get(pk=batch.period_id).state == "closing"
    again = office.draft(batch.period)
    assert again.content_hash == batch.content_hash


def test_a_rejected_batch_can_be_drawn_up_again(office):
    batch = office.draft()
    office.submit(batch)
    with pytest.raises(InvalidInput):
        services.reject_batch(actor=office.approver, batch_id=batch.pk, reason="", now=END)
    rejected = services.reject_batch(
        actor=office.approver, batch_id=batch.pk, reason="a lease is in dispute", now=END
    )
    assert rejected.state == "rejected"
    assert office.draft(batch.period).state == "draft"


def test_executed_twice_it_settles_once(office):
    triangle()
    batch = office.settle()
    balances = ledger_reads.trial_balance()
    assert services.execute_batch(batch_id=batch.pk, now=END + HOUR).state == "settled"
    assert ledger_reads.trial_balance() == balances


def test_killed_half_way_it_goes_on_and_settles_once(office, monkeypatch):
    triangle()
    batch = office.draft()
    office.submit(batch)
    office.approve(batch)

    def killed(**_):
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("billing.settlement.services.periods.close", killed)
        with pytest.raises(RuntimeError, match="killed"), transaction.atomic():
            services.execute_batch(batch_id=batch.pk, now=END)
    assert make.balance(PLATFORM, "clearing:luoyang", "zhengzhou") == 106_000_000
    assert services.execute_batch(batch_id=batch.pk, now=END).state == "settled"
    assert make.balance(PLATFORM, "clearing:luoyang", "zhengzhou") == 0


def test_what_is_not_approved_is_not_executed(office):
    batch = office.draft()
    for _ in range(2):
        with pytest.raises(TransitionRefused):
            services.execute_batch(batch_id=batch.pk, now=END)
        office_state = SettlementBatch.objects.get(pk=batch.pk).state
        if office_state == "draft":
            office.submit(batch)


def test_books_that_do_not_mirror_block_the_close(office):
    delivered()
    period = office.cut_off()
    one, bank = chart.clearing("zhengzhou", "hami"), chart.account(PLATFORM, "bank", "zhengzhou")
    ledger.open_accounts([chart.spec(one), chart.spec(bank)])
    lone = ledger.PostTransfer(
        id=new_id(),
        code="test.lone",
        reference=new_id(),
        effective_at=END,
        legs=(ledger.Leg(one, 5), ledger.Leg(bank, -5)),
    )
    assert ledger.post([(lone,)], now=END)[0].ok
    with pytest.raises(BooksDoNotBalance, match="hami and zhengzhou"):
        office.draft(period)


def test_the_payment_file_follows_the_approval(office):
    deals = triangle()
    batch = office.draft()
    with pytest.raises(NotApprovedYet):
        payment_file(batch)
    office.submit(batch)
    batch = office.approve(batch)
    type(deals[0].seller).objects.filter(pk=deals[0].seller.pk).update(name="=cmd()")
    rows = list(csv.DictReader(StringIO(payment_file(batch))))
    by_code = {row["payee_credit_code"]: row for row in rows}
    row = by_code[deals[0].seller.credit_code]
    assert (row["amount"], row["currency"], row["payee_name"]) == ("96.82", "CNY", "'=cmd()")
    assert len(rows) == 3
    assert all(len(row["end_to_end_id"]) <= 35 for row in rows)


def test_a_payment_names_the_obligations_behind_it_and_positions_stay(office):
    triangle()
    batch = selectors.batch(actor=office.clerk, batch_id=office.draft().pk)
    for position in selectors.region_positions(batch):
        assert position.net_micro == position.receives_micro - position.pays_micro
    behind = selectors.discharged_by(batch)
    amounts = {
        (p.payer_region_id, p.payee_region_id): p.amount_micro for p in batch.region_payments.all()
    }
    assert {key: sum(p.amount for p in portions) for key, portions in behind.items()} == amounts


def test_every_step_is_in_the_audit_chain(office):
    batch = office.settle()
    rows = AuditRow.objects.filter(subject_id=str(batch.pk)).order_by("id")
    assert list(rows.values_list("action", flat=True)) == [
        "settlement.draft",
        "settlement.submit",
        "settlement.approve",
        "settlement.execute",
        "settlement.settle",
    ]


def test_the_statements_of_drawing_up_do_not_grow_with_the_charges(office):
    seller = make.organisation("provider", region_code="luoyang")

    def statements(count: int, now) -> int:
        for _ in range(count):
            delivered(seller=seller)
        period = office.cut_off(now=now)
        with CaptureQueriesContext(connection) as captured:
            batch = office.draft(period, now=now)
        office.submit(batch)
        office.approve(batch)
        services.execute_batch(batch_id=batch.pk, now=now)
        return len(captured)

    statements(1, END)
    assert statements(2, END + NEXT_DAY) == statements(7, END + 2 * NEXT_DAY)
