"""Metering's verb: take in what was delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.actors import Actor


@dataclass(frozen=True, slots=True)
class ReportedUse:
    """Active unit-seconds of a lease in a half-open period, under the source's own id."""

    lease_id: UUID
    source_record_id: str
    period_start_at: datetime
    period_end_at: datetime
    active_unit_seconds: int


@dataclass(frozen=True, slots=True)
class UsageReceipt:
    """How many records were stored, and how many were known already with the same content."""

    stored: int
    repeated: int


def report_usage(
    *, actor: Actor, records: Sequence[ReportedUse], source: str = "provider", now: datetime
) -> UsageReceipt:
    """Store up to 5,000 usage records, all or none."""
    raise NotImplementedError
