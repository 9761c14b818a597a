"""The reference price of a grade in a region for one hour. Pure.

Volume is in unit-seconds (units x seconds of delivery bought), money in micro-yuan for the whole
trade; prices are micro-yuan per unit-hour.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.money import Rounding, divide
from core.slots import SECONDS_PER_SLOT, SLOTS_PER_DAY

CARRIED_SLOTS: Final = 7 * SLOTS_PER_DAY
"""How many hours after it was made a price is still carried."""


@dataclass(frozen=True, slots=True)
class PairVolume:
    """What one organisation sold another of a grade in a region in the hour."""

    buyer: UUID
    seller: UUID
    unit_seconds: int
    compute_micro: int
    trades: int


@dataclass(frozen=True, slots=True)
class Volume:
    """What counts of an hour."""

    unit_seconds: int = 0
    compute_micro: int = 0
    trades: int = 0


@dataclass(frozen=True, slots=True)
class Price:
    """A reference price and the hour in which it was made."""

    price_micro: int
    slot: int


def counted(pairs: Iterable[PairVolume]) -> Volume:
    """The sum over the pairs but round trips: two that sold one another in the same hour."""
    found = list(pairs)
    directions = {(pair.seller, pair.buyer) for pair in found}
    fair = [pair for pair in found if (pair.buyer, pair.seller) not in directions]
    return Volume(
        sum(pair.unit_seconds for pair in fair),
        sum(pair.compute_micro for pair in fair),
        sum(pair.trades for pair in fair),
    )


def price_of(
    volume: Volume, *, slot: int, before: Price | None, min_unit_seconds: int
) -> Price | None:
    """The price of the hour ``slot``: volume-weighted where enough was traded, else carried.

    ``before`` is that of the hour before. None where there is nothing, or only what is too old.
    """
    if volume.compute_micro and volume.unit_seconds >= max(min_unit_seconds, 1):
        paid = volume.compute_micro * SECONDS_PER_SLOT
        mean = divide(paid, volume.unit_seconds, Rounding.HALF_EVEN)
        return Price(max(mean, 1), slot)
    if before is not None and slot - before.slot <= CARRIED_SLOTS:
        return before
    return None
