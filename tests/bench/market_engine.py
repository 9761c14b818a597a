"""The matching engine alone, in memory, one thread.

The province's book (`Market`): 1,000 pools of ten grades in twenty regions (a star and a ring of
links), one or two offers each over thirty days, four in ten with a tariff by the hour. Orders: one
or two grades, 1 to 64 units, 1 to 72 hours, a window up to three days wide within a fortnight, all
four placements alike; one in seven on demand, a third with a round-trip bound, a quarter limited to
half of the regions, a third each with a wish for green power, PUE or reliability, three in ten with
data to move.

- `market.engine`: that book, against the reference engine, which scans every pool, start and slot
  for each order: same book, same kind of orders, fewer of them.
- `market.engine_vs_numpy`: two grades, smaller pools, `anywhere` orders with all filters until they
  ask for all there is (load 1), against `numpy_scan`. The same assignments, which is asserted.
- `market.pool_growth`: the cost of an order with 10,000 pools against 1,000, the first nine tenths
  of the orders of load 1 taken before, so near exhaustion.
- `market.resting_growth`: the cost of an order with 1,000,000 orders resting against 10,000, all
  of the same grades and limits up to the cheapest offer's price.
- `market.memory_gib`: what a process that holds a book with 1,000,000 resting orders has resident.
"""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
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
from tests.bench.numpy_scan import Assignment, NumpyScan

YUAN = 1_000_000
SLOT = 480_000
NOW_S = SLOT * 3600 + 1800
DAYS = 30
GRADES = 10
REGIONS = [f"region-{i:02}" for i in range(20)]
FEW_RESTING = 1_000
BATCH = 500


def contests(stage: Stage) -> Iterator[Contest]:
    """All contests of the engine."""
    pools = stage.size(1_000, 100)
    orders, by_scan = stage.size(5_000, 200), stage.size(20, 2)
    yield Contest(
        name="market.engine",
        measure=f"orders decided in memory against {pools:,} pools, all placements",
        unit="orders/s",
        better="higher",
        run=lambda: _rate(BookState, pools, FEW_RESTING, orders),
        reference=lambda: _rate(ReferenceBook, pools, 0, by_scan),
        reference_is="the reference engine, which scans everything, on the same book",
    )
    loaded = Loaded(pools)
    assert loaded.by_engine()[1] == loaded.by_scan()[1], "not the same assignments"
    yield Contest(
        name="market.engine_vs_numpy",
        measure=f"{len(loaded.orders):,} orders, load 1, {pools:,} pools: to a NumPy scan",
        unit="orders/s",
        better="higher",
        run=lambda: loaded.by_engine()[0],
        reference=lambda: loaded.by_scan()[0],
        reference_is="a scan of all offers for each order in NumPy, same assignments",
    )
    few, many = Loaded(stage.size(1_000, 100)), Loaded(stage.size(10_000, 200))
    yield Contest(
        name="market.pool_growth",
        measure=f"an order near exhaustion, {many.pools:,} pools to {few.pools:,}",
        unit="us",
        better="lower",
        run=many.last_tenth_us,
        reference=few.last_tenth_us,
    )
    crowd, lone = stage.size(1_000_000, 2_000), stage.size(10_000, 200)
    crowded, quiet = Crowd(pools, crowd), Crowd(pools, lone)
    yield Contest(
        name="market.resting_growth",
        measure=f"an order with {crowd:,} orders resting near the touch, to {lone:,}",
        unit="us",
        better="lower",
        run=crowded.order_us,
        reference=quiet.order_us,
    )
    yield Contest(
        name="market.memory_gib",
        measure=f"resident memory of a process with {crowd:,} resting orders",
        unit="GiB",
        better="lower",
        run=lambda: _memory_gib(pools, crowd),
        reference=lambda: 1.0,
        reference_is="one GiB",
        rounds=1,
    )


def _rate(engine: Callable[..., BookState | ReferenceBook], pools: int, rest: int, n: int) -> float:
    """Orders decided per second by a new book."""
    market = Market(Random(1), pools)
    resting = [market.order(10**7 + i, (0, i), limits=(1, 5)) for i in range(rest)]
    orders = [market.order(10**8 + i, (1, i), limits=(8, 24)) for i in range(n)]
    book = engine(market.network, market.pools, market.offers, resting, now_s=NOW_S)
    return n / _seconds(book, orders)[0]


def _seconds(
    book: BookState | ReferenceBook, orders: Sequence[OrderTerms]
) -> tuple[float, list[Assignment]]:
    """How long the orders took, and what they were given."""
    events = [OrderEntered(order) for order in orders]
    results = []
    gc.collect()
    gc.freeze()  # what stands before the run is not the run's garbage
    started = time.perf_counter()
    for first in range(0, len(events), BATCH):
        results.append(book.apply(events[first : first + BATCH], NOW_S))
    took_s = time.perf_counter() - started
    gc.unfreeze()
    return took_s, [
        (fill.order, fill.offer, fill.start_slot, fill.units, fill.price_numerator)
        for result in results
        for fill in result.fills
    ]


