"""Pools and offers as the engine keeps them: by grade in price order, free slots as bits.

What is sold and free lies in `arrays`, on which the kernel works too: there is no second copy.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from typing import Final, cast

from core.slots import SECONDS_PER_SLOT, SLOTS_PER_DAY
from exchange.market import kernel
from exchange.market.arrays import NONE, SHORTEST, Arrays
from exchange.market.calendar import SoldUnits
from exchange.market.conditions import chunk_of
from exchange.market.terms import Claim, Entry, OfferTerms, Placement, PoolTerms

Tariff = tuple[tuple[int, int], ...]
"""Price numerators of a duration, cheapest first, each with the UTC hours (bits) to start at."""

ANY_HOUR: Final = (1 << SLOTS_PER_DAY) - 1


@dataclass(slots=True, eq=False)
class PoolStock:
    """A pool, what of it is sold, and its offers."""

    terms: PoolTerms
    row: int
    sold: SoldUnits
    offers: dict[int, OfferStock] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class OfferStock:
    """An offer, and what of it is sold."""

    terms: OfferTerms
    pool: PoolStock
    row: int
    sold: SoldUnits
    tariffs: dict[int, Tariff] = field(default_factory=dict)
    least: tuple[int, ...] = ()  # that it can ask, by class of duration (`arrays.SHORTEST`)
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
        self.arrays = Arrays(first_slot)
        self.pools: dict[int, PoolStock] = {}
        self.offers: dict[int, OfferStock] = {}
        self.by_row: list[OfferStock] = []
        self.regions: dict[str, PoolTerms] = {}  # each with a pool that stands there
        self.highest_price = 0  # of any offer there ever was
        self._shelves: dict[ShelfName, Shelf] = {}
        self._shelf_rows: dict[ShelfName, int] = {}
        self._stale: set[ShelfName] = set()
        self._parties: dict[int, int] = {}

    def set_pool(self, terms: PoolTerms) -> PoolStock:
        """Take in a new pool, or new terms of a known one."""
        stock = self.pools.get(terms.id)
        if stock is None:
            row = self.arrays.new_pool()
            stock = PoolStock(terms, row, SoldUnits(self.arrays, "sold_of_pool", row))
            self.pools[terms.id] = stock
        else:
            for offer in stock.offers.values():
                self._unlist(offer)
            stock.terms = terms
        self.regions.setdefault(terms.region, terms)
        row_of_pool = self.arrays.book.pools[stock.row]
        row_of_pool["units"] = terms.units
        row_of_pool["region"] = list(self.regions).index(terms.region)
        row_of_pool["green_bp"] = terms.green_share_bp
        row_of_pool["pue_milli"] = terms.pue_milli
        row_of_pool["reliability_bp"] = terms.reliability_bp
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
            row = self.arrays.new_offer(pool.row)
            stock = OfferStock(terms, pool, row, SoldUnits(self.arrays, "sold_of_offer", row))
            self.offers[terms.id] = pool.offers[terms.id] = stock
            self.by_row.append(stock)
        else:
            self._unlist(stock)
            stock.terms, stock.least = terms, ()
            stock.tariffs.clear()
        self._write(stock)
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
        self.arrays.forget_before(slot)

    def in_price_order(
        self, grades: Sequence[int], whole_slots: int
    ) -> Iterable[tuple[ShelfKey, OfferStock]]:
        """Open offers of the grades that are not sold out, by the least they can ask per unit-hour
        for `whole_slots` in a row or more, entry, id.
        """
        length = length_class(whole_slots)
        return self._shelved([(grade, length) for grade in grades])

    def at_place(
        self, place: Place, grades: Sequence[int]
    ) -> Iterable[tuple[ShelfKey, OfferStock]]:
        """Those of one pool, centre or region, by their lowest price, entry, id."""
        return self._shelved([(grade, place) for grade in grades])

    def free_bits(self, offer: OfferStock) -> int:
        """A bit for each slot from the first: the offer still has its smallest chunk in it."""
        book = self.arrays.book
        words = int.from_bytes(book.free[offer.row].tobytes(), "little")
        return words >> (self.first_slot - book.base)

    def shelf_row(self, grade: int, length: int) -> int:
        """The kernel's shelf of a grade for a class of durations; `NONE`: nothing was offered."""
        return self._shelf_rows.get((grade, length), NONE)

    def party(self, organisation: int) -> int:
        """The kernel's number of a provider; `NONE`: it offers nothing."""
        return self._parties.get(organisation, NONE)

    def freshen_shelves(self) -> None:
        """Bring the kernel's shelves up to date."""
        for name in self._stale:
            rows = [offer.row for _, offer in self._shelves[name]]
            self.arrays.fill_shelf(self._shelf_rows[name], rows)
            shortest = SHORTEST[cast(int, name[1])]
            kernel.sum_up(self.arrays.book, self._shelf_rows[name], shortest)
        self._stale.clear()

    def set_aside(self, offers: Iterable[OfferStock]) -> None:
        """Stop looking at those that have nothing left in any slot, until something comes back."""
        for offer in offers:
            if not self.free_bits(offer):
                self._unlist(offer)

    def _shelved(self, names: Sequence[ShelfName]) -> Iterable[tuple[ShelfKey, OfferStock]]:
        shelves = [shelf for name in names if (shelf := self._shelves.get(name))]
        return shelves[0] if len(shelves) == 1 else _Merged(shelves)

    def _add(self, claim: Claim, units: int) -> None:
        self.arrays.reach(claim.end_slot)
        offer = self.offers[claim.offer]
        kernel.add(self.arrays.book, offer.row, claim.start_slot, claim.end_slot, units)

    def _write(self, offer: OfferStock) -> None:
        """The offer's terms into its row."""
        terms, row = offer.terms, self.arrays.book.offers[offer.row]
        if not offer.least:
            offer.least = _least(terms.prices)
        row["provider"] = self._parties.setdefault(terms.provider, len(self._parties))
        row["entry"] = terms.entry
        row["id"] = terms.id >> 64, terms.id & (1 << 64) - 1
        row["units"], row["chunk"] = terms.units, chunk_of(terms)
        row["start"], row["end"] = terms.start_slot, terms.end_slot
        row["min_duration"] = terms.min_duration_slots
        row["max_duration"] = terms.max_duration_slots
        row["reclaimable"] = terms.reclaimable
        row["least"] = offer.least
        row["hours"] = len(terms.prices)
        row["until"][1 : 2 * len(terms.prices) + 1] = tuple(accumulate(terms.prices * 2))
        self.highest_price = max(self.highest_price, *terms.prices)
        self.arrays.reach(terms.end_slot)
        self._refresh(offer)

    def _refresh(self, offer: OfferStock) -> None:
        book = self.arrays.book
        kernel.judge_offer(book, offer.row, self.arrays.wishes_count)
        book.free[offer.row] = 0
        kernel.refresh(
            book.free,
            book.sold_of_offer,
            book.sold_of_pool,
            book.offers[offer.row],
            offer.pool.terms.units,
            offer.row,
            max(offer.terms.start_slot, self.first_slot) - book.base,
            offer.terms.end_slot - book.base,
        )

    def _freshen(self, pool: PoolStock) -> None:
        for offer in pool.offers.values():
            self._refresh(offer)
            self._list(offer)
            self._stale.update(name for name, _ in _kernel_shelves(offer) if offer.listed)

    def _list(self, offer: OfferStock) -> None:
        if not offer.listed and offer.terms.open and offer.pool.terms.open:
            offer.listed = True
            for name, key in _shelf_keys(offer):
                insort(self._shelves.setdefault(name, []), (key, offer), key=_key)
            for name, _ in _kernel_shelves(offer):
                self._stale.add(name)
                if name not in self._shelf_rows:
                    self._shelf_rows[name] = self.arrays.new_shelf()

    def _unlist(self, offer: OfferStock) -> None:
        if offer.listed:
            offer.listed = False
            for name, key in _shelf_keys(offer):
                shelf = self._shelves[name]
                del shelf[bisect_left(shelf, key, key=_key)]
            # The kernel's shelf must not keep what is closed; what is sold out does no harm there.
            self._stale.update(name for name, _ in _kernel_shelves(offer))


