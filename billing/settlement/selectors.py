"""Reads of periods, batches and payouts, for the operator's people."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db.models import QuerySet

from accounts.actors import Actor
from billing.periods.errors import PeriodNotFound
from billing.periods.models import SettlementPeriod
from billing.settlement.errors import BatchNotFound
from billing.settlement.models import ObligationKind, Payout, SettlementBatch, TopUp
from billing.settlement.netting import Debt, Portion, net


def periods_visible_to(actor: Actor) -> QuerySet[SettlementPeriod]:
    """All periods, the oldest first; for any role of the operator."""
    actor.require_operator()
    return SettlementPeriod.objects.order_by("id")


def period_id(*, actor: Actor, period_id: int | None = None, date: date | None = None) -> int:
    """The id of the period that is named by id or by date; ``PeriodNotFound``."""
    named = periods_visible_to(actor)
    named = named.filter(date=date) if date is not None else named.filter(pk=period_id or 0)
    found = named.values_list("pk", flat=True).first()
    if found is None:
        raise PeriodNotFound(f"There is no period {date or period_id}.")
    return found


def visible_to(actor: Actor) -> QuerySet[SettlementBatch]:
    """All batches with their periods, the oldest first; for any role of the operator."""
    actor.require_operator()
    return SettlementBatch.objects.select_related(
        "period", "created_by", "submitted_by", "approved_by"
    ).order_by("id")


def batch(*, actor: Actor, batch_id: UUID) -> SettlementBatch:
    """One batch with all that it says; ``BatchNotFound``."""
    found = (
        visible_to(actor)
        .filter(pk=batch_id)
        .prefetch_related("obligations", "region_payments", "payouts__organisation")
        .first()
    )
    if found is None:
        raise BatchNotFound(f"There is no settlement batch {batch_id}.")
    return found


@dataclass(frozen=True, slots=True)
class RegionPosition:
    """What a region owes and has coming in a batch, and what netting made of it."""

    region: str
    owes_micro: int
    is_owed_micro: int
    pays_micro: int
    receives_micro: int

    @property
    def net_micro(self) -> int:
        """Above zero where it has money coming; netting leaves it as it was."""
        return self.is_owed_micro - self.owes_micro


def region_positions(batch: SettlementBatch) -> list[RegionPosition]:
    """The regions that clear with one another in a batch, by code."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for owed in batch.obligations.all():
        if owed.kind == ObligationKind.CLEARING:
            sums[owed.debtor_region_id][0] += owed.amount_micro
            sums[owed.creditor_region_id][1] += owed.amount_micro
    for payment in batch.region_payments.all():
        sums[payment.payer_region_id][2] += payment.amount_micro
        sums[payment.payee_region_id][3] += payment.amount_micro
    return [RegionPosition(region, *sums[region]) for region in sorted(sums)]


def discharged_by(batch: SettlementBatch) -> dict[tuple[str, str], tuple[Portion, ...]]:
    """The obligations behind each payment between regions, by payer and payee.

    Netting is a pure function of the obligations, so that what it did is not stored but done again.
    """
    debts = [
        Debt(owed.debtor_region_id, owed.creditor_region_id, owed.amount_micro, owed.pk)
        for owed in batch.obligations.all()
        if owed.kind == ObligationKind.CLEARING
    ]
    return {(payment.payer, payment.payee): payment.discharged for payment in net(debts)}


def payouts_visible_to(actor: Actor) -> QuerySet[Payout]:
    """The payouts to the actor's organisation; all of them for the operator."""
    payouts = Payout.objects.select_related("batch__period", "organisation").order_by("id")
    if actor.is_operator():
        return payouts
    return payouts.filter(organisation=actor.organisation_id, state="sent")


def top_ups_visible_to(actor: Actor) -> QuerySet[TopUp]:
    """What arrived for the actor's organisation; all of it for the operator."""
    top_ups = TopUp.objects.order_by("id")
    if actor.is_operator():
        return top_ups
    return top_ups.filter(organisation=actor.organisation_id)
