"""Why an order is filled as it is, or not: counts by test, best options, nearest misses. Pure.

**Counts.** A pool stands for its offer that gets furthest. Each test of `conditions` says how many
pools it turns away by itself (none of their offers passes it), and for how many it is the first to
say no, in the order of `NAMES`. `offer` stands before them: a pool from which nothing is offered.
`price` is judged at starts that fit the window, `ceiling` at the cheapest of them, `units` at those
within the limit (where there are none, at all of them). Pools of other grades are not asked these.

**Nearest misses** of an order that would not be filled whole now: `misses`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import Final

from core.money import Rounding, divide
from exchange.market import conditions
from exchange.market.conditions import POOL_TESTS
from exchange.market.engine import BookState
from exchange.market.misses import NearMiss, near_misses
from exchange.market.survey import Found
from exchange.market.terms import Entry, Fill, OfferTerms, OrderTerms, PoolTerms
from exchange.pricing.engine import NANO_PER_MICRO, SECONDS_PER_HOUR

NAMES: Final = ("offer", *(name for name, _ in conditions.TESTS), *conditions.LAST_TESTS)
"""The vocabulary of the answer, in the order in which tests are asked."""


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
    pools = {pool.id: pool for pool in state.pools()}
    judge = _Judge(state, order, now_s, pools)
    by_pool: dict[int, list[int]] = {pool: [] for pool in pools}
    options: list[tuple[_Rank, OfferTerms, Found]] = []
    for offer, found in judge.looked_at():
        failed = judge.failed(offer, found)
        by_pool[offer.pool].append(failed)
        if not failed and found is not None:
            rank = (judge.value(offer, found.numerator), offer.entry, offer.id, found.start)
            options.append((rank, offer, found))
    alone: Counter[int] = Counter()
    first: Counter[int] = Counter()
    for failed_by_offer in by_pool.values():
        alone[reduce(and_, failed_by_offer, _ALL) if failed_by_offer else _NO_OFFER] += 1
        first[_furthest(failed_by_offer)] += 1
    options.sort(key=lambda ranked: ranked[0])
    fills = state.quote(order, now_s)
    whole = sum(fill.units for fill in fills) == order.remaining_units
    return Explanation(
        pools_in_book=len(pools),
        pools_of_grade=sum(
            conditions.limit_of(order, pool.grade) is not None for pool in pools.values()
        ),
        pools_that_fit=len({offer.pool for _, offer, _ in options}),
        tests=tuple(
            Refusals(name, sum(alone[mask] for mask in alone if mask & bit), first[bit])
            for name, bit in _BITS.items()
        ),
        options=tuple(judge.option(offer, found) for _, offer, found in options[:most_options]),
        fills=tuple(fills),
        near_misses=() if whole else tuple(near_misses(state, order, now_s, list(pools.values()))),
    )


# Counts. Which tests refuse is a set of bits, the first test's lowest.

_Rank = tuple[int, Entry, int, int]

_BITS: Final = {name: 1 << i for i, name in enumerate(NAMES)}
_NO_OFFER: Final = _BITS["offer"]
_ALL: Final = (1 << len(NAMES)) - 1
_OF_POOL: Final = [(_BITS[name], test) for name, test in conditions.TESTS if name in POOL_TESTS]
_OF_OFFER: Final = [
    (_BITS[name], test) for name, test in conditions.TESTS if name not in POOL_TESTS
]


def _furthest(failed_by_offer: list[int]) -> int:
    """The test at which the pool's offer that gets furthest fails; 0: it fits."""
    if not failed_by_offer:
        return _NO_OFFER
    if 0 in failed_by_offer:
        return 0
    return max(failed & -failed for failed in failed_by_offer)


