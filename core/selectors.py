"""Reads of what core keeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from core.models import OutboxPosition, OutboxRelay


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """An event with its place in the stream."""

    position: int
    kind: str
    organisation_id: UUID | None
    subject_id: UUID
    payload: dict[str, Any]
    occurred_at: datetime


def _rows(positions: QuerySet[OutboxPosition], position: int, limit: int) -> QuerySet[Any, Any]:
    return (
        positions.filter(position__gt=position)
        .order_by("position")
        .values_list(
            "position",
            "event__kind",
            "organisation_id",
            "event__subject_id",
            "event__payload",
            "event__occurred_at",
            named=False,
        )[:limit]
    )


def events_after(
    position: int, *, organisation_id: UUID | None, limit: int = 500
) -> list[NumberedEvent]:
    """The next events that ``organisation_id`` may see: its own and the public ones, in order."""
    public = _rows(OutboxPosition.objects.filter(organisation_id=None), position, limit)
    rows = list(public)
    if organisation_id is not None:
        own = OutboxPosition.objects.filter(organisation_id=organisation_id)
        rows += list(_rows(own, position, limit))
    return [NumberedEvent(*row) for row in sorted(rows, key=lambda row: row[0])[:limit]]


def last_position() -> int:
    """The position of the newest numbered event; 0 where there is none."""
    newest = OutboxPosition.objects.order_by("-position").values_list("position", flat=True).first()
    return newest or 0


def first_position() -> int:
    """The position at which the outbox begins: what came before was pruned."""
    return OutboxRelay.objects.values_list("first_position", flat=True).get()
