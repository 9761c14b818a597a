"""What makes an offer fit an order: named tests and exact prices, shared by engines and explain.

**Compatible** is the conjunction of `TESTS` (one name for each constraint, the vocabulary of the
explain answer) and of the four that depend on start and quantity:

- `window`: some start lies in the order's window and the offer's, and is not past.
- `price`: at some such start the all-in price is within the order's limit for the pool's grade.
- `ceiling`: the whole cost of the order allows at least the offer's smallest chunk.
- `units`: offer and pool still have at least the smallest chunk over all slots from such a start.

**Time.** A scheduled order takes `[start, start + duration)` and starts at slots that begin at or
after `now`. An `on_demand` order starts only in the slot that contains `now`: it takes the rest of
that slot (charged from `now` by the second) and `duration` whole slots after it. The duration that
an offer's bounds are held against is the whole slots.

**All-in value** of an offer at a start, for one unit: 1000 x price numerator + 3600 x transport in
nano-yuan (a micro-yuan-second per hour is a thousandth of the value's unit). It is compared with
1000 x limit x seconds. All starts of one order take equally many seconds, so that ranking by value
is ranking by mean price per unit-hour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from core.slots import SECONDS_PER_SLOT
from exchange.market.terms import (
    Network,
    OfferTerms,
    OrderTerms,
    PathTerms,
    Placement,
    PoolTerms,
    Rested,
    TimeInForce,
)
from exchange.pricing.engine import NANO_PER_MICRO, trade_cost

NO_PATH_NEEDED: Final = PathTerms(price_micro_per_gb=0, rtt_us=0, links=())
UNBOUNDED_UNITS: Final = 2**62


# The tests that depend on neither start nor quantity, in the order in which explain names them.

Test = Callable[[OrderTerms, OfferTerms, PoolTerms, Network], bool]


def _grade(order: OrderTerms, _offer: OfferTerms, pool: PoolTerms, _network: Network) -> bool:
    return limit_of(order, pool.grade) is not None


def _open(_order: OrderTerms, offer: OfferTerms, pool: PoolTerms, _network: Network) -> bool:
    return offer.open and pool.open


def _self_trade(order: OrderTerms, offer: OfferTerms, _pool: PoolTerms, _network: Network) -> bool:
    return order.buyer != offer.provider


def _region(order: OrderTerms, _offer: OfferTerms, pool: PoolTerms, _network: Network) -> bool:
    if order.regions_allowed is not None and pool.region not in order.regions_allowed:
        return False
    return pool.region not in order.regions_excluded


def _rtt(order: OrderTerms, _offer: OfferTerms, pool: PoolTerms, network: Network) -> bool:
    if order.rtt_region is None or order.max_rtt_us is None:
        return True
    return network.path(order.rtt_region, pool.region, order.max_rtt_us) is not None


def _path(order: OrderTerms, _offer: OfferTerms, pool: PoolTerms, network: Network) -> bool:
    return data_path(order, pool.region, network) is not None


def _green(order: OrderTerms, _offer: OfferTerms, pool: PoolTerms, _network: Network) -> bool:
    return pool.green_share_bp >= order.min_green_share_bp


def _pue(order: OrderTerms, _offer: OfferTerms, pool: PoolTerms, _network: Network) -> bool:
    return order.max_pue_milli is None or pool.pue_milli <= order.max_pue_milli


def _reliability(order: OrderTerms, _offer: OfferTerms, pool: PoolTerms, _network: Network) -> bool:
    return pool.reliability_bp >= order.min_reliability_bp


def _reclaimable(order: OrderTerms, offer: OfferTerms, _pool: PoolTerms, _network: Network) -> bool:
    return order.accept_reclaimable or not offer.reclaimable


def _duration(order: OrderTerms, offer: OfferTerms, _pool: PoolTerms, _network: Network) -> bool:
    return offer.min_duration_slots <= order.duration_slots <= offer.max_duration_slots


def _chunk(order: OrderTerms, offer: OfferTerms, _pool: PoolTerms, _network: Network) -> bool:
    return order.remaining_units >= offer.min_chunk_units


def _placement(order: OrderTerms, _offer: OfferTerms, pool: PoolTerms, _network: Network) -> bool:
    return order.anchor is None or order.anchor.place == place_of(order.placement, pool)


TESTS: Final[tuple[tuple[str, Test], ...]] = (
    ("grade", _grade),
    ("open", _open),
    ("self_trade", _self_trade),
    ("region", _region),
    ("rtt", _rtt),
    ("path", _path),
    ("green", _green),
    ("pue", _pue),
    ("reliability", _reliability),
    ("reclaimable", _reclaimable),
    ("duration", _duration),
    ("chunk", _chunk),
    ("placement", _placement),
)

POOL_TESTS: Final = frozenset({"region", "rtt", "path", "green", "pue", "reliability"})
"""Those that look at nothing but the order's wishes, the pool and the network."""
LAST_TESTS: Final = ("window", "price", "ceiling", "units")
"""The names of those that depend on start and quantity."""


