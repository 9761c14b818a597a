"""The opponent of `market.engine_vs_numpy`: a scan of all offers for each order, in NumPy.

Written as one would who knows NumPy and the rules of `anywhere` orders without a ceiling: columns
of offers in the order of (entry, id), all filters as masks, free units and prices as matrices of
offers by starts, the minimum over a run of slots by doubling, and only offers that passed one step
looked at in the next. What depends on neither slot nor stock (what a region says to an order's
wishes) is remembered, as the engine does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from exchange.market import conditions
from exchange.market.terms import Network, OfferTerms, OrderTerms, PoolTerms

Assignment = tuple[int, int, int, int, int]
"""(order, offer, start, units, price numerator)"""

_REGIONAL = [test for name, test in conditions.TESTS if name in ("region", "rtt", "path")]
_NOT = np.iinfo(np.int64).max


class NumpyScan:
    """Pools and offers as columns, what is sold as matrices by slot."""

    def __init__(
        self,
        network: Network,
        pools: Sequence[PoolTerms],
        offers: Sequence[OfferTerms],
        first_slot: int,
        slots: int,
    ) -> None:
        self.network, self.first_slot = network, first_slot
        offers = sorted(offers, key=lambda offer: (offer.entry, offer.id))
        rows = {pool.id: row for row, pool in enumerate(pools)}
        stands = [pools[rows[offer.pool]] for offer in offers]
        self.offers, self.pools = offers, stands
        self.regions = {
            pool.region: (offer, pool) for offer, pool in zip(offers, stands, strict=True)
        }
        codes = list(self.regions)

        def column(values) -> np.ndarray:
            return np.array(list(values), np.int64)

        self.pool = column(rows[offer.pool] for offer in offers)
        self.region = column(codes.index(pool.region) for pool in stands)
        self.grade = column(pool.grade for pool in stands)
        self.provider = column(offer.provider for offer in offers)
        self.green = column(pool.green_share_bp for pool in stands)
        self.pue = column(pool.pue_milli for pool in stands)
        self.reliability = column(pool.reliability_bp for pool in stands)
        self.reclaimable = np.array([offer.reclaimable for offer in offers])
        self.shortest = column(offer.min_duration_slots for offer in offers)
        self.longest = column(offer.max_duration_slots for offer in offers)
        self.chunk = column(offer.min_chunk_units for offer in offers)
        self.start = column(offer.start_slot for offer in offers)
        self.end = column(offer.end_slot for offer in offers)
        self.units = column(offer.units for offer in offers)
        self.pool_units = column(pool.units for pool in pools)
        prices = np.array([(offer.prices * 24)[:24] for offer in offers])
        self.prices = prices
        # The sum of prices over the slots before each, over three days and any number of them.
        twice = np.concatenate((prices, prices), axis=1)
        self.until = np.concatenate((np.zeros((len(offers), 1), np.int64), twice.cumsum(1)), 1)
        self.daily = prices.sum(1)
        self.sold_of_offer = np.zeros((len(offers), slots), np.int64)
        self.sold_of_pool = np.zeros((len(pools), slots), np.int64)
        self._ways: dict[tuple[object, ...], np.ndarray] = {}

    def decide(self, orders: Sequence[OrderTerms], now_s: int) -> list[Assignment]:
        """What the orders take, one after another."""
        return [taken for order in orders for taken in self._decide(order, now_s)]

    def _decide(self, order: OrderTerms, now_s: int) -> list[Assignment]:
        starts = conditions.starts(order, now_s)
        if not starts:
            return []
        limit = np.full(len(self.offers), -1, np.int64)
        seconds = conditions.seconds_taken(order, now_s)
        for grade, limit_micro in order.limits:
            limit[self.grade == grade] = conditions.limit_value(limit_micro, seconds)
        way = self._way(order)[self.region]
        fits = (
            (limit >= 0)
            & (way >= 0)
            & (self.provider != order.buyer)
            & (self.green >= order.min_green_share_bp)
            & (self.reliability >= order.min_reliability_bp)
            & (self.shortest <= order.duration_slots)
            & (self.longest >= order.duration_slots)
            & (self.chunk <= order.remaining_units)
        )
        if order.max_pue_milli is not None:
            fits &= self.pue <= order.max_pue_milli
        if not order.accept_reclaimable:
            fits &= ~self.reclaimable
        rows = np.flatnonzero(fits)
        slots = conditions.slots_taken(order)
        own = self._own(rows, starts, slots, now_s % 3600 if order.on_demand else 0)
        value = 1000 * own + 3600 * order.data_milli_gb * way[rows, None]
        at = np.arange(starts.start, starts.stop)
        ok = (value <= limit[rows, None]) & (at >= self.start[rows, None])
        ok &= at + slots <= self.end[rows, None]
        some = ok.any(1)
        rows, own, value, ok = rows[some], own[some], value[some], ok[some]
        if not len(rows):
            return []
        value[~ok | (self._free(rows, starts, slots) < self.chunk[rows, None])] = _NOT
        goal = order.remaining_units
        taken = self._walk(order, rows, own, value, starts, slots, goal)
        units = sum(part[3] for part in taken)
        second = conditions.second_goal(order, units)
        if second:
            self._give_back(taken, slots)
            taken = self._walk(order, rows, own, value, starts, slots, second)
            units = sum(part[3] for part in taken)
        if not conditions.acceptable(order, units):
            self._give_back(taken, slots)
            return []
        return [
            (order.id, self.offers[row].id, start, units, numerator)
            for _, row, start, units, numerator in taken
        ]

    def _walk(  # noqa: PLR0917
        self, order, rows, own, value, starts, slots, goal
    ) -> list[Assignment]:
        value = value.copy()
        taken = []
        while goal:
            best = int(value.argmin())  # of equals the first: offers by (entry, id), then starts
            i, j = divmod(best, len(starts))
            if value[i, j] == _NOT:
                break
            value[i, j] = _NOT
            row, start = int(rows[i]), starts[j]
            low = start - self.first_slot
            free = min(
                self.units[row] - self.sold_of_offer[row, low : low + slots].max(),
                self.pool_units[self.pool[row]]
                - self.sold_of_pool[self.pool[row], low : low + slots].max(),
            )
            units = int(conditions.largest_take(goal, free, self.chunk[row]))
            if units:
                taken.append((order.id, row, start, units, int(own[i, j])))
                self._add(row, low, slots, units)
                goal -= units
        return taken

    def _give_back(self, taken: list[Assignment], slots: int) -> None:
        for _, row, start, units, _ in taken:
            self._add(row, start - self.first_slot, slots, -units)

    def _add(self, row: int, low: int, slots: int, units: int) -> None:
        self.sold_of_offer[row, low : low + slots] += units
        self.sold_of_pool[self.pool[row], low : low + slots] += units

    def _own(self, rows: np.ndarray, starts: range, slots: int, past_s: int) -> np.ndarray:
        """Price numerators by offer and start: one for each hour of the day, spread over starts."""
        days, rest = divmod(slots, 24)
        by_hour = self.until[rows, rest : rest + 24] - self.until[rows, :24]
        by_hour = (by_hour + days * self.daily[rows, None]) * 3600
        if past_s:
            by_hour = by_hour - self.prices[rows] * past_s
        return by_hour[:, np.arange(starts.start, starts.stop) % 24]

    def _free(self, rows: np.ndarray, starts: range, slots: int) -> np.ndarray:
        low = starts.start - self.first_slot
        window = slice(low, low + len(starts) + slots - 1)
        pools = self.pool[rows]
        free = np.minimum(
            self.units[rows, None] - self.sold_of_offer[rows, window],
            self.pool_units[pools, None] - self.sold_of_pool[pools, window],
        )
        have = 1
        while have < slots:
            step = min(have, slots - have)
            free = np.minimum(free[:, :-step], free[:, step:])
            have += step
        return free

    def _way(self, order: OrderTerms) -> np.ndarray:
        wishes = (
            order.regions_allowed,
            order.regions_excluded,
            order.rtt_region,
            order.max_rtt_us,
            order.data_region if order.data_milli_gb else None,
        )
        way = self._ways.get(wishes)
        if way is None:
            way = np.array([self._judge(order, *known) for known in self.regions.values()])
            self._ways[wishes] = way
        return way

    def _judge(self, order: OrderTerms, offer: OfferTerms, pool: PoolTerms) -> int:
        if not all(test(order, offer, pool, self.network) for test in _REGIONAL):
            return -1
        path = conditions.data_path(order, pool.region, self.network)
        return -1 if path is None else path.price_micro_per_gb
