"""Rating's locks, in their order: the turn (shared to charge, alone to let holds lapse), the open
period (shared), records that wait, their leases (``exchange.scheduling.locks``), the ledger's
accounts.
"""

from __future__ import annotations

from django.db import connection

from billing.metering.models import UnratedRecord, UsageRecord

_TURN = 0x72617465  # "rate", an advisory lock


def take_turn_to_charge() -> None:
    """Charge beside others who charge, but not while holds lapse; until the transaction ends."""
    _lock("SELECT pg_advisory_xact_lock_shared(%s)")


def take_turn_to_lapse() -> None:
    """Wait for everybody who is charging, and keep them out; until the transaction ends."""
    _lock("SELECT pg_advisory_xact_lock(%s)")


def _lock(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, [_TURN])


def take_unrated(limit: int) -> list[UsageRecord]:
    """Up to ``limit`` records that wait for their charge and that nobody else has taken."""
    waiting = (
        UnratedRecord.objects.filter(refused_at=None)
        .select_related("usage_record")
        .order_by("usage_record_id")
        .select_for_update(of=("self",), skip_locked=True)[:limit]
    )
    return [row.usage_record for row in waiting]
