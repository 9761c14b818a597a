"""Which pools deliver what an auction cleared: consecutive slots of an order in one pool.

Deterministic: orders in the order of their ids, each cut into the longest runs of slots with the
most units, each run given to the pool that can take all of it and has least to spare. Only where
no pool can take a run whole is it cut: first into fewer units, then into fewer slots.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


class NotEnoughCapacity(ValueError):
    """The pools together have less in a slot than was cleared; names the slot."""

    def __init__(self, slot: int) -> None:
        super().__init__(f"more was cleared in slot {slot} than the pools have")
        self.slot = slot


@dataclass(frozen=True, slots=True)
class Cleared:
    """What an order got in a zone and grade: units by slot."""

    id: str
    units_by_slot: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Share:
    """`units` of an order in `[start, end)` from one pool."""

    order: str
    pool: str
    start: int
    end: int
    units: int


def assign(
    cleared: Iterable[Cleared], capacity: Mapping[str, Mapping[int, int]]
) -> tuple[Share, ...]:
    """Assign all that was cleared to pools with `capacity` in units by slot.

    Raises NotEnoughCapacity where the pools together have too little in a slot; as long as they
    have enough, everything finds a place, if need be one slot and unit here and another there.
    """
    free = {pool: defaultdict(int, by_slot) for pool, by_slot in sorted(capacity.items())}
    shares: list[Share] = []
    for order in sorted(cleared, key=lambda c: c.id):
        left = {slot: units for slot, units in sorted(order.units_by_slot.items()) if units}
        while left:
            start, end = _first_run(left)
            units = min(left[slot] for slot in range(start, end))
            share = _best(order.id, free, start, end, units)
            for slot in range(share.start, share.end):
                free[share.pool][slot] -= share.units
                left[slot] -= share.units
                if not left[slot]:
                    del left[slot]
            shares.append(share)
    return tuple(sorted(shares, key=lambda s: (s.order, s.start, s.pool, s.end)))


def _first_run(left: Mapping[int, int]) -> tuple[int, int]:
    start = end = min(left)
    while end in left:
        end += 1
    return start, end


def _best(
    order: str, free: Mapping[str, Mapping[int, int]], start: int, end: int, units: int
) -> Share:
    """The longest part of a run from its start that a pool can take, and the most units of it."""
    for stop in range(end, start, -1):
        room = {pool: min(has[slot] for slot in range(start, stop)) for pool, has in free.items()}
        whole = [pool for pool in room if room[pool] >= units]
        if whole:
            return Share(order, min(whole, key=lambda p: (room[p], p)), start, stop, units)
        most = max(room.values(), default=0)
        if most > 0:
            pool = min(pool for pool in room if room[pool] == most)
            return Share(order, pool, start, stop, most)
    raise NotEnoughCapacity(start)
