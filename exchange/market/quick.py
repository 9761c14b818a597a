"""Which orders the kernel answers, and their terms as its numbers.

It answers `anywhere` orders of one or two grades without a ceiling, which are most; `walk` and
`together` answer all others, and give the same. `kernel` computes with 64 bits, so an order whose
all-in values could be larger is left to them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from core.slots import SECONDS_PER_SLOT
from exchange.market import conditions, kernel
from exchange.market.arrays import NO_WAY, NONE, ORDER, PART
from exchange.market.conditions import NO_PATH_NEEDED
from exchange.market.journal import fill_of
from exchange.market.search import Part, Plan
from exchange.market.supply import OfferStock, Supply, length_class
from exchange.market.survey import FOUND, look_at
from exchange.market.terms import (
    Fill,
    Network,
    OfferTerms,
    OrderTerms,
    PathTerms,
    Placement,
    PoolTerms,
    TimeInForce,
)
from exchange.topology.paths import Network as Links

ANSWERED_TESTS: Final = {
    "grade",
    "open",
    "self_trade",
    "region",
    "rtt",
    "path",
    "green",
    "pue",
    "reliability",
    "reclaimable",
    "duration",
    "chunk",
    "placement",
}
"""The named tests that the kernel knows; a new one must come here or be left to `walk`."""

_REGIONAL: Final = tuple(
    test for name, test in conditions.TESTS if name in ("region", "rtt", "path")
)
_ANY_OFFER: Final = OfferTerms(
    id=0, pool=0, provider=0, entry=(0, 0), units=0, start_slot=0, end_slot=0, prices=(0,)
)
_BYTES_OF_WISHES: Final = 2**25  # what bits of `fits` may take before they are forgotten
_MOST: Final = 2**61  # of any all-in value, and of what transport adds to it
_NO_PUE: Final = 2**31
_PARTS: Final = 4096

Taken = tuple[int, int, int, int, int, int]
"""(order's place in the run, offer's row, start, units, price numerator, all-in value)."""


class Quick:
    """Answers orders of one supply by the kernel."""

    def __init__(self, supply: Supply, network: Network) -> None:
        self._supply = supply
        self._network = network
        self._wishes: dict[tuple[object, ...], int] = {}
        self._regions = 0
        self._dearest: list[int] = []
        self._parts: NDArray[Any] = np.zeros(_PARTS, PART)

    def answers(self, order: OrderTerms) -> bool:
        """Whether the order is one for the kernel."""
        if order.placement is not Placement.ANYWHERE or order.max_cost_micro is not None:
            return False
        limits = order.limits
        if len(limits) != 1 and (len(limits) != 2 or limits[0][0] == limits[1][0]):
            return False
        return self._fits_64_bits(order)

    def _fits_64_bits(self, order: OrderTerms) -> bool:
        """Whether the kernel can count with the order's values."""
        seconds = SECONDS_PER_SLOT * (order.duration_slots + 1)
        highest = max(self._supply.highest_price, *(limit for _, limit in order.limits))
        if 1000 * seconds * highest >= _MOST:
            return False
        data = order.data_milli_gb
        return not data or 3600 * data * self._dearest[self._wishes_of(order)] < _MOST

    def plan(self, order: OrderTerms, now_s: int) -> Plan:
        """What the order would take now, claiming nothing."""
        plan = []
        for _, row, start, units, numerator, value in self._decide([order], now_s, keep=False):
            offer = self._supply.by_row[row]
            plan.append(Part(offer, start, units, numerator, self._path(order, offer), value))
        return plan

    def units_of_each(self, orders: Sequence[OrderTerms], now_s: int) -> list[int]:
        """How many units each order would take now by itself, claiming nothing."""
        units = [0] * len(orders)
        for place, _, _, taken, _, _ in self._decide(orders, now_s, keep=False):
            units[place] += taken
        return units

    def survey(
        self, order: OrderTerms, offers: Sequence[OfferStock], now_s: int
    ) -> NDArray[Any] | None:
        """`survey.FOUND` for each offer; None where 64 bits may not hold the figures."""
        if not self._fits_64_bits(order):
            return None
        seconds = conditions.seconds_taken(order, now_s)
        limits = {
            grade: conditions.limit_value(limit_micro, seconds)
            for grade, limit_micro in reversed(order.limits)
        }
        row = np.array([self._row(order, now_s)], ORDER)[0]
        found = np.zeros(len(offers), FOUND)
        look_at(
            self._supply.arrays.book,
            row,
            np.array([offer.row for offer in offers], np.int64),
            np.array([limits[offer.pool.terms.grade] for offer in offers], np.int64),
            np.array([self._transport(order, offer) for offer in offers], np.int64),
            found,
        )
        return found

    def _transport(self, order: OrderTerms, offer: OfferStock) -> int:
        path = conditions.data_path(order, offer.pool.terms.region, self._network)
        nano = 0 if path is None else order.data_milli_gb * path.price_micro_per_gb
        return SECONDS_PER_SLOT * nano

    def claim(self, run: Sequence[tuple[int, OrderTerms]], now_s: int) -> list[list[Fill]]:
        """The fills of orders, each with its event's index, one after another; claimed."""
        fills: list[list[Fill]] = [[] for _ in run]
        by_row = self._supply.by_row
        taken = self._decide([order for _, order in run], now_s, keep=True)
        for place, row, start, units, numerator, _ in taken:
            index, order = run[place]
            offer = by_row[row]
            fills[place].append(
                fill_of(
                    order,
                    offer.terms,
                    offer.pool.terms,
                    start=start,
                    units=units,
                    numerator=numerator,
                    path=self._path(order, offer) if order.data_milli_gb else NO_PATH_NEEDED,
                    now_s=now_s,
                    event_index=index,
                )
            )
        return fills

    def _path(self, order: OrderTerms, offer: OfferStock) -> PathTerms:
        path = conditions.data_path(order, offer.pool.terms.region, self._network)
        assert path is not None, "the offer fits"
        return path

    def _decide(self, orders: Sequence[OrderTerms], now_s: int, *, keep: bool) -> list[Taken]:
        if len(self._wishes) > self._most_wishes() or self._regions < len(self._supply.regions):
            self._forget_wishes()
        rows = np.array([self._row(order, now_s) for order in orders], ORDER)
        self._supply.freshen_shelves()
        book = self._supply.arrays.book
        taken: list[Taken] = []
        done = 0
        while True:
            now_done, count = kernel.decide(book, rows, self._parts, done, keep)
            taken += self._parts[:count].tolist()
            if now_done == len(orders):
                return taken
            if now_done == done:  # one order by itself takes more
                self._parts = np.zeros(2 * len(self._parts), PART)
            done = now_done

    def _row(self, order: OrderTerms, now_s: int) -> tuple[object, ...]:
        starts = conditions.starts(order, now_s)
        slots = conditions.slots_taken(order)
        seconds = conditions.seconds_taken(order, now_s)
        length = length_class(1 if order.on_demand else order.duration_slots)
        shelf_row = self._supply.shelf_row
        (grade, limit_micro), (other, other_micro) = order.limits[0], order.limits[-1]
        return (
            self._supply.party(order.buyer),
            order.entry,
            order.remaining_units,
            order.min_units,
            order.time_in_force is TimeInForce.FOK,
            starts.start,
            starts.stop - 1,
            slots,
            order.duration_slots,
            slots * SECONDS_PER_SLOT - seconds,
            (
                shelf_row(grade, length) if starts else NONE,
                shelf_row(other, length) if starts and other != grade else NONE,
            ),
            (
                conditions.limit_value(limit_micro, seconds),
                conditions.limit_value(other_micro, seconds),
            ),
            length,
            self._wishes_of(order),
            order.data_milli_gb,
        )

    def _most_wishes(self) -> int:
        return _BYTES_OF_WISHES * 8 // max(self._supply.arrays.offer_count, 1)

    def _wishes_of(self, order: OrderTerms) -> int:
        """The row of the order's wishes."""
        wishes = (
            order.regions_allowed,
            order.regions_excluded,
            order.rtt_region,
            order.max_rtt_us,
            order.data_region if order.data_milli_gb else None,
            order.min_green_share_bp,
            order.max_pue_milli,
            order.min_reliability_bp,
            order.accept_reclaimable,
        )
        row = self._wishes.get(wishes)
        return self._new_wishes(order, wishes) if row is None else row

    def _new_wishes(self, order: OrderTerms, wishes: tuple[object, ...]) -> int:
        arrays = self._supply.arrays
        prices = [self._price(order, pool) for pool in self._supply.regions.values()]
        pue = order.max_pue_milli
        facts = (
            order.min_green_share_bp,
            _NO_PUE if pue is None else pue,
            order.min_reliability_bp,
            int(order.accept_reclaimable),
        )
        row = self._wishes[wishes] = arrays.new_wishes(facts, prices)
        self._dearest.append(max(prices, default=0))
        kernel.judge_wishes(arrays.book, row, arrays.offer_count)
        return row

    def _price(self, order: OrderTerms, pool: PoolTerms) -> int:
        """What a GB of the order's data costs on its way to the pool's region, or `NO_WAY`."""
        if all(test(order, _ANY_OFFER, pool, self._network) for test in _REGIONAL):
            path = conditions.data_path(order, pool.region, self._network)
            return NO_WAY if path is None else path.price_micro_per_gb
        return NO_WAY

    def _forget_wishes(self) -> None:
        self._regions = len(self._supply.regions)
        self._wishes.clear()
        self._dearest.clear()
        self._supply.arrays.forget_wishes()


def warm_up() -> None:
    """Have the kernel compiled, or read from the compiler's cache, by deciding one order."""
    supply = Supply(0)
    supply.set_pool(PoolTerms(id=1, provider=1, centre=1, region="", grade=1, units=1))
    supply.set_offer(replace(_ANY_OFFER, pool=1, units=1, end_slot=1))
    order = OrderTerms(
        id=1,
        buyer=2,
        entry=(1, 0),
        limits=((1, 1),),
        units=1,
        remaining_units=1,
        duration_slots=1,
        earliest_slot=0,
        latest_slot=1,
    )
    assert Quick(supply, Links(())).plan(order, 0)
