"""Reads of periods, batches and payouts, for the operator's people."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from accounts.actors import Actor
from billing.periods.models import SettlementPeriod
from billing.settlement.errors import BatchNotFound
from billing.settlement.models import Payout, SettlementBatch, TopUp


def periods_visible_to(actor: Actor) -> QuerySet[SettlementPeriod]:
    """All periods, the oldest first; for any role of the operator."""
    actor.require_operator()
    return SettlementPeriod.objects.order_by("id")


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
