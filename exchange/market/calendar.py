"""What is sold of one pool or offer in each slot, in the forms in which the engine asks for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exchange.market.arrays import Arrays


class SoldUnits:
    """Units sold of one pool or offer by slot: a row of the book's arrays."""

    __slots__ = ("_arrays", "_name", "_row")

    def __init__(self, arrays: Arrays, name: str, row: int) -> None:
        self._arrays, self._name, self._row = arrays, name, row

    def most(self, start: int, end: int) -> int:
        """The most units sold in any slot of `[start, end)`; past ones are not known."""
        units, first = self._units()
        within = units[start - first : end - first]
        most = int(within.max()) if len(within) else 0
        return most if len(within) == end - start else max(most, 0)

    def most_by_start(self, first_start: int, starts: int, length: int) -> NDArray[np.int32]:
        """For each of `starts` slots from `first_start` on: the most sold in `length` slots."""
        units, first = self._units()
        low, wanted = first_start - first, starts + length - 1
        most = units[low : low + wanted]
        if len(most) < wanted:
            most = np.concatenate((most, np.zeros(wanted - len(most), np.int32)))
        have = 1
        while have < length:
            step = min(have, length - have)
            most = np.maximum(most[:-step], most[step:])
            have += step
        return most

    def _units(self) -> tuple[NDArray[np.int32], int]:
        book = self._arrays.book
        units: NDArray[np.int32] = getattr(book, self._name)[self._row]
        return units, book.base


def runs(bits: int, length: int) -> int:
    """The bits from which on `length` bits in a row are set: the possible starts."""
    have = 1
    while have < length and bits:
        step = min(have, length - have)
        bits &= bits >> step
        have += step
    return bits