@dataclass(frozen=True, slots=True)
class _Merged:
    """Several shelves as one, any number of times."""

    shelves: list[Shelf]

    def __iter__(self) -> Iterator[tuple[ShelfKey, OfferStock]]:
        return heapq.merge(*self.shelves, key=_key)


def _shelf_keys(offer: OfferStock) -> Iterator[tuple[ShelfName, ShelfKey]]:
    terms, pool = offer.terms, offer.pool.terms
    yield from _kernel_shelves(offer)
    lowest = (offer.least[0], terms.entry, terms.id)
    yield (pool.grade, (Placement.SAME_POOL, pool.id)), lowest
    yield (pool.grade, (Placement.SAME_CENTRE, pool.centre)), lowest
    yield (pool.grade, (Placement.SAME_REGION, pool.region)), lowest


def _kernel_shelves(offer: OfferStock) -> Iterator[tuple[ShelfName, ShelfKey]]:
    grade, terms = offer.pool.terms.grade, offer.terms
    for length, least in enumerate(offer.least):
        yield (grade, length), (least, terms.entry, terms.id)


def length_class(whole_slots: int) -> int:
    """The class of durations that `whole_slots` in a row belong to."""
    return bisect_right(SHORTEST, whole_slots) - 1


@lru_cache(maxsize=4096)
def _least(prices: tuple[int, ...]) -> tuple[int, ...]:
    """For each class of durations: no run of so many slots or more has a lower mean price, in whole
    micro-yuan. A longer run is made up of runs from that length to below twice that, one of which
    is no dearer than the whole.
    """
    if len(prices) == 1:
        return prices * len(SHORTEST)
    until = list(accumulate(prices * 3, initial=0))
    longest = 2 * SHORTEST[-1]
    cheapest = [
        min(until[hour + length] - until[hour] for hour in range(SLOTS_PER_DAY))
        for length in range(longest)
    ]
    return tuple(
        min(cheapest[length] // length for length in range(shortest, 2 * shortest))
        for shortest in SHORTEST
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
