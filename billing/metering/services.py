"""Metering's verb: take in what was delivered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from billing.metering.models import UnratedRecord, UsageRecord, UsageSource
from billing.metering.rules import (
    MAX_RECORDS,
    MAX_SOURCE_RECORD_ID,
    LeaseFacts,
    ReportedUse,
    contradiction,
    overlap,
    problems_of,
)
from billing.metering.selectors import overlapping, stored_under
from core.errors import FieldProblem, InvalidInput
from core.wakeups import wake
from exchange.scheduling.locks import lock_leases
from exchange.scheduling.models import Lease
from exchange.scheduling.selectors import suspended_spans
from exchange.scheduling.transitions import grace_of

__all__ = ["ReportedUse", "UsageReceipt", "report_usage"]

RATING_WAKE_UP = "rating"


@dataclass(frozen=True, slots=True)
class UsageReceipt:
    """How many records were stored, and how many were known already with the same content."""

    stored: int
    repeated: int


@dataclass(frozen=True, slots=True)
class _Bad:
    index: int
    problem: FieldProblem

    def named(self) -> FieldProblem:
        return replace(self.problem, field=f"records.{self.index}.{self.problem.field}")


def report_usage(
    *, actor: Actor, records: Sequence[ReportedUse], source: str = "provider", now: datetime
) -> UsageReceipt:
    """Store up to 5,000 usage records, all or none, and wake rating.

    A provider reports on its own leases; the platform's probe (an operator's key with the role
    ``market``) on any. A record that is known with the same content is swallowed.
    ``InvalidInput`` names every bad record by its index, field, rule and mend; then nothing is
    stored.
    """
    actor.require_scope("usage:write")
    if source == UsageSource.PROBE:
        actor.require_operator("market")
    elif source != UsageSource.PROVIDER:
        raise InvalidInput.of("source", f"'{source}' is no source", "'provider' or 'probe'.")
    if not 0 < len(records) <= MAX_RECORDS:
        raise InvalidInput.of(
            "records",
            f"{len(records)} records; 1 to {MAX_RECORDS} are taken",
            "Send several requests.",
        )
    with transaction.atomic():
        leases = lock_leases({use.lease_id for use in records})
        if source == UsageSource.PROVIDER:
            mine = actor.organisation_id
            leases = {key: row for key, row in leases.items() if row.provider_id == mine}
        new, bad = _sort_out(records, leases, source, now)
        if bad:
            raise InvalidInput(
                f"{len({b.index for b in bad})} of {len(records)} records break a rule; "
                "nothing was stored.",
                fields=[b.named() for b in sorted(bad, key=lambda b: b.index)],
            )
        _store(actor, new, source, now)
    return UsageReceipt(stored=len(new), repeated=len(records) - len(new))


def _sort_out(
    records: Sequence[ReportedUse], leases: dict[UUID, Lease], source: str, now: datetime
) -> tuple[list[ReportedUse], list[_Bad]]:
    """The records that are new, and everything that is wrong with any."""
    facts = _facts(leases)
    known = stored_under(records, source=source)
    bad: list[_Bad] = []
    fresh: dict[int, ReportedUse] = {}
    by_id: dict[tuple[UUID, str], ReportedUse] = {}
    for index, use in enumerate(records):
        if use.lease_id not in leases:
            problem = FieldProblem("lease_id", "unknown lease", "Report on leases of your own.")
            bad.append(_Bad(index, problem))
            continue
        if not 0 < len(use.source_record_id) <= MAX_SOURCE_RECORD_ID:
            rule = f"must have 1 to {MAX_SOURCE_RECORD_ID} characters"
            problem = FieldProblem("source_record_id", rule, "Use a shorter id.")
            bad.append(_Bad(index, problem))
            continue
        key = (use.lease_id, use.source_record_id)
        before = known.get(key) or by_id.get(key)
        if before is not None:
            if before != use:
                bad.append(_Bad(index, contradiction(before)))
            continue
        by_id[key] = use
        fresh[index] = use
        bad += [_Bad(index, p) for p in problems_of(use, facts[use.lease_id], now=now)]
    bad += _overlaps(fresh, source)
    return list(fresh.values()), bad


def _facts(leases: dict[UUID, Lease]) -> dict[UUID, LeaseFacts]:
    spans = suspended_spans(leases)
    facts = {}
    for key, lease in leases.items():
        ends_at = lease.ended_at or lease.ends_at
        facts[key] = LeaseFacts(
            units=lease.units,
            activated_at=lease.activated_at,
            ends_at=ends_at,
            report_until_at=ends_at + grace_of(lease),
            suspended=spans.get(key, ()),
        )
    return facts


def _overlaps(fresh: dict[int, ReportedUse], source: str) -> Iterator[_Bad]:
    """New records whose period overlaps that of a stored one, or of one before them in time."""
    sound = {i: use for i, use in fresh.items() if use.period_start_at < use.period_end_at}
    for index, stored in overlapping(sound, source=source):
        yield _Bad(index, overlap(stored))
    by_lease: dict[UUID, list[int]] = defaultdict(list)
    for index, use in sound.items():
        by_lease[use.lease_id].append(index)
    for indexes in by_lease.values():
        indexes.sort(key=lambda i: (sound[i].period_start_at, i))
        latest = sound[indexes[0]]
        for index in indexes[1:]:
            use = sound[index]
            if use.period_start_at < latest.period_end_at:
                yield _Bad(index, overlap(latest))
            if use.period_end_at > latest.period_end_at:
                latest = use


def _store(actor: Actor, new: Sequence[ReportedUse], source: str, now: datetime) -> None:
    if not new:
        return
    stored = UsageRecord.objects.bulk_create(
        UsageRecord(
            lease_id=use.lease_id,
            source=source,
            source_record_id=use.source_record_id,
            period_start_at=use.period_start_at,
            period_end_at=use.period_end_at,
            active_unit_seconds=use.active_unit_seconds,
            received_at=now,
        )
        for use in new
    )
    audit.record(
        actor=actor,
        action="usage.report",
        subject_kind="usage_record",
        subject_id=stored[0].pk,
        after={"records": len(stored), "source": source, "last": stored[-1].pk},
        now=now,
    )
    if source == UsageSource.PROVIDER:
        UnratedRecord.objects.bulk_create(UnratedRecord(usage_record=row) for row in stored)
        wake(RATING_WAKE_UP)
