"""The nearest misses of an order: the smallest single change of each kind that would fill it. Pure.

Found by trial against the engine's own `quote`, so that what is named is true: the changed order
would be filled whole now. The changed order counts as new, so that the offers' prices are what it
would pay. Of changes in steps (window, circle, green, PUE, reliability, placement) no smaller step
would do; of limit and ceiling, not a micro-yuan less. For orders that the kernel does not answer,
which cost more to try, each further step is taken to fill if a nearer one does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from core.money import Rounding, divide
from exchange.market import conditions
from exchange.market.engine import BookState
from exchange.market.terms import (
    Entry,
    Fill,
    OrderTerms,
    Placement,
    PoolTerms,
    TimeInForce,
)
from exchange.pricing.engine import NANO_PER_MICRO, SECONDS_PER_HOUR, trade_cost

_AFTER_ALL: Final[Entry] = (2**62, 0)
_NO_LIMIT: Final = 10**12  # the highest price there is
_WINDOW_SLOTS: Final = 14 * 24  # how far an end is moved in the search for a window


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A single change that would fill the order whole now, and what it would then cost."""

    change: str  # limit, window, units, circle, region, ...: the kind
    field: str  # the field of OrderTerms that changes
    value: object  # what it must be
    grade: int | None  # of a limit
    cost_micro: int


def near_misses(
    state: BookState, order: OrderTerms, now_s: int, pools: Sequence[PoolTerms]
) -> Iterable[NearMiss]:
    """The smallest single change of each kind that would fill the order whole now."""
    order = replace(order, entry=_AFTER_ALL)
    trial = _Trial(state, now_s)
    yield from _dearer_limit(trial, order)
    for change, field, values in _changes(trial, order, pools):
        nearest = trial.nearest([_with(order, field, value) for value in values])
        if nearest is not None:
            changed, cost_micro = nearest
            yield NearMiss(change, field, getattr(changed, field), None, cost_micro)
    yield from _higher_ceiling(trial, order)
    yield from _another_region(trial, order, pools)
    yield from _fewer_units(trial, order)


class _Trial:
    """Asks the engine what changed orders would get."""

    def __init__(self, state: BookState, now_s: int) -> None:
        self._state = state
        self.network = state.network
        self.now_s = now_s

    def fills(self, order: OrderTerms) -> list[Fill]:
        return self._state.quote(order, self.now_s)

    def cost_if_whole(self, order: OrderTerms) -> int | None:
        """What the order would cost if it were filled whole now; None if it would not be."""
        fills = self.fills(order)
        whole = sum(fill.units for fill in fills) == order.remaining_units
        return sum(map(_cost, fills)) if whole else None

    def nearest(self, orders: Sequence[OrderTerms]) -> tuple[OrderTerms, int] | None:
        """Of orders ever further from what was asked, the nearest that would be filled whole,
        and its cost; none where the furthest would not be.
        """
        if not orders or self.cost_if_whole(orders[-1]) is None:
            return None
        nearest = self._first_whole(orders)
        cost_micro = self.cost_if_whole(nearest)
        return None if cost_micro is None else (nearest, cost_micro)

    def _first_whole(self, orders: Sequence[OrderTerms]) -> OrderTerms:
        if self._state.answers_fast(orders[0]):
            units = self._state.units_of_each(orders, self.now_s)
            wanted = orders[0].remaining_units
            return orders[units.index(wanted)]
        low, high = 0, len(orders) - 1
        while low < high:
            middle = (low + high) // 2
            if self.cost_if_whole(orders[middle]) is None:
                low = middle + 1
            else:
                high = middle
        return orders[high]


_Change = tuple[str, str, Sequence[object]]


