"""What is sold of one pool or offer in each slot, in the forms in which the engine asks for it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_GROWTH_SLOTS: Final = 256


class SoldUnits:
    """Units sold by slot from a first slot on. Slots before it are past and not kept."""

    __slots__ = ("_first", "_units")

    def __init__(self, first_slot: int) -> None:
        self._first = first_slot
        self._units: NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, start: int, end: int, units: int) -> None:
        """Count `units` more (or fewer, below zero) as sold in the slots `[start, end)`."""
        low, high = max(start - self._first, 0), end - self._first
        if high <= low:
            return
        missing = high - len(self._units)
        if missing > 0:
            grown = -(-missing // _GROWTH_SLOTS) * _GROWTH_SLOTS
            self._units = np.concatenate((self._units, np.zeros(grown, np.int64)))
        self._units[low:high] += units

    def most(self, start: int, end: int) -> int:
        """The most units sold in any slot of `[start, end)`."""
        within = self._units[start - self._first : end - self._first]
        most = int(within.max()) if len(within) else 0
        return most if len(within) == end - start else max(most, 0)

    def most_by_start(self, first_start: int, starts: int, length: int) -> NDArray[np.int64]:
        """For each of `starts` slots from `first_start` on: the most sold in `length` slots."""
        low, wanted = first_start - self._first, starts + length - 1
        most = self._units[low : low + wanted]
        if len(most) < wanted:
            most = np.concatenate((most, np.zeros(wanted - len(most), np.int64)))
        have = 1
        while have < length:
            step = min(have, length - have)
            most = np.maximum(most[:-step], most[step:])
            have += step
        return most

    def slots_with_at_most(self, bound: int, start: int, end: int) -> int:
        """A bit for each slot of `[start, end)`, the first lowest: at most `bound` sold in it."""
        within = self._units[start - self._first : end - self._first]
        packed = np.packbits(within <= bound, bitorder="little")
        bits = int.from_bytes(packed.tobytes(), "little")
        if bound >= 0 and len(within) < end - start:
            bits |= (1 << (end - start)) - (1 << len(within))
        return bits

    def forget_before(self, slot: int) -> None:
        """Drop what lies before `slot`, which becomes the first."""
        self._units = self._units[max(slot - self._first, 0) :].copy()
        self._first = max(slot, self._first)


def runs(bits: int, length: int) -> int:
    """The bits from which on `length` bits in a row are set: the possible starts."""
    have = 1
    while have < length and bits:
        step = min(have, length - have)
        bits &= bits >> step
        have += step
    return bits