# Places and paths


def limit_of(order: OrderTerms, grade: int) -> int | None:
    """The order's all-in limit for a grade in micro-yuan per unit-hour; None: not wanted."""
    for wanted, limit_micro in order.limits:
        if wanted == grade:
            return limit_micro
    return None


def place_of(placement: Placement, pool: PoolTerms) -> int | str:
    """What the fills of a `same_*` order have in common; of no meaning for `anywhere`."""
    if placement is Placement.SAME_POOL:
        return pool.id
    if placement is Placement.SAME_CENTRE:
        return pool.centre
    return pool.region


def data_path(order: OrderTerms, region: str, network: Network) -> PathTerms | None:
    """The way of the order's data to a pool in `region`; None where there is none.

    Where the data lies in the region of the round-trip bound, the bound holds for its way too.
    """
    if order.data_region is None or order.data_milli_gb == 0:
        return NO_PATH_NEEDED
    bound_us = order.max_rtt_us if order.rtt_region == order.data_region else None
    return network.path(order.data_region, region, bound_us)


# Time


def slots_taken(order: OrderTerms) -> int:
    """How many slots of capacity a fill takes."""
    return order.duration_slots + 1 if order.on_demand else order.duration_slots


def seconds_taken(order: OrderTerms, now_s: int) -> int:
    """How many seconds a fill is charged for; the same for every start."""
    whole = order.duration_slots * SECONDS_PER_SLOT
    return whole + SECONDS_PER_SLOT - now_s % SECONDS_PER_SLOT if order.on_demand else whole


