"""A day as all mechanisms get it, and what one of them makes of it. Plain data.

Money is whole micro-yuan, quantity whole units, slots are hours since the epoch, instants are whole
seconds since the epoch; what ends in `at_s` counts from the day's first slot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from core.slots import SECONDS_PER_SLOT
from exchange.market.terms import OfferTerms, OrderTerms, PoolTerms

HOURS: Final = 24
FIRST_SLOT: Final = 20_000 * HOURS  # a midnight; which one does not matter


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """An offer, and when its provider puts it up. Its price is taken as the provider's cost."""

    terms: OfferTerms
    at_s: int = 0

    @property
    def price_micro(self) -> int:
        """What it asks for a unit-hour."""
        return self.terms.prices[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An order, and when its buyer places it. Its limit is taken as the buyer's value."""

    order: OrderTerms
    at_s: int
    resource_class: str
    deferrable: bool = False  # known the day before, so that it may go to an auction

    @property
    def value_micro(self) -> int:
        """What a unit-hour is worth to the buyer, whatever the grade."""
        return self.order.limits[0][1]

    @property
    def unit_hours(self) -> int:
        """How much it asks for."""
        return self.order.units * self.order.duration_slots


@dataclass(frozen=True)
class Day:
    """Pools, offers and orders; orders by the time at which they are placed."""

    pools: tuple[PoolTerms, ...]
    offers: tuple[Offered, ...]
    wanted: tuple[Wanted, ...]
    grades: Mapping[int, str]  # names of the grades, class first: `intelligent.t4`
    first_slot: int = FIRST_SLOT

    @property
    def starts_s(self) -> int:
        """The instant at which it begins."""
        return self.first_slot * SECONDS_PER_SLOT

    @property
    def end_slot(self) -> int:
        """The slot after its last one."""
        return self.first_slot + HOURS

    @cached_property
    def class_of_pool(self) -> dict[int, str]:
        """The resource class of each pool."""
        return {pool.id: self.grades[pool.grade].partition(".")[0] for pool in self.pools}

    @cached_property
    def units_by_class(self) -> dict[str, int]:
        """How many units all pools of a class have together."""
        units: dict[str, int] = {}
        for pool in self.pools:
            resource_class = self.class_of_pool[pool.id]
            units[resource_class] = units.get(resource_class, 0) + pool.units
        return units


@dataclass(frozen=True, slots=True)
class Deal:
    """What a buyer got: units over `[start, end)`, and what is paid for all of it."""

    order: int
    units: int
    start_slot: int
    end_slot: int
    paid_micro: int

    @property
    def unit_hours(self) -> int:
        """Units x slots."""
        return self.units * (self.end_slot - self.start_slot)


@dataclass(frozen=True, slots=True)
class Sale:
    """What a provider sold: what is received for all of it, and what it asked at least."""

    offer: int
    pool: int
    units: int
    start_slot: int
    end_slot: int
    received_micro: int
    asked_micro: int


@dataclass
class Result:
    """What a mechanism made of the day."""

    mechanism: str
    deals: list[Deal] = field(default_factory=list)
    sales: list[Sale] = field(default_factory=list)
    # Of each order that was not filled at once: the test at which the offer failed that came
    # furthest, in explain's words. Orders that were filled later are in it too.
    refusals: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0
    notes: dict[str, object] = field(default_factory=dict)  # of the auction