def _changes(trial: _Trial, order: OrderTerms, pools: Sequence[PoolTerms]) -> Iterable[_Change]:
    """Kinds of change of one field, with values ever further from what was asked."""
    end, start = order.latest_slot, order.earliest_slot
    yield "window", "latest_slot", range(end + 1, end + _WINDOW_SLOTS)
    first = max(trial.now_s // SECONDS_PER_HOUR, start - _WINDOW_SLOTS)
    yield "window", "earliest_slot", range(start - 1, first - 1, -1)
    yield "circle", "max_rtt_us", _round_trips(trial, order, pools)
    greens = {p.green_share_bp for p in pools if p.green_share_bp < order.min_green_share_bp}
    yield "green", "min_green_share_bp", sorted(greens, reverse=True)
    if order.max_pue_milli is not None:
        pues = {pool.pue_milli for pool in pools if pool.pue_milli > order.max_pue_milli}
        yield "pue", "max_pue_milli", sorted(pues)
    reliable = {p.reliability_bp for p in pools if p.reliability_bp < order.min_reliability_bp}
    yield "reliability", "min_reliability_bp", sorted(reliable, reverse=True)
    if not order.accept_reclaimable:
        yield "reclaimable", "accept_reclaimable", [True]
    if order.placement is not Placement.ANYWHERE and order.anchor is None:
        wider_places = list(Placement)[list(Placement).index(order.placement) + 1 :]
        yield "placement", "placement", wider_places


def _dearer_limit(trial: _Trial, order: OrderTerms) -> Iterable[NearMiss]:
    """For the grade where it takes least. A limit fills the order whole if a lower one does, so
    one goes down from what the dearest unit costs until a micro-yuan less would not.
    """
    found = []
    for grade, limit_micro in order.limits:
        needed, cost_micro = _NO_LIMIT, None
        while True:
            fills = trial.fills(_with_limit(order, grade, needed))
            if sum(fill.units for fill in fills) != order.remaining_units:
                break
            cost_micro = sum(map(_cost, fills))
            needed = max((_all_in_micro(f) for f in fills if f.grade == grade), default=0) - 1
        if cost_micro is not None and needed + 1 > limit_micro:
            found.append((needed + 1 - limit_micro, needed + 1, grade, cost_micro))
    if found:
        _, needed, grade, cost_micro = min(found)
        yield NearMiss("limit", "limits", needed, grade, cost_micro)


def _higher_ceiling(trial: _Trial, order: OrderTerms) -> Iterable[NearMiss]:
    """The ceiling that pays for what the order would get without one, or for less if that is
    filled whole too.
    """
    if order.max_cost_micro is None:
        return
    ceiling, cost_micro = None, None
    while True:
        cost = trial.cost_if_whole(replace(order, max_cost_micro=ceiling))
        if cost is None:
            break
        cost_micro = cost
        ceiling = order.spent_micro + cost - 1
    if cost_micro is not None and order.spent_micro + cost_micro > order.max_cost_micro:
        needed = order.spent_micro + cost_micro
        yield NearMiss("ceiling", "max_cost_micro", needed, None, cost_micro)


def _round_trips(trial: _Trial, order: OrderTerms, pools: Sequence[PoolTerms]) -> list[int]:
    """The bounds above the order's at which another region comes within it."""
    if order.max_rtt_us is None or order.rtt_region is None:
        return []
    regions = {pool.region for pool in pools if conditions.limit_of(order, pool.grade) is not None}
    return sorted(
        {
            way.rtt_us
            for region in regions
            for way in trial.network.alternatives(order.rtt_region, region)
            if way.rtt_us > order.max_rtt_us
        }
    )


def _another_region(
    trial: _Trial, order: OrderTerms, pools: Sequence[PoolTerms]
) -> Iterable[NearMiss]:
    """The one region that, allowed as well, would make it cheapest."""
    regions = {pool.region for pool in pools if conditions.limit_of(order, pool.grade) is not None}
    found = []
    for region in regions:
        allowed = order.regions_allowed
        if region in order.regions_excluded or (allowed is not None and region not in allowed):
            changed = replace(
                order,
                regions_allowed=None if allowed is None else allowed | {region},
                regions_excluded=order.regions_excluded - {region},
            )
            cost_micro = trial.cost_if_whole(changed)
            if cost_micro is not None:
                found.append((cost_micro, region))
    if found:
        cost_micro, region = min(found)
        yield NearMiss("region", "regions_allowed", region, None, cost_micro)


def _fewer_units(trial: _Trial, order: OrderTerms) -> Iterable[NearMiss]:
    """The most units that would be filled now."""
    taker = replace(order, min_units=1, time_in_force=TimeInForce.IOC)
    units = sum(fill.units for fill in trial.fills(taker))
    if 0 < units < order.remaining_units:
        changed = replace(
            order, units=units, remaining_units=units, min_units=min(order.min_units, units)
        )
        cost_micro = trial.cost_if_whole(changed)
        if cost_micro is not None:
            yield NearMiss("units", "units", units, None, cost_micro)


def _with(order: OrderTerms, field: str, value: object) -> OrderTerms:
    change: dict[str, Any] = {field: value}
    return replace(order, **change)


def _with_limit(order: OrderTerms, grade: int, limit_micro: int) -> OrderTerms:
    limits = tuple((g, limit_micro if g == grade else limit) for g, limit in order.limits)
    return replace(order, limits=limits)


def _all_in_micro(fill: Fill) -> int:
    value = conditions.all_in(fill.price_numerator, fill.transport_nano_per_unit)
    return divide(value, NANO_PER_MICRO * fill.seconds, Rounding.UP)


def _cost(fill: Fill) -> int:
    return trade_cost(
        price_numerator=fill.price_numerator,
        units=fill.units,
        transport_nano_per_unit=fill.transport_nano_per_unit,
    )
