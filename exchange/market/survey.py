"""What every offer would be for an order, good or not: the figures that explain counts. Compiled.

Unlike `kernel`, nothing is ranked, skipped or taken.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from exchange.market.kernel import price_at


class Found(NamedTuple):
    """What an offer would be for an order."""

    starts: int  # how many fit the order's window and the offer's
    cheapest: int  # the least price numerator at these
    fair: int  # how many of the starts are within the limit
    start: int  # the cheapest fair one (where none is fair: of all) with a chunk free
    numerator: int  # its price numerator
    free: int  # units free at it; 0: there is none


FOUND = np.dtype([(name, np.int64) for name in Found._fields])


@njit(cache=True)
def look_at(book: Any, order: Any, rows: Any, limits: Any, transport: Any, found: Any) -> None:
    """Fill `found` for the offers in `rows`; `limits` and `transport` are all-in values."""
    for i in range(len(rows)):
        _look(book, order, rows[i], limits[i], transport[i], found[i])


@njit(cache=True)
def _look(book, order, row, limit, transport, found):  # type: ignore[no-untyped-def]
    offer = book.offers[row]
    first, last = max(order.first, offer.start), min(order.last, offer.end - order.slots)
    found.starts, found.fair, found.free = max(last - first + 1, 0), 0, 0
    for start in range(first, last + 1):
        own = price_at(offer, order, start % 24)
        fair = 1000 * own + transport <= limit
        found.cheapest = own if start == first else min(own, found.cheapest)
        if fair and found.fair == 0:
            found.free = 0  # what was found before is not fair
        found.fair += fair
        if (found.fair and not fair) or (found.free and found.numerator <= own):
            continue
        free = _free_units(book, row, start - book.base, order.slots)
        if free >= offer.chunk:
            found.start, found.numerator, found.free = start, own, free


@njit(cache=True)
def _free_units(book, row, low, slots):  # type: ignore[no-untyped-def]
    offer = book.offers[row]
    pool_units = book.pools[offer.pool].units
    free = min(offer.units, pool_units)
    for slot in range(low, low + slots):
        free = min(free, offer.units - book.sold_of_offer[row, slot])
        free = min(free, pool_units - book.sold_of_pool[offer.pool, slot])
    return free