class Loaded:
    """A book and as many `anywhere` orders as ask for all its unit-hours."""

    def __init__(self, pools: int) -> None:
        self.pools = pools
        self.market = Market(Random(2), pools, grades=2, units=(2, 4, 8, 16))
        left = sum(pool.units for pool in self.market.pools) * DAYS * 24
        self.orders: list[OrderTerms] = []
        while left > 0:
            number = len(self.orders)
            order = self.market.order(10**8 + number, (1, number), limits=(8, 24), days=DAYS - 4)
            units = 1 + order.units % 9
            order = replace(
                order,
                units=units,
                remaining_units=units,
                min_units=min(order.min_units, units),
                placement=Placement.ANYWHERE,
            )
            self.orders.append(order)
            left -= units * order.duration_slots

    def by_engine(self) -> tuple[float, list[Assignment]]:
        """Orders per second, and the assignments; fills, outcomes and resting orders made too."""
        took_s, assigned = _seconds(self._book(), self.orders)
        return len(self.orders) / took_s, assigned

    def by_scan(self) -> tuple[float, list[Assignment]]:
        """The same by the scan, which makes nothing but the assignments."""
        market, slots = self.market, DAYS * 24 + 10 + 7 * 24
        scan = NumpyScan(market.network, market.pools, market.offers, SLOT - 10, slots)
        started = time.perf_counter()
        assigned = scan.decide(self.orders, NOW_S)
        return len(self.orders) / (time.perf_counter() - started), assigned

    def last_tenth_us(self) -> float:
        """Microseconds for one of the last orders, up to 5,000 of them."""
        book, last = self._book(), min(len(self.orders) // 10, 5_000)
        _seconds(book, self.orders[:-last])
        return _seconds(book, self.orders[-last:])[0] / last * 1e6

    def _book(self) -> BookState:
        book = BookState(self.market.network, self.market.pools, self.market.offers, now_s=NOW_S)
        book.quote(self.orders[0], NOW_S)  # the kernel is there
        return book


class Crowd:
    """A book with many orders resting at up to the cheapest offer's price, and some that come."""

    def __init__(self, pools: int, resting: int) -> None:
        self._market = Market(Random(3), pools)
        self._come = 0
        orders = [self._market.order(10**7 + i, (0, i), limits=(2, 6)) for i in range(resting)]
        market = self._market
        self.book = BookState(market.network, market.pools, market.offers, orders, now_s=NOW_S)

    def order_us(self) -> float:
        """Microseconds for one of 2,000 orders: half are filled, half come to rest."""
        orders = []
        for _ in range(2_000):
            self._come += 1
            limits = (8, 24) if self._come % 2 else (2, 6)
            orders.append(self._market.order(10**8 + self._come, (1, self._come), limits=limits))
        return _seconds(self.book, orders)[0] / len(orders) * 1e6


def _memory_gib(pools: int, resting: int) -> float:
    """In a process of its own, which makes the orders one by one, as loading rows does."""
    command = [sys.executable, "-m", "tests.bench.market_engine", str(pools), str(resting)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)) / 2**20


class Market:
    """A book of the size of a province, drawn from a seed."""

    def __init__(
        self,
        random: Random,
        pools: int,
        grades: int = GRADES,
        units: tuple[int, ...] = (32, 128, 512, 1_024),
    ) -> None:
        self._random, self._grades, self._units = random, grades, units
        self.network = Network(_links())
        self.pools = [self._pool(i + 1, max(pools // 4, 1)) for i in range(pools)]
        self.offers = [
            self._offer(pool, 10**6 + 2 * pool.id + i)
            for pool in self.pools
            for i in range(random.choice((1, 1, 2)))
        ]

    def order(
        self, id_: int, entry: tuple[int, int], limits: tuple[int, int], days: int = 14
    ) -> OrderTerms:
        """An order whose limits lie between two prices in yuan."""
        choice = self._random.choice
        units, duration = choice((1, 2, 4, 8, 8, 16, 64)), choice((1, 2, 4, 8, 24, 24, 72))
        now = self._random.random() < 1 / 7
        earliest = SLOT if now else SLOT + 1 + self._random.randrange(days * 24)
        slack = 1 if now else choice((0, 4, 24, 72))
        grades = self._random.sample(range(self._grades), choice((1, 1, 2)))
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
            grade=self._random.randrange(self._grades),
            units=choice(self._units),
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
            end_slot=SLOT + DAYS * 24,
            prices=(base,) if self._random.random() < 0.6 else by_hour,
            min_chunk_units=self._random.choice((1, 1, 1, 4)),
            reclaimable=self._random.random() < 0.2,
        )


def _links() -> list[LinkTerms]:
    star = [LinkTerms(i, REGIONS[0], REGIONS[i], 1_500 + 100 * i, 4_000) for i in range(1, 20)]
    ring = [LinkTerms(20 + i, REGIONS[i], REGIONS[i + 1], 1_200, 3_500) for i in range(1, 19)]
    return star + ring


if __name__ == "__main__":
    crowd = Crowd(int(sys.argv[1]), int(sys.argv[2]))
    gc.collect()
    sys.stdout.write(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
