"""Reads of usage records. ``visible_to`` is the only door."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from accounts.actors import Actor
from billing.metering.models import UsageRecord
from billing.metering.rules import ReportedUse

_STORED = """
SELECT u.lease_id, u.source_record_id, u.period_start_at, u.period_end_at, u.active_unit_seconds
  FROM unnest(%s::uuid[], %s::text[]) AS sent (lease_id, source_record_id)
  JOIN billing_usagerecord u
    ON u.lease_id = sent.lease_id AND u.source_record_id = sent.source_record_id AND u.source = %s
"""

_OVERLAPPING = """
SELECT sent.index, u.lease_id, u.source_record_id, u.period_start_at, u.period_end_at,
       u.active_unit_seconds
  FROM unnest(%s::int4[], %s::uuid[], %s::timestamptz[], %s::timestamptz[])
       AS sent (index, lease_id, period_start_at, period_end_at)
  JOIN billing_usagerecord u
    ON u.lease_id = sent.lease_id AND u.source = %s
   AND tstzrange(u.period_start_at, u.period_end_at)
       && tstzrange(sent.period_start_at, sent.period_end_at)
 ORDER BY sent.index, u.id
"""


def visible_to(actor: Actor) -> QuerySet[UsageRecord]:
    """The records of leases that the actor delivers or uses; all of them for the operator."""
    records = UsageRecord.objects.select_related("lease").order_by("id")
    if actor.is_operator():
        return records
    return records.filter(
        Q(lease__provider_id=actor.organisation_id) | Q(lease__buyer_id=actor.organisation_id)
    )


def stored_under(
    sent: Sequence[ReportedUse], *, source: str
) -> dict[tuple[UUID, str], ReportedUse]:
    """What is stored of ``source`` under the ids of the records sent, by lease and id."""
    columns: list[Any] = [[use.lease_id for use in sent], [use.source_record_id for use in sent]]
    with connection.cursor() as cursor:
        cursor.execute(_STORED, [*columns, source])
        return {(row[0], row[1]): ReportedUse(*row) for row in cursor.fetchall()}


def overlapping(
    sent: Mapping[int, ReportedUse], *, source: str
) -> Iterator[tuple[int, ReportedUse]]:
    """The index of a record sent, and a stored one whose period it overlaps, for all such pairs."""
    columns: list[Any] = [
        list(sent),
        [use.lease_id for use in sent.values()],
        [use.period_start_at for use in sent.values()],
        [use.period_end_at for use in sent.values()],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_OVERLAPPING, [*columns, source])
        for index, *stored in cursor.fetchall():
            yield index, ReportedUse(*stored)
