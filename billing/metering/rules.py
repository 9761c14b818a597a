"""What a usage record may say: every rule by name. Pure.

A record is judged against what is known of its lease. ``problems_of`` answers with all that is
wrong with it, so that one answer names everything there is to mend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from core.errors import FieldProblem

MAX_RECORDS = 5_000
MAX_SOURCE_RECORD_ID = 64
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ReportedUse:
    """Active unit-seconds of a lease in a half-open period, under the source's own id."""

    lease_id: UUID
    source_record_id: str
    period_start_at: datetime
    period_end_at: datetime
    active_unit_seconds: int


@dataclass(frozen=True, slots=True)
class LeaseFacts:
    """What bounds the use of a lease.

    ``ends_at`` is its actual end where it ended early; ``suspended`` are half-open spans in which
    its centre was out, the last one without an end where it still is.
    """

    units: int
    activated_at: datetime | None
    ends_at: datetime
    report_until_at: datetime
    suspended: Sequence[tuple[datetime, datetime | None]] = ()


def problems_of(use: ReportedUse, lease: LeaseFacts, *, now: datetime) -> Iterator[FieldProblem]:
    """What is wrong with a new record; the fields carry their plain names."""
    if use.period_end_at <= use.period_start_at:
        yield FieldProblem(
            "period_end_at", "must be later than period_start_at", "Swap or mend the instants."
        )
        return
    if use.period_end_at > now:
        yield FieldProblem(
            "period_end_at",
            f"lies in the future; it is {_text(now)}",
            "Report a period once it is over.",
        )
    if now > lease.report_until_at:
        yield FieldProblem(
            "lease_id",
            f"its use could be reported until {_text(lease.report_until_at)}",
            "Use reported later is not charged; leave the record out.",
        )
    if lease.activated_at is None:
        yield FieldProblem(
            "lease_id", "the lease was never active", "Move the lease to 'active' first."
        )
        return
    if use.period_start_at < lease.activated_at:
        yield FieldProblem(
            "period_start_at",
            f"lies before the lease was active, {_text(lease.activated_at)}",
            "Start the period no earlier than that.",
        )
    if use.period_end_at > lease.ends_at:
        yield FieldProblem(
            "period_end_at",
            f"lies behind the end of the lease, {_text(lease.ends_at)}",
            "End the period no later than that.",
        )
    most = deliverable_unit_seconds(use.period_start_at, use.period_end_at, lease)
    if not 0 <= use.active_unit_seconds <= most:
        yield FieldProblem(
            "active_unit_seconds",
            f"must be from 0 to {most}: {lease.units} units times the seconds of the period in "
            "which the lease was not suspended",
            "Report what was really available.",
        )


def deliverable_unit_seconds(start_at: datetime, end_at: datetime, lease: LeaseFacts) -> int:
    """The most that ``lease`` could deliver in a period, in whole unit-seconds."""
    out = timedelta(0)
    for began_at, ended_at in lease.suspended:
        overlap = min(ended_at or end_at, end_at) - max(began_at, start_at)
        out += max(overlap, timedelta(0))
    micro = (end_at - start_at - out) // _MICROSECOND
    return lease.units * micro // 1_000_000


def contradiction(stored: ReportedUse) -> FieldProblem:
    """The refusal of an id that is known with other content; it names what is stored."""
    return FieldProblem(
        "source_record_id",
        f"is known with other content: {_text(stored.period_start_at)} to "
        f"{_text(stored.period_end_at)}, {stored.active_unit_seconds} unit-seconds",
        "A record never changes; send a new one under an id of its own for another period.",
    )


def overlap(other: ReportedUse) -> FieldProblem:
    """The refusal of a period of which another record speaks already."""
    return FieldProblem(
        "period_start_at",
        f"the period overlaps record '{other.source_record_id}', "
        f"{_text(other.period_start_at)} to {_text(other.period_end_at)}",
        "Report each second of a lease once.",
    )


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
