"""What must hold of all usage records."""

from __future__ import annotations

from collections.abc import Iterator

from billing.replay import findings
from core.verify import Finding

_CHECKS: dict[str, tuple[str, str]] = {
    "metering.within_lease": (
        "usage records lie in the active time of their leases and within what these deliver",
        """
        SELECT count(*), count(*) FILTER (
               WHERE lease.activated_at IS NULL
                  OR usage.period_start_at < lease.activated_at
                  OR usage.period_end_at > COALESCE(lease.ended_at, lease.ends_at)
                  OR usage.active_unit_seconds > lease.units
                     * extract(epoch FROM usage.period_end_at - usage.period_start_at))
          FROM billing_usagerecord usage JOIN exchange_lease lease ON lease.id = usage.lease_id
        """,
    ),
    "metering.charged_or_waiting": (
        "records of providers are charged or wait for it, never both",
        """
        SELECT count(*), count(*) FILTER (
               WHERE (charge.id IS NULL) = (waiting.usage_record_id IS NULL))
          FROM billing_usagerecord usage
          LEFT JOIN billing_charge charge ON charge.usage_record_id = usage.id
          LEFT JOIN billing_unratedrecord waiting ON waiting.usage_record_id = usage.id
         WHERE usage.source = 'provider'
        """,
    ),
    "metering.refused": (
        "records wait for their charge and were not refused by the ledger",
        """
        SELECT count(*), count(*) FILTER (WHERE refused_at IS NOT NULL)
          FROM billing_unratedrecord
        """,
    ),
    "metering.probe": (
        "records of the probe are not charged",
        """
        SELECT count(*), count(*) FILTER (WHERE charge.id IS NOT NULL)
          FROM billing_usagerecord usage
          LEFT JOIN billing_charge charge ON charge.usage_record_id = usage.id
         WHERE usage.source = 'probe'
        """,
    ),
}


def checks() -> Iterator[Finding]:
    """One finding for each thing that must hold of all usage records."""
    yield from findings(_CHECKS)
