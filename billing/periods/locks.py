"""Row locks on periods. A period is locked before leases, batches and the ledger's accounts.

Whoever charges shares the open period; whoever cuts it off has it alone, so that a charge is either
in the period before the cut-off, or in the next.
"""

from __future__ import annotations

from django.db import connection

from billing.periods.models import SettlementPeriod

_SHARE_OPEN = """
SELECT id, date, starts_at, ends_at, closed_at, state
  FROM billing_settlementperiod WHERE state = 'open' FOR SHARE
"""


def share_open_period() -> SettlementPeriod | None:
    """The open period, kept from being cut off until this transaction ends.

    None where there is none, or where it was cut off while this call waited for it.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a period is locked inside a transaction")
    return next(iter(SettlementPeriod.objects.raw(_SHARE_OPEN)), None)


def lock_open_period() -> SettlementPeriod | None:
    """The open period, alone: nobody charges into it meanwhile."""
    return SettlementPeriod.objects.select_for_update().filter(state="open").first()


def lock_period(period_id: int) -> SettlementPeriod | None:
    """The period, locked against everyone else who would charge, cut off or settle it."""
    return SettlementPeriod.objects.select_for_update().filter(pk=period_id).first()
