"""Reads of capacity. The ``…_visible_to`` functions are the only doors to a provider's things;
the catalogue is public. ``search.py`` is the buyers' view over all providers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Prefetch, QuerySet

from accounts.actors import Actor
from exchange.capacity.models import (
    Book,
    Centre,
    CentreHour,
    DeviceFigure,
    DeviceModel,
    Grade,
    Pool,
    PoolDay,
    PoolState,
)
from exchange.capacity.states import SELLABLE_HEALTH

SLOTS_PER_DAY = 24

# Every order asks this; as a query of models it is a tenth of what placing an order costs.
_GRADES_NAMED = """
    SELECT g.code, g.id, b.id, b.code, b.resource_class, b.admitted, b.version,
           b.halts_in_force, b.band_bp
      FROM exchange_grade g
      JOIN exchange_book b ON b.id = g.book_id
     WHERE g.code = ANY(%s)
"""


class NamedGrade(NamedTuple):
    """A grade as an order needs it."""

    id: int
    book: Book


def centres_visible_to(actor: Actor) -> QuerySet[Centre]:
    """The organisation's own centres; all of them for the operator."""
    centres = Centre.objects.order_by("id")
    if actor.is_operator():
        return centres
    return centres.filter(provider_id=actor.organisation_id)


def pools_visible_to(actor: Actor) -> QuerySet[Pool]:
    """The pools of the organisation's own centres; all of them for the operator."""
    pools = Pool.objects.order_by("id")
    if actor.is_operator():
        return pools
    return pools.filter(centre__provider_id=actor.organisation_id)


def live_pools_of(centre: Centre) -> QuerySet[Pool]:
    """The pools of a centre that are not withdrawn, with their grades, by id."""
    return (
        Pool.objects.select_related("grade")
        .filter(centre=centre)
        .exclude(state=PoolState.WITHDRAWN)
        .order_by("id")
    )


def hours_of(centre: Centre, *, from_slot: int, to_slot: int) -> QuerySet[CentreHour]:
    """Power price and green share of a centre over ``[from_slot, to_slot)``, in order."""
    return CentreHour.objects.filter(centre=centre, slot__gte=from_slot, slot__lt=to_slot).order_by(
        "slot"
    )


def device_models() -> QuerySet[DeviceModel]:
    """The catalogue with its figures; public."""
    figures = DeviceFigure.objects.order_by("id")
    return DeviceModel.objects.order_by("code").prefetch_related(
        Prefetch("figures", queryset=figures)
    )


def grades() -> QuerySet[Grade]:
    """The standardised instruments with their books; public."""
    return Grade.objects.select_related("book", "device_model").order_by("id")


def is_open(pool: Pool) -> bool:
    """Whether anything new may be sold of a pool; its centre is loaded."""
    return (
        pool.state == PoolState.ACTIVE
        and pool.health in SELLABLE_HEALTH
        and pool.centre.is_reachable
    )


def highest_sold(pool_ids: Iterable[UUID], *, from_slot: int) -> Mapping[UUID, tuple[int, int]]:
    """For each pool with anything sold from ``from_slot`` on: the highest units and their slot."""
    first_day = from_slot // SLOTS_PER_DAY
    highest: dict[UUID, tuple[int, int]] = {}
    days = PoolDay.objects.filter(pool_id__in=list(pool_ids), day__gte=first_day)
    for pool_id, day, sold in days.order_by("pool_id", "day").values_list("pool_id", "day", "sold"):
        for hour, units in enumerate(sold):
            slot = day * SLOTS_PER_DAY + hour
            if slot >= from_slot and units > highest.get(pool_id, (0, 0))[0]:
                highest[pool_id] = (units, slot)
    return highest


def grades_named(codes: Iterable[str]) -> dict[str, NamedGrade]:
    """The grades among ``codes`` that exist, by their codes."""
    with connection.cursor() as cursor:
        cursor.execute(_GRADES_NAMED, [list(codes)])
        rows = cursor.fetchall()
    # Read without models, JSON comes as its text.
    rows = [(*row[:7], json.loads(row[7]), row[8]) for row in rows]
    names = ("id", "code", "resource_class", "admitted", "version", "halts_in_force", "band_bp")
    return {
        code: NamedGrade(id_, Book.from_db(connection.alias, names, book))
        for code, id_, *book in rows
    }