class _Judge:
    """Says of each offer which tests it fails for one order."""

    def __init__(
        self, state: BookState, order: OrderTerms, now_s: int, pools: Mapping[int, PoolTerms]
    ) -> None:
        self._state, self._order, self._now_s, self._pools = state, order, now_s, pools
        self._seconds = conditions.seconds_taken(order, now_s)
        self._of_pool: dict[tuple[object, ...], int] = {}

    def looked_at(self) -> Iterator[tuple[OfferTerms, Found | None]]:
        """All offers; those of the order's grades with what they would be for it."""
        grades = {grade for grade, _ in self._order.limits}
        offers = list(self._state.offers())
        wanted = [offer for offer in offers if self._pools[offer.pool].grade in grades]
        found = self._state.survey(self._order, [offer.id for offer in wanted], self._now_s)
        if found is None:
            found = [self._look(offer) for offer in wanted]
        by_id = dict(zip((offer.id for offer in wanted), found, strict=True))
        for offer in offers:
            yield offer, by_id.get(offer.id)

    def failed(self, offer: OfferTerms, found: Found | None) -> int:
        """The bits of all tests that the offer fails."""
        order, pool, network = self._order, self._pools[offer.pool], self._state.network
        failed = self._failed_by_pool(offer, pool)
        for bit, test in _OF_OFFER:
            if not test(order, offer, pool, network):
                failed |= bit
        if found is None:
            return failed
        if not found.starts:
            return failed | _BITS["window"]
        if not found.fair:
            failed |= _BITS["price"]
        if self._too_dear(offer, found):
            failed |= _BITS["ceiling"]
        return failed if found.free else failed | _BITS["units"]

    def value(self, offer: OfferTerms, numerator: int) -> int:
        """The all-in value."""
        return conditions.all_in(numerator, self._transport_nano(offer))

    def option(self, offer: OfferTerms, found: Found) -> Option:
        """The offer at its best start."""
        nano, per_unit_hour = self._transport_nano(offer), NANO_PER_MICRO * self._seconds
        return Option(
            offer=offer.id,
            pool=offer.pool,
            region=self._pools[offer.pool].region,
            start_slot=found.start,
            free_units=found.free,
            all_in_micro_per_unit_hour=divide(
                conditions.all_in(found.numerator, nano), per_unit_hour, Rounding.UP
            ),
            compute_micro_per_unit_hour=divide(found.numerator, self._seconds, Rounding.UP),
            transport_micro_per_unit_hour=divide(
                SECONDS_PER_HOUR * nano, per_unit_hour, Rounding.UP
            ),
        )

    def _failed_by_pool(self, offer: OfferTerms, pool: PoolTerms) -> int:
        """Many pools share the facts that these tests look at, so each is asked once."""
        facts = (pool.region, pool.green_share_bp, pool.pue_milli, pool.reliability_bp)
        failed = self._of_pool.get(facts)
        if failed is None:
            failed = sum(
                bit
                for bit, test in _OF_POOL
                if not test(self._order, offer, pool, self._state.network)
            )
            self._of_pool[facts] = failed
        return failed

    def _too_dear(self, offer: OfferTerms, found: Found) -> bool:
        order = self._order
        if order.max_cost_micro is None:
            return False
        return conditions.chunk_of(offer) > conditions.affordable_units(
            order.max_cost_micro - order.spent_micro,
            numerator=found.cheapest,
            transport_nano=self._transport_nano(offer),
        )

    def _transport_nano(self, offer: OfferTerms) -> int:
        """For one unit; none where there is no path."""
        region = self._pools[offer.pool].region
        path = conditions.data_path(self._order, region, self._state.network)
        return 0 if path is None else self._order.data_milli_gb * path.price_micro_per_gb

    def _look(self, offer: OfferTerms) -> Found:
        """What `survey` says, with numbers of any size."""
        order, now_s = self._order, self._now_s
        limit_micro = dict(reversed(order.limits))[self._pools[offer.pool].grade]
        limit = conditions.limit_value(limit_micro, self._seconds)
        costs = sorted(
            (conditions.price_numerator(order, offer, start, now_s), start)
            for start in conditions.starts_at(order, offer, now_s)
        )
        fair = [cost for cost in costs if self.value(offer, cost[0]) <= limit]
        cheapest = costs[0][0] if costs else 0
        for numerator, start in fair or costs:
            end = start + conditions.slots_taken(order)
            free = self._state.free_units(offer.id, start, end)
            if free >= conditions.chunk_of(offer):
                return Found(len(costs), cheapest, len(fair), start, numerator, free)
        return Found(len(costs), cheapest, len(fair), 0, 0, 0)
