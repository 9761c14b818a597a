"""Pools and offers as the engine keeps them: by grade in price order, free slots as bits."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Final

from core.slots import SECONDS_PER_SLOT, SLOTS_PER_DAY
from exchange.market.calendar import SoldUnits
from exchange.market.conditions import chunk_of
from exchange.market.terms import Claim, Entry, OfferTerms, Placement, PoolTerms

Tariff = tuple[tuple[int, int], ...]
"""Price numerators of a duration, cheapest first, each with the UTC hours (bits) to start at."""

_SHORTEST: Final = (1, 2, 4, 8, 24)
"""Classes of durations, each by its shortest: a tariff asks more on average for longer runs."""

ANY_HOUR: Final = (1 << SLOTS_PER_DAY) - 1


@dataclass(slots=True, eq=False)
class PoolStock:
    """A pool, what of it is sold, and its offers."""

    terms: PoolTerms
    sold: SoldUnits
    offers: dict[int, OfferStock] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class OfferStock:
    """An offer, what of it is sold, and where it still has its smallest chunk."""

    terms: OfferTerms
    pool: PoolStock
    sold: SoldUnits
    free_bits: int | None = None  # a bit for each slot from the supply's first; None: not known
    tariffs: dict[int, Tariff] = field(default_factory=dict)
    least: tuple[int, ...] = ()  # that it can ask, by class of duration (`_SHORTEST`)
    listed: bool = False

    def free_units(self, start: int, end: int) -> int:
        """Units that pool and offer both still have in every slot of `[start, end)`."""
        return min(
            self.terms.units - self.sold.most(start, end),
            self.pool.terms.units - self.pool.sold.most(start, end),
        )

    def tariff(self, duration_slots: int) -> Tariff:
        """What whole slots cost by the hour of the start."""
        known = self.tariffs.get(duration_slots)
        if known is None:
            known = self.tariffs[duration_slots] = _tariff(self.terms.prices, duration_slots)
        return known


ShelfKey = tuple[int, Entry, int]
"""(least price in micro-yuan per unit-hour, entry, id): the order of looking at offers."""

Place = tuple[Placement, int | str]

ShelfName = tuple[int, int | Place]
"""A grade for a class of durations, or a grade at a place."""

Shelf = list[tuple[ShelfKey, OfferStock]]


class Supply:
    """All pools and offers of a book. Slots before `first_slot` are past and forgotten."""

    def __init__(self, first_slot: int) -> None:
        self.first_slot = first_slot
        self.pools: dict[int, PoolStock] = {}
        self.offers: dict[int, OfferStock] = {}
        self._shelves: dict[ShelfName, Shelf] = {}

    def set_pool(self, terms: PoolTerms) -> PoolStock:
        """Take in a new pool, or new terms of a known one."""
        stock = self.pools.get(terms.id)
        if stock is None:
            stock = self.pools[terms.id] = PoolStock(terms, SoldUnits(self.first_slot))
        else:
            for offer in stock.offers.values():
                self._unlist(offer)
            stock.terms = terms
        self._freshen(stock)
        return stock

    def set_offer(self, terms: OfferTerms) -> OfferStock:
        """Take in a new offer, or new terms of a known one. `KeyError`: its pool is unknown;
        `ValueError`: it was another pool's.
        """
        stock = self.offers.get(terms.id)
        pool = self.pools[terms.pool]
        if stock is not None and stock.pool is not pool:
            raise ValueError("an offer stays with its pool")
        if stock is None:
            stock = OfferStock(terms, pool, SoldUnits(self.first_slot))
            self.offers[terms.id] = pool.offers[terms.id] = stock
        else:
            self._unlist(stock)
            stock.terms, stock.free_bits, stock.least = terms, None, ()
            stock.tariffs.clear()
        self._list(stock)
        return stock

    def claim(self, claim: Claim) -> None:
        """Count units as sold."""
        self._add(claim, claim.units)

    def unclaim(self, claim: Claim) -> None:
        """Take a claim back that nobody saw."""
        self._add(claim, -claim.units)

    def release(self, claim: Claim) -> None:
        """Count units as no longer sold."""
        self._add(claim, -claim.units)
        self._freshen(self.pools[claim.pool])

    def forget_before(self, slot: int) -> None:
        """Let what lies before `slot` go; it becomes the first."""
        self.first_slot = slot
        for pool in self.pools.values():
            pool.sold.forget_before(slot)
        for offer in self.offers.values():
            offer.sold.forget_before(slot)
            offer.free_bits = None

    def in_price_order(
        self, grades: Sequence[int], whole_slots: int
    ) -> Iterable[tuple[ShelfKey, OfferStock]]:
        """Open offers of the grades that are not sold out, by the least they can ask per unit-hour
        for `whole_slots` in a row or more, entry, id.
        """
        length = bisect_right(_SHORTEST, whole_slots) - 1
        return self._shelved([(grade, length) for grade in grades])

    def at_place(
        self, place: Place, grades: Sequence[int]
    ) -> Iterable[tuple[ShelfKey, OfferStock]]:
        """Those of one pool, centre or region, by their lowest price, entry, id."""
        return self._shelved([(grade, place) for grade in grades])

    def free_bits(self, offer: OfferStock) -> int:
        """A bit for each slot from the first: the offer still has its smallest chunk in it."""
        if offer.free_bits is None:
            terms, chunk = offer.terms, chunk_of(offer.terms)
            low, high = max(self.first_slot, terms.start_slot), terms.end_slot
            bits = 0
            if low < high:
                bits = offer.sold.slots_with_at_most(terms.units - chunk, low, high)
                of_pool = offer.pool.terms.units - chunk
                bits &= offer.pool.sold.slots_with_at_most(of_pool, low, high)
            offer.free_bits = bits << (low - self.first_slot)
        return offer.free_bits

    def set_aside(self, offers: Iterable[OfferStock]) -> None:
        """Stop looking at those that have nothing left in any slot, until something comes back."""
        for offer in offers:
            if not self.free_bits(offer):
                self._unlist(offer)

    def _shelved(self, names: Sequence[ShelfName]) -> Iterable[tuple[ShelfKey, OfferStock]]:
        shelves = [shelf for name in names if (shelf := self._shelves.get(name))]
        return shelves[0] if len(shelves) == 1 else _Merged(shelves)

    def _add(self, claim: Claim, units: int) -> None:
        pool = self.pools[claim.pool]
        pool.sold.add(claim.start_slot, claim.end_slot, units)
        self.offers[claim.offer].sold.add(claim.start_slot, claim.end_slot, units)
        for offer in pool.offers.values():
            offer.free_bits = None

    def _freshen(self, pool: PoolStock) -> None:
        for offer in pool.offers.values():
            offer.free_bits = None
            self._list(offer)

    def _list(self, offer: OfferStock) -> None:
        if not offer.listed and offer.terms.open and offer.pool.terms.open:
            offer.listed = True
            for name, key in _shelf_keys(offer):
                insort(self._shelves.setdefault(name, []), (key, offer), key=_key)

    def _unlist(self, offer: OfferStock) -> None:
        if offer.listed:
            offer.listed = False
            for name, key in _shelf_keys(offer):
                shelf = self._shelves[name]
                del shelf[bisect_left(shelf, key, key=_key)]


@dataclass(frozen=True, slots=True)
class _Merged:
    """Several shelves as one, any number of times."""

    shelves: list[Shelf]

    def __iter__(self) -> Iterator[tuple[ShelfKey, OfferStock]]:
        return heapq.merge(*self.shelves, key=_key)


def _shelf_keys(offer: OfferStock) -> Iterator[tuple[ShelfName, ShelfKey]]:
    terms, pool = offer.terms, offer.pool.terms
    if not offer.least:
        offer.least = _least(terms.prices)
    for length, least in enumerate(offer.least):
        yield (pool.grade, length), (least, terms.entry, terms.id)
    lowest = (offer.least[0], terms.entry, terms.id)
    yield (pool.grade, (Placement.SAME_POOL, pool.id)), lowest
    yield (pool.grade, (Placement.SAME_CENTRE, pool.centre)), lowest
    yield (pool.grade, (Placement.SAME_REGION, pool.region)), lowest


@lru_cache(maxsize=4096)
def _least(prices: tuple[int, ...]) -> tuple[int, ...]:
    """For each class of durations: no run of so many slots or more has a lower mean price, in whole
    micro-yuan. A longer run is made up of runs from that length to below twice that, one of which
    is no dearer than the whole.
    """
    if len(prices) == 1:
        return prices * len(_SHORTEST)
    until = list(accumulate(prices * 3, initial=0))
    longest = 2 * _SHORTEST[-1]
    cheapest = [
        min(until[hour + length] - until[hour] for hour in range(SLOTS_PER_DAY))
        for length in range(longest)
    ]
    return tuple(
        min(cheapest[length] // length for length in range(shortest, 2 * shortest))
        for shortest in _SHORTEST
    )


def _key(listed: tuple[ShelfKey, OfferStock]) -> ShelfKey:
    return listed[0]


def _tariff(prices: tuple[int, ...], duration_slots: int) -> Tariff:
    if len(prices) == 1:
        return ((prices[0] * duration_slots * SECONDS_PER_SLOT, ANY_HOUR),)
    hours_by_cost: dict[int, int] = {}
    days, rest = divmod(duration_slots, SLOTS_PER_DAY)
    twice = prices + prices
    for hour in range(SLOTS_PER_DAY):
        cost = (days * sum(prices) + sum(twice[hour : hour + rest])) * SECONDS_PER_SLOT
        hours_by_cost[cost] = hours_by_cost.get(cost, 0) | 1 << hour
    return tuple(sorted(hours_by_cost.items()))
