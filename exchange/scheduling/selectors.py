"""Reads of leases. ``visible_to`` is the only door."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet, Sum

from accounts.actors import Actor
from core.crypto import decrypt
from exchange.market.models import Trade
from exchange.scheduling.errors import LeaseNotFound, NoAccessDetails
from exchange.scheduling.models import Lease, LeaseAccess, LeaseEvent

Span = tuple[datetime, datetime | None]
"""A half-open span of time; ``None`` where it has no end yet."""


def visible_to(actor: Actor) -> QuerySet[Lease]:
    """The leases that the actor delivers or uses; all of them for the operator."""
    leases = Lease.objects.select_related("trade__grade", "centre").order_by("trade_id")
    if actor.is_operator():
        return leases
    return leases.filter(Q(provider_id=actor.organisation_id) | Q(buyer_id=actor.organisation_id))


def leases_as(actor: Actor, party: str) -> QuerySet[Lease]:
    """The leases of the actor as ``provider`` or as ``buyer``: each is one range of an index."""
    return visible_to(actor).filter(**{f"{party}_id": actor.organisation_id})


def lease(*, actor: Actor, lease_id: UUID) -> Lease:
    """One lease; ``LeaseNotFound`` where there is none that the actor may see."""
    found = visible_to(actor).filter(pk=lease_id).first()
    if found is None:
        raise LeaseNotFound(f"There is no lease {lease_id}.")
    return found


def events_of(lease_id: UUID) -> QuerySet[LeaseEvent]:
    """The transitions of a lease, the oldest first."""
    return LeaseEvent.objects.filter(lease_id=lease_id).order_by("id")


def suspended_spans(lease_ids: Collection[UUID]) -> dict[UUID, list[Span]]:
    """When each lease was suspended, in order. What never was is missing from the answer."""
    spans: dict[UUID, list[Span]] = defaultdict(list)
    rows = (
        LeaseEvent.objects.filter(lease_id__in=lease_ids)
        .filter(Q(state_after="suspended") | Q(state_before="suspended"))
        .order_by("lease_id", "id")
        .values_list("lease_id", "state_after", "occurred_at")
    )
    for lease_id, state_after, occurred_at in rows:
        if state_after == "suspended":
            spans[lease_id].append((occurred_at, None))
        else:
            began_at, _ = spans[lease_id].pop()
            spans[lease_id].append((began_at, occurred_at))
    return dict(spans)


def with_resales_to_come(lease_ids: Collection[UUID], *, now: datetime) -> set[UUID]:
    """Those of the leases of which slots are resold that are not over yet."""
    if not lease_ids:
        return set()
    resales = Trade.objects.filter(
        resold_from_id__in=lease_ids, ends_at__gt=now, release__isnull=True
    )
    return {id_ for id_ in resales.values_list("resold_from_id", flat=True) if id_ is not None}


def _in_other_hands(lease_id: UUID, now: datetime) -> str:
    """Why the lease's holder has no access at ``now``, because of a resale; "" where it has.

    A resold lease is used in its own slots; the first holder keeps out of those in which all of
    its units are resold.
    """
    lease = Lease.objects.select_related("trade").get(pk=lease_id)
    if lease.trade.resold_from_id is not None:
        mine = lease.starts_at <= now < (lease.ended_at or lease.ends_at)
        return "" if mine else f"Lease {lease_id} is used from {lease.starts_at.isoformat()} on."
    resold = Trade.objects.filter(
        resold_from_id=lease_id, starts_at__lte=now, ends_at__gt=now, release__isnull=True
    ).aggregate(units=Sum("units"))["units"]
    all_resold = resold is not None and resold >= lease.units
    return f"All units of lease {lease_id} are resold at this time." if all_resold else ""


def access_details(*, actor: Actor, lease_id: UUID, now: datetime) -> dict[str, str]:
    """How to get in; only the lease's buyer may read it, to all others there is no such thing.

    ``NoAccessDetails`` where the provider stored none, or where resold slots are another's now.
    """
    access = (
        LeaseAccess.objects.filter(lease_id=lease_id, lease__buyer_id=actor.organisation_id)
        .only("ciphertext")
        .first()
    )
    if access is None:
        if Lease.objects.filter(pk=lease_id, buyer_id=actor.organisation_id).exists():
            raise NoAccessDetails(f"The provider has stored nothing for lease {lease_id} yet.")
        raise LeaseNotFound(f"There is no lease {lease_id}.")
    elsewhere = _in_other_hands(lease_id, now)
    if elsewhere:
        raise NoAccessDetails(elsewhere)
    details: dict[str, str] = json.loads(decrypt(bytes(access.ciphertext).decode("ascii")))
    return details
