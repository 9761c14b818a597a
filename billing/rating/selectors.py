"""Reads of charges. ``visible_to`` is the only door."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from django.db.models import Max, Q, QuerySet

from accounts.actors import Actor
from billing.rating.models import Charge
from exchange.topology.models import Link


def visible_to(actor: Actor) -> QuerySet[Charge]:
    """The charges that the actor pays or earns; all of them for the operator."""
    charges = Charge.objects.select_related("usage_record", "lease__trade").prefetch_related(
        "lines"
    )
    if not actor.is_operator():
        charges = charges.filter(
            Q(buyer_id=actor.organisation_id) | Q(seller_id=actor.organisation_id)
        )
    return charges.order_by("id")


def charged_unit_seconds(lease_ids: Collection[UUID]) -> dict[UUID, int]:
    """Up to how many unit-seconds each lease is charged; what never was is missing."""
    rows = (
        Charge.objects.filter(lease_id__in=lease_ids)
        .values("lease_id")
        .annotate(reached=Max("unit_seconds_after"))
        .order_by()
    )
    return {row["lease_id"]: row["reached"] for row in rows}


def links_of(link_ids: Iterable[int]) -> dict[int, Link]:
    """Links with their carriers, by id."""
    wanted = set(link_ids)
    if not wanted:
        return {}
    return {link.pk: link for link in Link.objects.select_related("carrier").filter(pk__in=wanted)}
