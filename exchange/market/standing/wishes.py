"""From a standing order to the order of one roll, and back from what is stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from core.slots import slot_start_at
from exchange.market.requests import GradeLimit, OrderRequest
from exchange.market.standing.models import StandingOrder

_OF_THE_ROLL = frozenset(
    {
        "earliest_start_at",
        "latest_end_at",
        "on_demand",
        "time_in_force",
        "good_till_at",
        "max_cost_micro",
    }
)
_DECIMALS = frozenset(
    {
        "max_rtt_ms",
        "min_green_share",
        "max_pue",
        "min_reliability",
        "data_in_gb_per_unit",
        "data_out_gb_per_unit",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingRequest:
    """What is to be kept. ``wish`` is the order of each roll, whatever its window says."""

    wish: OrderRequest
    first_slot: int | None = None
    until_slot: int | None = None
    lead_seconds: int = 1800
    prefers_same_pool: bool = True
    day_budget_micro: int | None = None
    budget_micro: int | None = None


def facts_of(wish: OrderRequest) -> dict[str, Any]:
    """The wish as it is stored: without what each roll decides, decimals as texts."""
    facts = {name: value for name, value in asdict(wish).items() if name not in _OF_THE_ROLL}
    return {
        name: str(value) if name in _DECIMALS and value is not None else value
        for name, value in facts.items()
    }


def wish_of(standing: StandingOrder) -> OrderRequest:
    """The stored wish again."""
    facts = dict(standing.terms)
    for name in _DECIMALS:
        facts[name] = None if facts[name] is None else Decimal(facts[name])
    for name in ("regions_allowed", "regions_excluded"):
        facts[name] = None if facts[name] is None else tuple(facts[name])
    facts["grades"] = tuple(GradeLimit(**limit) for limit in facts["grades"])
    known = {field.name for field in fields(OrderRequest)}
    return OrderRequest(**{name: value for name, value in facts.items() if name in known})


def order_for(
    wish: OrderRequest, *, start_slot: int, units: int, max_cost_micro: int | None, in_pool: bool
) -> OrderRequest:
    """The order of a roll: exactly its slots; in the pool at once or not at all."""
    return replace(
        wish,
        units=units,
        min_units=min(wish.min_units, units),
        on_demand=False,
        earliest_start_at=slot_start_at(start_slot),
        latest_end_at=slot_start_at(start_slot + wish.duration_hours),
        placement="same_pool" if in_pool else wish.placement,
        time_in_force="ioc" if in_pool else "gtc",
        good_till_at=None,
        max_cost_micro=max_cost_micro,
    )


def roll_at(*, start_slot: int, lead_seconds: int) -> datetime:
    """When the slot is to be asked for."""
    return datetime.fromtimestamp(
        slot_start_at(start_slot).timestamp() - lead_seconds, slot_start_at(start_slot).tzinfo
    )