def starts(order: OrderTerms, now_s: int) -> range:
    """The slots in which the order may start at `now`, whatever the offer."""
    first, last = order.earliest_slot, order.latest_slot - slots_taken(order)
    if order.good_till_s is not None and now_s >= order.good_till_s:
        return range(0)
    if order.on_demand:
        current = now_s // SECONDS_PER_SLOT
        first, last = max(first, current), min(last, current)
    else:
        first = max(first, -(-now_s // SECONDS_PER_SLOT))
    if order.anchor is not None:
        first, last = max(first, order.anchor.start_slot), min(last, order.anchor.start_slot)
    return range(first, last + 1)


def starts_at(order: OrderTerms, offer: OfferTerms, now_s: int) -> range:
    """The slots in which the order may start on the offer at `now`."""
    own = starts(order, now_s)
    return range(
        max(own.start, offer.start_slot), min(own.stop, offer.end_slot - slots_taken(order) + 1)
    )


def never_again(order: OrderTerms, now_s: int) -> str:
    """Why the order can not be met at `now` or later (`window`, `good_till`); "" while it can."""
    if order.good_till_s is not None and now_s >= order.good_till_s:
        return "good_till"
    current = now_s // SECONDS_PER_SLOT if order.on_demand else -(-now_s // SECONDS_PER_SLOT)
    first = max(order.earliest_slot, current)
    if order.anchor is not None:
        first = order.anchor.start_slot if first <= order.anchor.start_slot else order.latest_slot
    return "" if first + slots_taken(order) <= order.latest_slot else "window"


# Prices


def price_numerator(order: OrderTerms, offer: OfferTerms, start: int, now_s: int) -> int:
    """Of the offer's own price, for one unit from `start` on: sum of price x seconds."""
    prices, taken = offer.prices, range(start, start + slots_taken(order))
    whole = sum(prices[slot % len(prices)] for slot in taken) * SECONDS_PER_SLOT
    if not order.on_demand:
        return whole
    return whole - prices[start % len(prices)] * (now_s % SECONDS_PER_SLOT)


def all_in(numerator: int, transport_nano: int) -> int:
    """The all-in value of a price numerator and a transport, for one unit."""
    return NANO_PER_MICRO * numerator + SECONDS_PER_SLOT * transport_nano


def limit_value(limit_micro: int, seconds: int) -> int:
    """The all-in value of a limit over `seconds`, for one unit."""
    return NANO_PER_MICRO * limit_micro * seconds


def rested(order: OrderTerms, offer: OfferTerms) -> Rested:
    """Which side was in the book first, and whose limit is therefore the price."""
    return Rested.ORDER if order.entry < offer.entry else Rested.OFFER


def traded_numerator(
    order: OrderTerms, offer: OfferTerms, *, limit: int, numerator: int, transport_nano: int
) -> int:
    """The price numerator of the trade; `limit` is the all-in value of the order's limit.

    A limit less transport that is no whole numerator is rounded down, in the buyer's favour.
    """
    if rested(order, offer) is Rested.OFFER:
        return numerator
    return (limit - SECONDS_PER_SLOT * transport_nano) // NANO_PER_MICRO


# Quantities


def chunk_of(offer: OfferTerms) -> int:
    """The fewest units that the offer sells at once; never below one."""
    return max(offer.min_chunk_units, 1)


def largest_take(goal: int, free: int, chunk: int) -> int:
    """The most units up to `goal` that may be taken of `free`: at least the chunk, and leaving
    none or at least the chunk behind. 0 where that can not be.
    """
    units = free if free <= goal else min(goal, free - chunk)
    return units if units >= chunk else 0


def affordable_units(budget_micro: int | None, *, numerator: int, transport_nano: int) -> int:
    """How many units of a trade the rest of an order's ceiling pays for."""
    value = all_in(numerator, transport_nano)
    if budget_micro is None or value == 0:
        return UNBOUNDED_UNITS
    units = max(budget_micro, 0) * NANO_PER_MICRO * SECONDS_PER_SLOT // value
    while units and budget_micro < trade_cost(
        price_numerator=numerator, units=units, transport_nano_per_unit=transport_nano
    ):
        units -= 1  # each part is rounded up: at most twice
    return units


def fewest_units(order: OrderTerms) -> int:
    """How many units an event must fill at least, or none."""
    if order.time_in_force is TimeInForce.FOK:
        return order.remaining_units
    return min(order.min_units, order.remaining_units)


def acceptable(order: OrderTerms, units: int) -> bool:
    """Whether an event may fill so many of the order's remaining units."""
    rest = order.remaining_units - units
    return units >= fewest_units(order) and (rest == 0 or rest >= order.min_units)


def amended(known: OrderTerms | None, wanted: OrderTerms) -> OrderTerms | str:
    """The resting order `known` under the terms of `wanted`, or why it can not have them."""
    if known is None:
        return "closed"
    filled = known.units - known.remaining_units
    if wanted.units < filled:
        return "units"
    left = wanted.units - filled
    if left and wanted.max_cost_micro is not None and wanted.max_cost_micro <= known.spent_micro:
        return "ceiling"
    return replace(wanted, remaining_units=left, spent_micro=known.spent_micro, anchor=known.anchor)


def second_goal(order: OrderTerms, units: int) -> int:
    """How many units to aim for after aiming for all of them gave `units`, too few or leaving too
    small a rest: what leaves the smallest acceptable rest, or 0 where nothing can.
    """
    rest = order.remaining_units - units
    if order.time_in_force is TimeInForce.FOK or not 0 < rest < order.min_units:
        return 0
    return max(order.remaining_units - order.min_units, 0)
