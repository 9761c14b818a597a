"""Search of capacity for buyers: pools of all providers that meet every constraint.

Free units in a window are what is available less the most that is sold in any of its slots; the
lowest price is the lowest hourly price of an open offer whose delivery overlaps the window. Both
are what the books wrote last, hence a hint: only an order finds out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import (
    DecimalField,
    Exists,
    F,
    Func,
    IntegerField,
    Min,
    OuterRef,
    Prefetch,
    QuerySet,
    Subquery,
)
from django.db.models.expressions import RawSQL

from exchange.capacity.models import DeviceFigure, Pool, PoolState
from exchange.capacity.states import SELLABLE_HEALTH
from exchange.topology import selectors as topology

_MOST_SOLD = """
COALESCE((SELECT max(hours.units)
          FROM exchange_poolday AS days,
               unnest(days.sold) WITH ORDINALITY AS hours(units, hour)
          WHERE days.pool_id = exchange_pool.id
            AND days.day BETWEEN %s / 24 AND (%s - 1) / 24
            AND days.day * 24 + hours.hour - 1 >= %s AND days.day * 24 + hours.hour - 1 < %s), 0)
"""


@dataclass(frozen=True, slots=True)
class CapacityQuery:
    """What a buyer looks for over ``[from_slot, to_slot)``; what is None is no constraint."""

    from_slot: int
    to_slot: int
    free_units: int = 1
    resource_class: str | None = None
    grades: tuple[str, ...] = ()
    region: str | None = None  # with everything below it
    min_figures: Mapping[str, Decimal] = field(default_factory=dict)  # quantity → least value
    min_memory_gb: Decimal | None = None
    domestic_only: bool = False
    min_green_share: Decimal | None = None
    max_pue: Decimal | None = None
    rtt_region: str | None = None
    max_rtt_us: int | None = None
    max_price: Decimal | None = None  # yuan per unit-hour


def search_capacity(query: CapacityQuery) -> QuerySet[Pool]:
    """The open pools that fit, with ``free_units`` and ``lowest_price`` (None: no offer), by id.

    The number of statements depends on neither pools nor offers.
    """
    pools = Pool.objects.filter(
        state=PoolState.ACTIVE, health__in=SELLABLE_HEALTH, centre__is_reachable=True
    )
    pools = pools.filter(**_plain_conditions(query))
    if query.region is not None:
        pools = pools.filter(centre__region_id__in=topology.subtree(query.region))
    if query.rtt_region is not None and query.max_rtt_us is not None:
        near = topology.regions_within(query.rtt_region, query.max_rtt_us)
        pools = pools.filter(centre__region_id__in=near)
    for quantity, least in query.min_figures.items():
        stated = DeviceFigure.objects.filter(
            device_model_id=OuterRef("grade__device_model_id"), quantity=quantity, value__gte=least
        )
        pools = pools.filter(Exists(stated))
    pools = pools.annotate(free_units=_free_units(query), lowest_price=_lowest_price(query))
    pools = pools.filter(free_units__gte=query.free_units)
    if query.max_price is not None:
        pools = pools.filter(lowest_price__lte=query.max_price)
    figures = DeviceFigure.objects.order_by("id")
    return (
        pools.select_related("grade__device_model", "grade__book", "centre__region")
        .prefetch_related(Prefetch("grade__device_model__figures", queryset=figures))
        .order_by("id")
    )


def _plain_conditions(query: CapacityQuery) -> dict[str, Any]:
    conditions: dict[str, Any] = {}
    if query.resource_class is not None:
        conditions["grade__resource_class"] = query.resource_class
    if query.grades:
        conditions["grade__code__in"] = query.grades
    if query.min_memory_gb is not None:
        conditions["grade__device_model__memory_gb__gte"] = query.min_memory_gb
    if query.domestic_only:
        conditions["grade__device_model__is_domestic"] = True
    if query.min_green_share is not None:
        conditions["centre__green_share__gte"] = query.min_green_share
    if query.max_pue is not None:
        conditions["centre__pue__lte"] = query.max_pue
    return conditions


def _free_units(query: CapacityQuery) -> Any:
    bounds = (query.from_slot, query.to_slot, query.from_slot, query.to_slot)
    sold = RawSQL(_MOST_SOLD, bounds, output_field=IntegerField())  # noqa: S611 - no user text
    return F("available_units") - sold


def _lowest_price(query: CapacityQuery) -> Subquery:
    """Reached through the pool's own relation: the offers belong to a room above this one."""
    offers = Pool._meta.get_field("offers").related_model
    lowest = Func(
        F("prices"),
        template="(SELECT min(price) FROM unnest(%(expressions)s) AS price)",
        output_field=DecimalField(max_digits=18, decimal_places=6),
    )
    return Subquery(
        offers._default_manager.filter(
            pool_id=OuterRef("pk"),
            state="open",
            start_slot__lt=query.to_slot,
            end_slot__gt=query.from_slot,
        )
        .order_by()
        .values("pool_id")
        .annotate(lowest=Min(lowest))
        .values("lowest")
    )
