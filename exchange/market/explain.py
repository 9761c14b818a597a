"""Why an order is filled as it is, or not: counts by test, best options, nearest misses. Pure.

**Counts.** A pool stands for its offer that gets furthest. Each test of `conditions` says how many
pools it turns away by itself (none of their offers passes it), and for how many it is the first to
say no, in the order of `NAMES`. `offer` stands before them: a pool from which nothing is offered.
`price` is judged at starts that fit the window, `ceiling` at the cheapest of them, `units` at those
within the limit (where there are none, at all of them). Pools of other grades are not asked these.

**Nearest misses.** For an order that would not be filled whole now: the smallest single change of
each kind that would, found by trial against the engine's own `quote`. The changed order counts as
new, so that the offers' prices are what it would pay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from core.money import Rounding, divide
from exchange.market import conditions
from exchange.market.engine import BookState
from exchange.market.terms import (
    Entry,
    Fill,
    OfferTerms,
    OrderTerms,
    Placement,
    PoolTerms,
    TimeInForce,
)
from exchange.pricing.engine import NANO_PER_MICRO, SECONDS_PER_HOUR, trade_cost

NAMES: Final = ("offer", *(name for name, _ in conditions.TESTS), *conditions.LAST_TESTS)
"""The vocabulary of the answer, in the order in which tests are asked."""

_AFTER_ALL: Final[Entry] = (2**62, 0)
_NO_LIMIT: Final = 10**15
_WINDOW_SLOTS: Final = 14 * 24  # how far an end is moved in the search for a window
_RTT_STEP_US: Final = 100
_MOST_RTT_US: Final = 100_000


@dataclass(frozen=True, slots=True)
class Refusals:
    """What one test says to the pools of the book."""

    name: str
    turned_away: int  # pools, by this test alone
    first_to_refuse: int  # pools that pass all tests before it, but not this one


@dataclass(frozen=True, slots=True)
class Option:
    """An offer at its best start, with the all-in price by component; rounded up, for reading."""

    offer: int
    pool: int
    region: str
    start_slot: int
    free_units: int
    all_in_micro_per_unit_hour: int
    compute_micro_per_unit_hour: int
    transport_micro_per_unit_hour: int


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A single change that would fill the order whole now, and what it would then cost."""

    change: str  # limit, window, units, circle, region, ...: the kind
    field: str  # the field of OrderTerms that changes
    value: object  # what it must be
    grade: int | None  # of a limit
    cost_micro: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer. `fills` is what the order would get now."""

    pools_in_book: int
    pools_of_grade: int
    pools_that_fit: int
    tests: tuple[Refusals, ...]
    options: tuple[Option, ...]  # best first
    fills: tuple[Fill, ...]
    near_misses: tuple[NearMiss, ...]


def explain(
    state: BookState, order: OrderTerms, now_s: int, *, most_options: int = 4
) -> Explanation:
    """Explain the order against the book as it stands; changes nothing."""
    offers: dict[int, list[OfferTerms]] = {}
    for offer in state.offers():
        offers.setdefault(offer.pool, []).append(offer)
    alone: Counter[str] = Counter()
    first: Counter[str] = Counter()
    options: list[tuple[tuple[int, Entry, int, int], Option]] = []
    pools = list(state.pools())
    for pool in pools:
        judged = [_judge(state, order, offer, pool, now_s) for offer in offers.get(pool.id, [])]
        alone.update(_alone([failed for failed, _ in judged]))
        first.update(_first([failed for failed, _ in judged]))
        options += [option for failed, option in judged if option is not None and not failed]
    options.sort(key=lambda ranked: ranked[0])
    fills = state.quote(order, now_s)
    whole = sum(fill.units for fill in fills) == order.remaining_units
    return Explanation(
        pools_in_book=len(pools),
        pools_of_grade=sum(conditions.limit_of(order, p.grade) is not None for p in pools),
        pools_that_fit=len({option.pool for _, option in options}),
        tests=tuple(Refusals(name, alone[name], first[name]) for name in NAMES),
        options=tuple(option for _, option in options[:most_options]),
        fills=tuple(fills),
        near_misses=() if whole else tuple(near_misses(state, order, now_s, pools)),
    )


# Counts


_Ranked = tuple[tuple[int, Entry, int, int], Option]


def _alone(failed_by_offer: list[set[str]]) -> set[str]:
    """Tests that turn a pool away by themselves: that all of its offers fail."""
    return set.intersection(*failed_by_offer) if failed_by_offer else {"offer"}


def _first(failed_by_offer: list[set[str]]) -> list[str]:
    """The test at which the pool's offer that gets furthest fails, if it does."""
    reached = [min(map(NAMES.index, failed), default=-1) for failed in failed_by_offer]
    if not reached:
        return ["offer"]
    return [] if -1 in reached else [NAMES[max(reached)]]


