"""Resting orders of one grade, best limit first."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Final

from exchange.market.terms import Entry

Rung = tuple[int, Entry, int]
"""(minus the limit in micro-yuan per unit-hour, entry, id of the order): smaller is better."""

_BLOCK: Final = 512


class Ladder:
    """A sorted set of rungs in blocks, so that adding one does not move all the others."""

    __slots__ = ("_blocks", "_lasts")

    def __init__(self, rungs: Iterable[Rung] = ()) -> None:
        ordered = sorted(rungs)
        self._blocks = [ordered[i : i + _BLOCK] for i in range(0, len(ordered), _BLOCK)]
        self._lasts = [block[-1] for block in self._blocks]

    def add(self, rung: Rung) -> None:
        """Take a rung in."""
        if not self._blocks:
            self._blocks, self._lasts = [[rung]], [rung]
            return
        at = min(bisect_left(self._lasts, rung), len(self._blocks) - 1)
        block = self._blocks[at]
        insort(block, rung)
        if len(block) > 2 * _BLOCK:
            self._blocks[at : at + 1] = [block[:_BLOCK], block[_BLOCK:]]
            self._lasts[at : at + 1] = [block[_BLOCK - 1], block[-1]]
        else:
            self._lasts[at] = block[-1]

    def discard(self, rung: Rung) -> None:
        """Take a rung out, if it is there."""
        at = bisect_left(self._lasts, rung)
        if at == len(self._blocks):
            return
        block = self._blocks[at]
        position = bisect_left(block, rung)
        if block[position] != rung:
            return
        del block[position]
        if block:
            self._lasts[at] = block[-1]
        else:
            del self._blocks[at], self._lasts[at]

    def __iter__(self) -> Iterator[Rung]:
        """Best first. Rungs may be discarded meanwhile: those already passed."""
        for block in tuple(self._blocks):
            yield from tuple(block)

    def __len__(self) -> int:
        return sum(map(len, self._blocks))
