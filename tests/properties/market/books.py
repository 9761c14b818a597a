"""Small random books, drawn to collide: few grades, places and prices, scarce units, odd chunks.

A `Maker` draws from any `random.Random`: a seeded one, or one of Hypothesis's, which shrinks.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from exchange.market.terms import (
    BatchResult,
    CapacityReleased,
    ClockTicked,
    Entry,
    Event,
    Fill,
    OfferChanged,
    OfferClosed,
    OfferEntered,
    OfferOpened,
    OfferTerms,
    OrderAmended,
    OrderCancelled,
    OrderEntered,
    OrderExpired,
    OrderTerms,
    Placement,
    PoolChanged,
    PoolTerms,
    TimeInForce,
    TradingHalted,
    TradingResumed,
)
from exchange.topology.paths import LinkTerms, Network

REGIONS = ("zhengzhou", "luoyang", "hebi")
SLOT = 1_000  # in which every story begins
YUAN = 1_000_000
LATER_THAN_ALL: Entry = (10**6, 0)


class Maker:
    """Draws the parts of a story about one book."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.network = self._network()
        self.pools = {i: self.pool(i) for i in range(1, 2 + random.randrange(5))}
        self.offers: dict[int, OfferTerms] = {}
        for i in range(random.randrange(6)):
            self._keep(self.offer(10 + i, (0, i)))
        self.now_s = SLOT * 3600 + self.one_of(0, 1_234, 3_599)
        self._orders = 100
        self.made: dict[int, OrderTerms] = {}
        self._releasable: list[Fill] = []

    def one_of(self, *values):
        return values[self.random.randrange(len(values))]

    def some(self, low: int, high: int) -> int:
        return low + self.random.randrange(high - low + 1)

    def pool(self, id_: int) -> PoolTerms:
        return PoolTerms(
            id=id_,
            provider=self.some(1, 3),
            centre=self.some(1, 3),
            region=self.one_of(*REGIONS),
            grade=self.one_of(1, 1, 2),
            units=self.some(0, 12),
            green_share_bp=self.one_of(0, 5_000),
            pue_milli=self.one_of(1_200, 1_500),
            reliability_bp=self.one_of(9_000, 9_990),
            open=self.one_of(*[True] * 9, False),
        )

    def offer(self, id_: int, entry: Entry, pool: PoolTerms | None = None) -> OfferTerms:
        pool = pool or self.one_of(*self.pools.values())
        start = SLOT + self.some(-3, 5)
        hours = self.one_of(1, 1, 24)
        return OfferTerms(
            id=id_,
            pool=pool.id,
            provider=pool.provider,
            entry=entry,
            units=self.some(1, 12),
            start_slot=start,
            end_slot=start + self.some(1, 40),
            prices=tuple(self.some(1, 6) * YUAN for _ in range(hours)),
            min_duration_slots=self.one_of(1, 1, 1, 2),
            max_duration_slots=self.one_of(2, 100, 100, 100),
            min_chunk_units=self.one_of(1, 1, 1, 2, 3),
            reclaimable=self.one_of(*[False] * 5, True),
            open=self.one_of(*[True] * 9, False),
        )

    def order(self, id_: int, entry: Entry) -> OrderTerms:
        units = self.some(1, 14)
        duration = self.some(1, self.one_of(6, 6, 6, 30))
        on_demand = self.one_of(*[False] * 4, True)
        earliest = SLOT - 5 if on_demand else SLOT + self.some(-2, 8)
        slack = self.one_of(0, 1, 3, 10, 20)
        in_force = self.one_of(*[TimeInForce.GTC] * 5, *TimeInForce)
        grades = self.one_of((1,), (1,), (2,), (1, 2))
        return OrderTerms(
            id=id_,
            buyer=self.some(1, 5),
            entry=entry,
            limits=tuple((grade, self.some(2, 9) * YUAN) for grade in grades),
            units=units,
            remaining_units=units,
            duration_slots=duration,
            earliest_slot=earliest,
            latest_slot=earliest + duration + slack + (6 if on_demand else 0),
            min_units=self.one_of(1, 1, 1, 2, 3, units, max(1, units // 2)),
            on_demand=on_demand,
            placement=self.one_of(*Placement, Placement.ANYWHERE, Placement.ANYWHERE),
            rtt_region=self.one_of(*[None] * 4, "zhengzhou"),
            max_rtt_us=self.one_of(None, 3_000, 500),
            regions_allowed=self.one_of(*[None] * 7, frozenset(REGIONS[:2])),
            regions_excluded=self.one_of(*[frozenset()] * 7, frozenset(REGIONS[2:])),
            min_green_share_bp=self.one_of(*[0] * 7, 4_000),
            max_pue_milli=self.one_of(*[None] * 7, 1_300),
            min_reliability_bp=self.one_of(*[0] * 7, 9_500),
            data_region=self.one_of(None, *REGIONS[:2]),
            data_milli_gb=self.one_of(0, 0, 1, 700, 1_500),
            accept_reclaimable=self.one_of(True, True, True, False),
            max_cost_micro=self.one_of(None, None, None, self.some(0, 300) * YUAN),
            time_in_force=in_force,
            good_till_s=(SLOT + self.some(0, 6)) * 3600 + 100 if in_force == "gtd" else None,
        )

    def batch(self, number: int) -> list[Event]:
        """The next admission."""
        return [self._event((number, i)) for i in range(self.some(1, 8))]

    def remember(self, result: BatchResult) -> None:
        """What was filled may be given back later; time goes on."""
        self._releasable += result.fills
        self.now_s += self.one_of(0, 0, 1, 500, 3_600)

    def _event(self, entry: Entry) -> Event:  # noqa: PLR0911  a table of kinds
        kind = self.random.randrange(100)
        if kind < 45 or not self.offers:
            self._orders += 1
            self.made[self._orders] = self.order(self._orders, entry)
            return OrderEntered(self.made[self._orders])
        if kind < 50:
            return self._amended(self.some(100, self._orders), entry)
        if kind < 56:
            return OrderCancelled(self.some(100, self._orders))
        if kind < 58:
            return OrderExpired(self.some(100, self._orders))
        if kind < 70:
            return OfferEntered(self._keep(self.offer(50 + len(self.offers), entry)))
        known = self.one_of(*self.offers.values())
        if kind < 76:
            return OfferChanged(self._keep(self._changed(known, entry)))
        if kind < 79:
            return OfferClosed(known.id)
        if kind < 83:
            return OfferOpened(known.id, self.one_of(None, entry))
        if kind < 90:
            pool = self.one_of(*self.pools.values())
            self.pools[pool.id] = replace(self.pool(pool.id), provider=pool.provider)
            return PoolChanged(self.pools[pool.id])
        if kind < 97 and self._releasable:
            fill = self._releasable.pop(self.random.randrange(len(self._releasable)))
            start = self.some(fill.start_slot, fill.end_slot - 1)
            return CapacityReleased(fill.offer, fill.pool, fill.units, start, fill.end_slot)
        if kind < 99:
            return ClockTicked()
        some = tuple(id_ for id_ in self.pools if self.one_of(True, False))
        return self.one_of(TradingHalted, TradingResumed)(some)

    def _amended(self, id_: int, entry: Entry) -> OrderAmended:
        """Other terms for an order that may rest, be closed, or never have been."""
        known = self.made.get(id_) or self.order(id_, entry)
        drawn = self.order(id_, entry)
        grades = [grade for grade, _ in known.limits]
        wanted = replace(
            known,
            entry=self.one_of(known.entry, entry),
            limits=tuple((grade, self.some(2, 9) * YUAN) for grade in grades),
            units=self.some(1, 14),
            latest_slot=known.latest_slot + self.some(-3, 6),
            max_cost_micro=drawn.max_cost_micro,
            time_in_force=drawn.time_in_force,
            good_till_s=drawn.good_till_s,
        )
        wanted = replace(
            wanted, remaining_units=wanted.units, min_units=min(drawn.min_units, wanted.units)
        )
        self.made[id_] = wanted
        return OrderAmended(wanted)

    def _changed(self, known: OfferTerms, entry: Entry) -> OfferTerms:
        if self.one_of(True, False):
            return replace(known, units=self.some(1, known.units))  # fewer: priority is kept
        return self.offer(known.id, entry, self.pools[known.pool])

    def _keep(self, offer: OfferTerms) -> OfferTerms:
        self.offers[offer.id] = offer
        return offer

    def _network(self) -> Network:
        links = []
        for i, (a, b) in enumerate(((0, 1), (1, 2), (0, 2))):
            if self.one_of(True, True, True, False):
                rtt_us = self.one_of(400, 2_500, 9_000)
                price = self.one_of(0, 10, 5_000, 1_300_000)
                links.append(LinkTerms(i, REGIONS[a], REGIONS[b], rtt_us, price))
        return Network(links)
