"""Reads: the index, prices in force, halts, open orders; concentration for the operator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from accounts.actors import Actor
from core.money import to_micro
from core.slots import SLOTS_PER_DAY, slot_of
from exchange.capacity.models import Book
from exchange.market.orderly.concentration import Concentration, concentration
from exchange.market.orderly.models import Halt, IndexHour, IndexPublication

# The prices of the last published hour are in force, made in it or carried into it.
_IN_FORCE = """
    SELECT i.grade_id, i.region_id, i.price_per_unit_hour
      FROM (SELECT id FROM exchange_indexpublication
             WHERE book_id = %(book)s ORDER BY slot DESC LIMIT 1) p
      JOIN exchange_indexhour i ON i.publication_id = p.id
     WHERE i.grade_id = ANY(%(grades)s)
"""

# Counted by an index, and no further than it must: one more than the limit says enough. Without a
# limit nothing is counted.
_OPEN_ORDERS = """
    WITH may AS (SELECT coalesce((SELECT open_orders FROM exchange_orderlimit
                                   WHERE organisation_id = %(buyer)s), %(general)s::int) AS most)
    SELECT most, CASE WHEN most IS NULL THEN 0 ELSE (
               SELECT count(*) FROM (
                   SELECT 1 FROM exchange_order
                    WHERE buyer_id = %(buyer)s AND state IN ('pending', 'open', 'partially_filled')
                    LIMIT (SELECT most + 1 FROM may)) live) END
      FROM may
"""

_SUPPLY = """
    SELECT g.code, o.id, o.name, sum(p.units)::bigint,
           sum(CASE WHEN p.state = 'active' AND c.is_reachable
                    THEN greatest(p.available_units - coalesce(d.sold[%(hour)s + 1], 0), 0)
                    ELSE 0 END)::bigint
      FROM exchange_pool p
      JOIN exchange_grade g ON g.id = p.grade_id
      JOIN exchange_centre c ON c.id = p.centre_id
      JOIN accounts_organisation o ON o.id = c.provider_id
      LEFT JOIN exchange_poolday d ON d.pool_id = p.id AND d.day = %(day)s
     WHERE p.state <> 'withdrawn'
     GROUP BY g.code, o.id, o.name
     ORDER BY g.code, o.id
"""


@dataclass(frozen=True, slots=True)
class Provider:
    """Who has supply: shown to the operator alone."""

    id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class Supply:
    """The concentration of a grade: of registered units, and of those free in this hour."""

    grade: str
    registered: Concentration[Provider]
    free: Concentration[Provider]


def index_hours(
    *, grade: str, region: str | None, from_slot: int | None, to_slot: int | None
) -> QuerySet[IndexHour]:
    """The published prices of a grade over ``[from_slot, to_slot)``; newest first by id."""
    hours = IndexHour.objects.filter(grade__code=grade)
    if region is not None:
        hours = hours.filter(region=region)
    if from_slot is not None:
        hours = hours.filter(slot__gte=from_slot)
    if to_slot is not None:
        hours = hours.filter(slot__lt=to_slot)
    return hours.select_related("grade")


def index_in_force() -> list[IndexHour]:
    """The price in force of every grade and region."""
    newest = IndexPublication.objects.order_by("book_id", "-slot").distinct("book_id")
    return list(
        IndexHour.objects.filter(publication__in=newest.values("id"))
        .select_related("grade", "region")
        .order_by("grade__code", "region_id")
    )


def prices_in_force(book_id: int, grade_ids: Collection[int]) -> dict[tuple[int, str], int]:
    """The reference prices in force by grade and region, in micro-yuan; one query."""
    with connection.cursor() as cursor:
        cursor.execute(_IN_FORCE, {"book": book_id, "grades": list(grade_ids)})
        return {(grade, region): to_micro(price) for grade, region, price in cursor.fetchall()}


def open_orders(buyer_id: UUID) -> tuple[int, int | None]:
    """How many live orders an organisation has (no more than one above the limit are counted),
    and how many it may have; None for any number."""
    general = settings.OPEN_ORDERS_PER_ORGANISATION or None
    with connection.cursor() as cursor:
        cursor.execute(_OPEN_ORDERS, {"buyer": buyer_id, "general": general})
        most, count = cursor.fetchone()
    return count, most


def halts() -> QuerySet[Halt]:
    """All halts, for every member."""
    return Halt.objects.select_related("book", "region")


def live_halts() -> list[Halt]:
    """Those that were not resumed yet, the newest first."""
    return list(halts().filter(resumed_at=None).order_by("-id"))


def books() -> list[Book]:
    """All books with their rules and what halts their matchers know of."""
    return list(Book.objects.order_by("id"))


def supply_concentration(*, actor: Actor, at: datetime) -> list[Supply]:
    """The concentration of supply of each grade; for the operator's people."""
    actor.require_operator()
    slot = slot_of(at)
    registered: dict[str, dict[Provider, int]] = defaultdict(dict)
    free: dict[str, dict[Provider, int]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_SUPPLY, {"day": slot // SLOTS_PER_DAY, "hour": slot % SLOTS_PER_DAY})
        for grade, provider_id, name, has, has_free in cursor.fetchall():
            provider = Provider(provider_id, name)
            registered[grade][provider], free[grade][provider] = has, has_free
    return [
        Supply(grade, concentration(registered[grade]), concentration(free[grade]))
        for grade in sorted(registered)
    ]
