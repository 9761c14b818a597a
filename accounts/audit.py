"""The audit chain: rows are written freely, in the transaction of what they tell of, and sealed
into a hash chain in batches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts.actors import Actor
from accounts.models import AuditRow
from core.request_context import request_id
from core.sealing import SealedTable

AUDIT_CHAIN = SealedTable(
    name="audit",
    table="accounts_auditrow",
    seals="accounts_auditseal",
    key="id",
    columns=(
        "id",
        "recorded_at",
        "actor_kind",
        "actor_id",
        "actor_label",
        "organisation_id",
        "action",
        "subject_kind",
        "subject_id",
        "before",
        "after",
        "request_id",
    ),
    instants=("recorded_at",),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing done, to be recorded. ``action`` is dotted: ``organisation.verify``."""

    actor: Actor
    action: str
    subject_kind: str
    subject_id: UUID | str
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    now: datetime
    # Whom it concerns, where that is not the actor's own organisation.
    organisation_id: UUID | None = None


def record(
    *,
    actor: Actor,
    action: str,
    subject_kind: str,
    subject_id: UUID | str,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    now: datetime,
    organisation_id: UUID | None = None,
) -> None:
    """Write one row in the current transaction."""
    record_many(
        [
            Act(
                actor=actor,
                action=action,
                subject_kind=subject_kind,
                subject_id=subject_id,
                before=before,
                after=after,
                now=now,
                organisation_id=organisation_id,
            )
        ]
    )


def record_many(acts: Iterable[Act]) -> None:
    """Write a row for each act in the current transaction, thousands in one statement."""
    request = request_id.get() or ""
    rows = [
        AuditRow(
            recorded_at=act.now,
            actor_kind=act.actor.kind,
            actor_id=act.actor.id,
            actor_label=act.actor.label,
            organisation_id=act.organisation_id or act.actor.organisation_id,
            action=act.action,
            subject_kind=act.subject_kind,
            subject_id=str(act.subject_id),
            before=act.before,
            after=act.after,
            request_id=request,
        )
        for act in acts
    ]
    # A statement takes 65,535 parameters, and a row here has twelve.
    AuditRow.objects.bulk_create(rows, batch_size=4000)
