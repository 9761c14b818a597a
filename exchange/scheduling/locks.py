"""Scheduling's row locks. There is one kind, and one order: leases by id.

Whoever changes a lease, takes in its usage or charges it, locks its row first
(``FOR NO KEY UPDATE``: rows that refer to the lease may be written meanwhile), all leases of a call
in the order of their ids; pools, books and the ledger's accounts come after.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet

from exchange.scheduling.models import Lease


def lock_leases(ids: Collection[UUID]) -> dict[UUID, Lease]:
    """Lock the leases of ``ids`` that exist, with their trade's facts at hand."""
    return {lease.pk: lease for lease in _locked(Lease.objects.filter(pk__in=ids))}


def lock_free_leases(leases: QuerySet[Lease], limit: int) -> list[Lease]:
    """Lock up to ``limit`` of ``leases`` that nobody else has locked: for sweeps."""
    return list(_locked(leases, skip_locked=True)[:limit])


def _locked(leases: QuerySet[Lease], *, skip_locked: bool = False) -> QuerySet[Lease]:
    return (
        leases.select_related("trade__rule_set", "trade__resold_from")
        .order_by("trade_id")
        .select_for_update(of=("self",), no_key=True, skip_locked=skip_locked)
    )
