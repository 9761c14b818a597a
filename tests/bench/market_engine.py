"""The matching engine alone, in memory, one thread: orders decided per second.

The book: 1,000 pools of ten grades in twenty regions (a star and a ring of links), one or two
offers each over thirty days, four in ten with a tariff by the hour. Orders: one or two grades, 1 to
64 units, 1 to 72 hours, a window up to three days wide within a fortnight, all four placements
alike; one in seven on demand, a third with a round-trip bound, a quarter limited to half of the
regions, a third each with a wish for green power, PUE or reliability, three in ten with data to
move.

- `market.engine` against the reference engine, which scans every pool, start and slot for each
  order: same book, same kind of orders, fewer of them.
- `market.engine_growth`: with 100,000 resting orders against 1,000.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from random import Random

from exchange.market.engine import BookState
from exchange.market.reference import ReferenceBook
from exchange.market.terms import (
    OfferTerms,
    OrderEntered,
    OrderTerms,
    Placement,
    PoolTerms,
)
from exchange.topology.paths import LinkTerms, Network
from tests.bench.contest import Contest, Stage

YUAN = 1_000_000
SLOT = 480_000
NOW_S = SLOT * 3600 + 1800
GRADES = 10
REGIONS = [f"region-{i:02}" for i in range(20)]
MANY_RESTING, FEW_RESTING = 100_000, 1_000


def contests(stage: Stage) -> Iterator[Contest]:
    """Both contests of the engine."""
    pools = stage.size(1_000, 100)
    orders = stage.size(5_000, 200)
    by_scan = stage.size(20, 2)
    yield Contest(
        name="market.engine",
        measure=f"orders decided in memory against {pools} pools",
        unit="orders/s",
        better="higher",
        run=lambda: _rate(BookState, pools, FEW_RESTING, orders),
        reference=lambda: _rate(ReferenceBook, pools, 0, by_scan),
        reference_is="the reference engine, which scans everything, on the same book",
    )
    many = stage.size(MANY_RESTING, 2_000)
    yield Contest(
        name="market.engine_growth",
        measure=f"orders decided in memory with {many} resting orders, and with {FEW_RESTING}",
        unit="orders/s",
        better="higher",
        run=lambda: _rate(BookState, pools, many, orders),
        reference=lambda: _rate(BookState, pools, FEW_RESTING, orders),
        reference_is=f"the same engine with {FEW_RESTING} resting orders",
    )


def _rate(engine: Callable[..., BookState | ReferenceBook], pools: int, rest: int, n: int) -> float:
    """Orders decided per second by a new book."""
    market = Market(Random(1), pools)
    resting = [market.order(10**7 + i, (0, i), limits=(1, 5)) for i in range(rest)]
    events = [OrderEntered(market.order(10**8 + i, (1, i), limits=(8, 24))) for i in range(n)]
    book = engine(market.network, market.pools, market.offers, resting, now_s=NOW_S)
    gc.collect()
    gc.freeze()  # what stands before the run is not the run's garbage
    started = time.perf_counter()
    for first in range(0, n, 500):
        book.apply(events[first : first + 500], NOW_S)
    took_s = time.perf_counter() - started
    gc.unfreeze()
    return n / took_s


class Market:
    """A book of the size of a province, drawn from a seed."""

    def __init__(self, random: Random, pools: int) -> None:
        self._random = random
        self.network = Network(_links())
        self.pools = [self._pool(i + 1, max(pools // 4, 1)) for i in range(pools)]
        self.offers = [
            self._offer(pool, 10**6 + 2 * pool.id + i)
            for pool in self.pools
            for i in range(random.choice((1, 1, 2)))
        ]

    def order(self, id_: int, entry: tuple[int, int], limits: tuple[int, int]) -> OrderTerms:
        """An order whose limits lie between two prices in yuan."""
        choice = self._random.choice
        units, duration = choice((1, 2, 4, 8, 8, 16, 64)), choice((1, 2, 4, 8, 24, 24, 72))
        now = self._random.random() < 1 / 7
        earliest = SLOT if now else SLOT + 1 + self._random.randrange(14 * 24)
        slack = 1 if now else choice((0, 4, 24, 72))
        grades = self._random.sample(range(GRADES), choice((1, 1, 2)))
        return OrderTerms(
            id=id_,
            buyer=self._random.randrange(1_000, 1_200),
            entry=entry,
            limits=tuple((grade, self._random.randint(*limits) * YUAN) for grade in grades),
            units=units,
            remaining_units=units,
            min_units=choice((1, units)),
            duration_slots=duration,
            earliest_slot=earliest,
            latest_slot=earliest + duration + slack,
            on_demand=now,
            placement=choice(tuple(Placement)),
            rtt_region=choice((None, None, REGIONS[3])),
            max_rtt_us=choice((4_000, 8_000)),
            regions_allowed=choice((None, None, None, frozenset(REGIONS[:10]))),
            min_green_share_bp=choice((0, 0, 4_000)),
            max_pue_milli=choice((None, None, 1_300)),
            min_reliability_bp=choice((0, 0, 9_500)),
            data_region=choice(REGIONS),
            data_milli_gb=choice((0, 0, 0, 0, 0, 0, 0, 100, 5_000, 100_000)),
            accept_reclaimable=choice((True, False)),
        )

    def _pool(self, id_: int, centres: int) -> PoolTerms:
        choice = self._random.choice
        return PoolTerms(
            id=id_,
            provider=self._random.randrange(50),
            centre=id_ % centres,
            region=REGIONS[id_ % centres % len(REGIONS)],
            grade=self._random.randrange(GRADES),
            units=choice((32, 128, 512, 1_024)),
            green_share_bp=choice((2_000, 5_000, 8_000)),
            pue_milli=choice((1_200, 1_300, 1_500)),
            reliability_bp=choice((9_000, 9_900, 9_990)),
        )

    def _offer(self, pool: PoolTerms, id_: int) -> OfferTerms:
        base = self._random.randint(8 * YUAN, 20 * YUAN)
        by_hour = tuple(base + (2 if 8 <= hour < 22 else -1) * YUAN for hour in range(24))
        return OfferTerms(
            id=id_,
            pool=pool.id,
            provider=pool.provider,
            entry=(0, id_),
            units=pool.units,
            start_slot=SLOT - 10,
            end_slot=SLOT + 30 * 24,
            prices=(base,) if self._random.random() < 0.6 else by_hour,
            min_chunk_units=self._random.choice((1, 1, 1, 4)),
            reclaimable=self._random.random() < 0.2,
        )


def _links() -> list[LinkTerms]:
    star = [LinkTerms(i, REGIONS[0], REGIONS[i], 1_500 + 100 * i, 4_000) for i in range(1, 20)]
    ring = [LinkTerms(20 + i, REGIONS[i], REGIONS[i + 1], 1_200, 3_500) for i in range(1, 19)]
    return star + ring