def _judge(
    state: BookState, order: OrderTerms, offer: OfferTerms, pool: PoolTerms, now_s: int
) -> tuple[set[str], _Ranked | None]:
    """The names of all tests that the offer fails, and the option that it would be."""
    failed = {
        name for name, test in conditions.TESTS if not test(order, offer, pool, state.network)
    }
    limit_micro = conditions.limit_of(order, pool.grade)
    if limit_micro is None:
        return failed, None
    starts = conditions.starts_at(order, offer, now_s)
    if not starts:
        return failed | {"window"}, None
    priced = _priced(state, order, offer, pool, now_s)
    limit = conditions.limit_value(limit_micro, conditions.seconds_taken(order, now_s))
    fair = [cost for cost in priced if cost.value <= limit]
    if not fair:
        failed.add("price")
    budget = None if order.max_cost_micro is None else order.max_cost_micro - order.spent_micro
    chunk = conditions.chunk_of(offer)
    cheapest = priced[0]
    if chunk > conditions.affordable_units(
        budget, numerator=cheapest.numerator, transport_nano=cheapest.transport_nano
    ):
        failed.add("ceiling")
    for cost in fair or priced:
        end = cost.start + conditions.slots_taken(order)
        free = state.free_units(offer.id, cost.start, end)
        if free >= chunk:
            rank = (cost.value, offer.entry, offer.id, cost.start)
            return failed, (rank, _option(offer, pool, cost, free))
    return failed | {"units"}, None


@dataclass(frozen=True, slots=True, order=True)
class _Cost:
    """What one unit costs from one start."""

    value: int
    start: int
    numerator: int
    transport_nano: int
    seconds: int


def _priced(
    state: BookState, order: OrderTerms, offer: OfferTerms, pool: PoolTerms, now_s: int
) -> list[_Cost]:
    """All starts of the order on the offer, cheapest first; without transport where no path is."""
    path = conditions.data_path(order, pool.region, state.network)
    nano = 0 if path is None else order.data_milli_gb * path.price_micro_per_gb
    seconds = conditions.seconds_taken(order, now_s)
    by_hour: dict[int, int] = {}
    costs = []
    for start in conditions.starts_at(order, offer, now_s):
        hour = start % len(offer.prices)
        if hour not in by_hour:
            by_hour[hour] = conditions.price_numerator(order, offer, start, now_s)
        value = conditions.all_in(by_hour[hour], nano)
        costs.append(_Cost(value, start, by_hour[hour], nano, seconds))
    return sorted(costs)


def _option(offer: OfferTerms, pool: PoolTerms, cost: _Cost, free: int) -> Option:
    per_unit_hour = NANO_PER_MICRO * cost.seconds
    return Option(
        offer=offer.id,
        pool=pool.id,
        region=pool.region,
        start_slot=cost.start,
        free_units=free,
        all_in_micro_per_unit_hour=divide(cost.value, per_unit_hour, Rounding.UP),
        compute_micro_per_unit_hour=divide(cost.numerator, cost.seconds, Rounding.UP),
        transport_micro_per_unit_hour=divide(
            SECONDS_PER_HOUR * cost.transport_nano, per_unit_hour, Rounding.UP
        ),
    )


# Nearest misses


def near_misses(
    state: BookState, order: OrderTerms, now_s: int, pools: Sequence[PoolTerms]
) -> Iterable[NearMiss]:
    """The smallest single change of each kind that would fill the order whole now."""
    order = replace(order, entry=_AFTER_ALL)
    trial = _Trial(state, now_s)
    yield from _dearer_limit(trial, order)
    for change, field, values in _changes(order, pools, now_s):
        nearest = trial.nearest([_with(order, field, value) for value in values])
        if nearest is not None:
            changed, cost_micro = nearest
            yield NearMiss(change, field, getattr(changed, field), None, cost_micro)
    yield from _another_region(trial, order, pools)
    yield from _fewer_units(trial, order)


class _Trial:
    """Asks the engine what changed orders would get."""

    def __init__(self, state: BookState, now_s: int) -> None:
        self._state = state
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
        and its cost. Each further one is taken to be filled if a nearer one is.
        """
        low, high = 0, len(orders) - 1
        cost_micro = self.cost_if_whole(orders[high]) if orders else None
        if cost_micro is None:
            return None
        while low < high:
            middle = (low + high) // 2
            cost = self.cost_if_whole(orders[middle])
            if cost is None:
                low = middle + 1
            else:
                high, cost_micro = middle, cost
        return orders[high], cost_micro


_Change = tuple[str, str, Sequence[object]]


def _changes(order: OrderTerms, pools: Sequence[PoolTerms], now_s: int) -> Iterable[_Change]:
    """Kinds of change of one field, with values ever further from what was asked."""
    end, start = order.latest_slot, order.earliest_slot
    yield "window", "latest_slot", range(end + 1, end + _WINDOW_SLOTS)
    first = max(now_s // SECONDS_PER_HOUR, start - _WINDOW_SLOTS)
    yield "window", "earliest_slot", range(start - 1, first - 1, -1)
    if order.max_rtt_us is not None:
        wider = range(order.max_rtt_us + _RTT_STEP_US, _MOST_RTT_US, _RTT_STEP_US)
        yield "circle", "max_rtt_us", wider
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
    if order.max_cost_micro is not None:
        yield "ceiling", "max_cost_micro", [order.max_cost_micro * n // 20 for n in range(21, 201)]


def _dearer_limit(trial: _Trial, order: OrderTerms) -> Iterable[NearMiss]:
    """For the grade where it takes least: the all-in price of the dearest unit it would need."""
    found = []
    for grade, limit_micro in order.limits:
        fills = trial.fills(_with_limit(order, grade, _NO_LIMIT))
        needed = max((_all_in_micro(fill) for fill in fills if fill.grade == grade), default=0)
        cost_micro = trial.cost_if_whole(_with_limit(order, grade, needed))
        if needed > limit_micro and cost_micro is not None:
            found.append((needed - limit_micro, needed, grade, cost_micro))
    if found:
        _, needed, grade, cost_micro = min(found)
        yield NearMiss("limit", "limits", needed, grade, cost_micro)


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
