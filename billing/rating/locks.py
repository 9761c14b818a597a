"""Rating's row locks, in their order: the open period (shared), records that wait, their leases
(``exchange.scheduling.locks``), the ledger's accounts.
"""

from __future__ import annotations

from billing.metering.models import UnratedRecord, UsageRecord


def take_unrated(limit: int) -> list[UsageRecord]:
    """Up to ``limit`` records that wait for their charge and that nobody else has taken."""
    waiting = (
        UnratedRecord.objects.filter(refused_at=None)
        .select_related("usage_record")
        .order_by("usage_record_id")
        .select_for_update(of=("self",), skip_locked=True)[:limit]
    )
    return [row.usage_record for row in waiting]
