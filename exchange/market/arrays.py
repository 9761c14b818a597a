"""A book's supply as arrays: what the kernel computes on and everybody else looks at.

A pool and an offer is a row each. By row and slot (from `base` on, the first day of whole words):

- `sold_of_pool`, `sold_of_offer`: units sold, int32;
- `free`: bits in words of 64 slots: offer and pool both still have the offer's smallest chunk.

`shelves` lists the rows of offers of one grade for one class of durations in the order of
(least price, entry, id), in blocks of `BLOCK`. `maybe` is the skip index: for each block and slot
a bit that says whether any of its offers *may* have a run of the class's shortest duration from
there on. It is never too low, so that a block without a bit among an order's starts is passed over
at once; it is lowered when a look into a block was in vain.

What orders wish of a pool is kept once for all orders with the same wishes: `wishes` has a row for
each kind, `ways` what each region says to it (the price of moving a GB, or `NO_WAY`), and `fits` a
bit for each offer that meets it, so that a look at an offer that does not costs next to nothing.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

WORD: Final = 64
BLOCK: Final = 32
NO_WAY: Final = -1
SHORTEST: Final = (1, 2, 4, 8, 24)
"""Classes of durations, each by its shortest: a tariff asks more on average for longer runs."""

POOL: Final = np.dtype(
    [
        ("units", np.int64),
        ("region", np.int64),
        ("green_bp", np.int64),
        ("pue_milli", np.int64),
        ("reliability_bp", np.int64),
        ("first_offer", np.int64),  # NONE, or the first of its offers
    ]
)
OFFER: Final = np.dtype(
    [
        ("pool", np.int64),
        ("provider", np.int64),
        ("chunk", np.int64),
        ("min_duration", np.int64),
        ("max_duration", np.int64),
        ("units", np.int64),
        ("start", np.int64),
        ("end", np.int64),
        ("sibling", np.int64),  # the pool's next offer, or NONE
        ("entry", np.int64, 2),
        ("id", np.uint64, 2),
        ("reclaimable", np.int64),
        ("least", np.int64, len(SHORTEST)),  # micro-yuan per unit-hour, by class of durations
        ("hours", np.int64),  # how many prices: 1, or 24
        ("until", np.int64, 49),  # the sum of the prices before each hour of two days
    ]
)
ORDER: Final = np.dtype(
    [
        ("buyer", np.int64),
        ("entry", np.int64, 2),
        ("units", np.int64),  # that remain
        ("min_units", np.int64),
        ("whole", np.int64),  # all or nothing
        ("first", np.int64),  # start
        ("last", np.int64),
        ("slots", np.int64),
        ("duration", np.int64),  # whole slots
        ("past_s", np.int64),  # of the first slot, which is not charged
        ("shelves", np.int64, 2),
        ("limits", np.int64, 2),  # all-in values
        ("length", np.int64),  # class of durations
        ("wishes", np.int64),  # row
        ("data_milli_gb", np.int64),
    ]
)
WISHES: Final = np.dtype(
    [
        ("min_green_bp", np.int64),
        ("max_pue_milli", np.int64),
        ("min_reliability_bp", np.int64),
        ("reclaimable", np.int64),  # is taken too
    ]
)
PART: Final = np.dtype(
    [
        ("order", np.int64),
        ("offer", np.int64),
        ("start", np.int64),
        ("units", np.int64),
        ("numerator", np.int64),
        ("value", np.int64),
    ]
)
NONE: Final = -1


class Book(NamedTuple):
    """The arrays as they are handed to the kernel, which changes them in place."""

    base: int
    pools: NDArray[Any]
    offers: NDArray[Any]
    sold_of_pool: NDArray[np.int32]
    sold_of_offer: NDArray[np.int32]
    free: NDArray[np.uint64]
    shelves: NDArray[np.int64]
    shelved: NDArray[np.int64]  # how many of each shelf
    maybe: NDArray[np.uint64]  # (shelf, block, word)
    seen: NDArray[np.int64]  # (shelf, block): `claims` when `maybe` was last made
    claims: NDArray[np.int64]  # (1,): made so far
    wishes: NDArray[Any]
    ways: NDArray[np.int64]  # (wishes, region)
    fits: NDArray[np.uint64]  # (wishes, word of offers)


class Arrays:
    """Owns the arrays and lets them grow; `book` is always the current ones."""

    def __init__(self, first_slot: int) -> None:
        base = first_slot // WORD * WORD
        self.pool_count = self.offer_count = self.shelf_count = self.wishes_count = 0
        self.book = Book(
            base=base,
            pools=np.zeros(4, POOL),
            offers=np.zeros(4, OFFER),
            sold_of_pool=np.zeros((4, WORD), np.int32),
            sold_of_offer=np.zeros((4, WORD), np.int32),
            free=np.zeros((4, 1), np.uint64),
            shelves=np.zeros((4, BLOCK), np.int64),
            shelved=np.zeros(4, np.int64),
            maybe=np.zeros((4, 1, 1), np.uint64),
            seen=np.zeros((4, 1), np.int64),
            claims=np.zeros(1, np.int64),
            wishes=np.zeros(4, WISHES),
            ways=np.zeros((4, 1), np.int64),
            fits=np.zeros((4, 1), np.uint64),
        )

    def new_pool(self) -> int:
        """A row for a pool."""
        row, self.pool_count = self.pool_count, self.pool_count + 1
        for name in ("pools", "sold_of_pool"):
            self._grow(name, 0, self.pool_count)
        self.book.pools[row]["first_offer"] = NONE
        return row

    def new_offer(self, pool: int) -> int:
        """A row for an offer of the pool in row `pool`."""
        row, self.offer_count = self.offer_count, self.offer_count + 1
        for name in ("offers", "sold_of_offer", "free"):
            self._grow(name, 0, self.offer_count)
        self._grow("fits", 1, len(self.book.offers) // WORD + 1)
        offer, of_pool = self.book.offers[row], self.book.pools[pool]
        offer["pool"], offer["sibling"] = pool, of_pool["first_offer"]
        of_pool["first_offer"] = row
        return row

    def new_shelf(self) -> int:
        """A row for a shelf."""
        row, self.shelf_count = self.shelf_count, self.shelf_count + 1
        for name in ("shelves", "shelved", "maybe", "seen"):
            self._grow(name, 0, self.shelf_count)
        return row

    def new_wishes(self, facts: tuple[int, int, int, int], prices: list[int]) -> int:
        """A row for wishes (as `WISHES`), with what each region says to them."""
        row, self.wishes_count = self.wishes_count, self.wishes_count + 1
        for name in ("wishes", "ways", "fits"):
            self._grow(name, 0, self.wishes_count)
        self._grow("ways", 1, len(prices))
        self.book.wishes[row] = facts
        self.book.ways[row, : len(prices)] = prices
        return row

    def forget_wishes(self) -> None:
        """Let all rows of wishes go."""
        self.wishes_count = 0

    def fill_shelf(self, shelf: int, rows: list[int]) -> None:
        """List the offers in `rows`, in this order."""
        blocks = -(-len(rows) // BLOCK)
        self._grow("shelves", 1, blocks * BLOCK)
        for name in ("maybe", "seen"):
            self._grow(name, 1, blocks)
        self.book.shelved[shelf] = len(rows)
        self.book.shelves[shelf, : len(rows)] = rows

    def reach(self, end_slot: int) -> None:
        """Have room for slots up to `end_slot`."""
        words = -(-(end_slot - self.book.base) // WORD)
        if words > self.book.free.shape[1]:
            self._grow("free", 1, words)
            self._grow("maybe", 2, self.book.free.shape[1])
            for name in ("sold_of_pool", "sold_of_offer"):
                self._grow(name, 1, self.book.free.shape[1] * WORD)

    def forget_before(self, slot: int) -> None:
        """Drop whole words of slots before `slot`."""
        words = (slot - self.book.base) // WORD
        if words <= 0:
            return
        book = self.book
        self.book = book._replace(
            base=book.base + words * WORD,
            sold_of_pool=_moved(book.sold_of_pool, words * WORD),
            sold_of_offer=_moved(book.sold_of_offer, words * WORD),
            free=_moved(book.free, words),
            maybe=_moved(book.maybe, words),
        )

    def _grow(self, name: str, axis: int, wanted: int) -> None:
        array: NDArray[Any] = getattr(self.book, name)
        have = array.shape[axis]
        if wanted <= have:
            return
        shape = list(array.shape)
        # Rows double, since they come one by one; slots come for all at once.
        shape[axis] = max(wanted, 2 * have) if axis == 0 else wanted
        grown = np.zeros(tuple(shape), array.dtype)
        grown[tuple(slice(0, length) for length in array.shape)] = array
        changed: dict[str, Any] = {name: grown}
        self.book = self.book._replace(**changed)


def _moved(array: NDArray[Any], by: int) -> NDArray[Any]:
    """The array with its last axis moved down by `by`, and nothing where it had nothing."""
    moved = np.zeros_like(array)
    moved[..., : max(array.shape[-1] - by, 0)] = array[..., by:]
    return moved
