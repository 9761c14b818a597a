"""The design's invariants, checked over random stories by an oracle that shares no code with the
engines: what was sold, to whom, for how much.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from exchange.market.engine import BookState
from exchange.market.terms import (
    CapacityReleased,
    OfferChanged,
    OfferEntered,
    OrderAmended,
    OrderCancelled,
    OrderEntered,
    OrderExpired,
    Placement,
    PoolChanged,
    TimeInForce,
)
from tests.properties.market.books import Maker

STORIES = 400


class Oracle:
    """Follows a story event by event, with the plainest bookkeeping there is."""

    def __init__(self, maker):
        self.network = maker.network
        self.pools = dict(maker.pools)
        self.offers = dict(maker.offers)
        self.orders = {}
        self.filled = Counter()
        self.cost = Counter()
        self.places = {}
        self.sold = Counter()

    def see(self, event, amendments):
        match event:
            case OrderAmended(order):
                (told,) = amendments
                if not told.refusal:
                    self.orders[order.id] = order
            case OrderEntered(order):
                self.orders[order.id] = order
            case OfferEntered(offer) | OfferChanged(offer):
                self.offers[offer.id] = offer
            case PoolChanged(pool):
                self.pools[pool.id] = pool
            case CapacityReleased(offer, pool, units, start, end):
                self._sell(offer, pool, start, end, -units)

    def check(self, fill, now_s):
        order, offer = self.orders[fill.order], self.offers[fill.offer]
        pool = self.pools[fill.pool]
        assert offer.pool == fill.pool
        self._sell(fill.offer, fill.pool, fill.start_slot, fill.end_slot, fill.units)
        self._check_capacity(fill, offer, pool)
        self._check_wishes(fill, order, offer, pool)
        self._check_time(fill, order, offer, now_s)
        self._check_price(fill, order, offer)
        self._check_place(fill, order, pool)

    def _sell(self, offer, pool, start, end, units):
        for slot in range(start, end):
            self.sold["offer", offer, slot] += units
            self.sold["pool", pool, slot] += units

    def _check_capacity(self, fill, offer, pool):
        assert fill.units >= offer.min_chunk_units
        left = []
        for slot in range(fill.start_slot, fill.end_slot):
            of_offer = offer.units - self.sold["offer", offer.id, slot]
            of_pool = pool.units - self.sold["pool", pool.id, slot]
            assert of_offer >= 0
            assert of_pool >= 0
            left.append(min(of_offer, of_pool))
        assert min(left) == 0 or min(left) >= offer.min_chunk_units

    def _check_wishes(self, fill, order, offer, pool):
        assert order.buyer != offer.provider
        assert fill.grade == pool.grade
        assert pool.grade in dict(order.limits)
        assert order.regions_allowed is None or pool.region in order.regions_allowed
        assert pool.region not in order.regions_excluded
        assert pool.green_share_bp >= order.min_green_share_bp
        assert order.max_pue_milli is None or pool.pue_milli <= order.max_pue_milli
        assert pool.reliability_bp >= order.min_reliability_bp
        assert order.accept_reclaimable or not offer.reclaimable
        assert offer.min_duration_slots <= order.duration_slots <= offer.max_duration_slots
        if order.rtt_region and order.max_rtt_us:
            ways = self.network.alternatives(order.rtt_region, pool.region)
            assert min(way.rtt_us for way in ways) <= order.max_rtt_us

    def _check_time(self, fill, order, offer, now_s):
        assert order.good_till_s is None or now_s < order.good_till_s
        assert order.earliest_slot <= fill.start_slot
        assert fill.end_slot <= order.latest_slot
        assert offer.start_slot <= fill.start_slot
        assert fill.end_slot <= offer.end_slot
        slots = fill.end_slot - fill.start_slot
        assert slots == order.duration_slots + (1 if order.on_demand else 0)
        if order.on_demand:
            assert fill.start_s == now_s
            assert fill.start_slot == now_s // 3600
        else:
            assert fill.start_s == fill.start_slot * 3600 >= now_s
        assert fill.seconds == fill.end_s - fill.start_s

    def _check_price(self, fill, order, offer):
        asked = sum(
            offer.prices[slot % len(offer.prices)]
            * (min(fill.end_s, slot * 3600 + 3600) - max(fill.start_s, slot * 3600))
            for slot in range(fill.start_slot, fill.end_slot)
        )
        limit = dict(order.limits)[fill.grade] * fill.seconds
        all_in = fill.price_numerator * 1_000 + fill.transport_nano_per_unit * 3_600
        assert fill.price_numerator >= asked  # the seller's limit
        assert all_in <= 1_000 * limit  # the buyer's
        if fill.rested == "offer":
            assert fill.price_numerator == asked
        else:
            assert 1_000 * limit - all_in < 1_000
        self.filled[order.id] += fill.units
        compute = -(-fill.price_numerator * fill.units // 3_600)
        transport = -(-fill.transport_nano_per_unit * fill.units // 1_000)
        self.cost[order.id] += compute + transport
        assert self.filled[order.id] <= order.units
        assert order.max_cost_micro is None or self.cost[order.id] <= order.max_cost_micro

    def _check_place(self, fill, order, pool):
        if order.placement is not Placement.ANYWHERE:
            place = {
                Placement.SAME_POOL: pool.id,
                Placement.SAME_CENTRE: pool.centre,
                Placement.SAME_REGION: pool.region,
            }[order.placement]
            known = self.places.setdefault(order.id, (place, fill.start_slot))
            assert known == (place, fill.start_slot)

    def check_amounts(self, fills):
        """Of one event: no order was left, or given, fewer than its smallest acceptable units."""
        given = Counter()
        for fill in fills:
            given[fill.order] += fill.units
        for order_id, units in given.items():
            order = self.orders[order_id]
            rest = order.units - self.filled[order_id]
            assert units >= min(order.min_units, rest + units)
            assert rest == 0 or rest >= order.min_units
            assert order.time_in_force is not TimeInForce.FOK or rest == 0


@pytest.mark.parametrize("part", range(4))
def test_no_story_breaks_an_invariant(part):
    fills = 0
    for seed in range(part * STORIES // 4, (part + 1) * STORIES // 4):
        maker = Maker(Random(10_000 + seed))
        oracle = Oracle(maker)
        state = BookState(
            maker.network, maker.pools.values(), maker.offers.values(), now_s=maker.now_s
        )
        for number in range(1, 8):
            for event in maker.batch(number):
                result = state.apply([event], maker.now_s)
                oracle.see(event, result.amendments)
                for fill in result.fills:
                    oracle.check(fill, maker.now_s)
                oracle.check_amounts(result.fills)
                fills += len(result.fills)
                maker.remember(result)
                maker.now_s = min(maker.now_s, state_time_limit(number))
    assert fills > STORIES // 4


def state_time_limit(number: int) -> int:
    """Keeps a story's clock within its first hours, where its offers are."""
    return (1_000 + number) * 3_600


@pytest.mark.parametrize("seed", range(60))
def test_a_batch_is_what_its_events_give_one_by_one(seed):
    one_by_one, whole = Maker(Random(seed)), Maker(Random(seed))
    states = [
        BookState(maker.network, maker.pools.values(), maker.offers.values(), now_s=maker.now_s)
        for maker in (one_by_one, whole)
    ]
    for number in range(1, 5):
        events = whole.batch(number)
        assert events == one_by_one.batch(number)
        batch = states[1].apply(events, whole.now_s)
        singles = [states[0].apply([event], one_by_one.now_s) for event in events]
        fills = [
            (i, fill.order, fill.offer, fill.units, fill.start_slot, fill.price_numerator)
            for i, single in enumerate(singles)
            for fill in single.fills
        ]
        assert fills == [
            (f.event_index, f.order, f.offer, f.units, f.start_slot, f.price_numerator)
            for f in batch.fills
        ]
        one_by_one.remember(batch)
        whole.remember(batch)


@pytest.mark.parametrize("seed", range(200))
def test_price_then_time_among_orders_that_could_take_the_same_units(seed):
    """Plain orders of one grade that differ only in limit, units and entry: none rests with units
    left while a worse one was filled after both were in the book.
    """
    maker = Maker(Random(seed))
    pool = maker.pool(1)
    state = BookState(maker.network, [pool], now_s=maker.now_s)
    alike = {
        "limits": ((pool.grade, 0),), "buyer": 99, "min_units": 1, "placement": Placement.ANYWHERE,
        "time_in_force": TimeInForce.GTC, "on_demand": False, "max_cost_micro": None,
        "data_milli_gb": 0, "rtt_region": None, "good_till_s": None, "accept_reclaimable": True,
        "earliest_slot": 1_002, "latest_slot": 1_012, "duration_slots": 2,
        "regions_allowed": None, "regions_excluded": frozenset(), "min_green_share_bp": 0,
        "max_pue_milli": None, "min_reliability_bp": 0,
    }  # fmt: skip
    rank = {}
    for number in range(1, 12):
        made = maker.order(100 + number, (number, 0))
        limit = maker.some(2, 6)
        alike["limits"] = ((pool.grade, limit * 1_000_000),)
        order = type(made)(**{**{f: getattr(made, f) for f in made.__slots__}, **alike})
        rank[order.id] = (-limit, order.entry)
        state.apply([OrderEntered(order)], maker.now_s)
    offer = maker.offer(7, (50, 0), pool)
    chunkless = type(offer)(
        **{**{f: getattr(offer, f) for f in offer.__slots__}, "min_chunk_units": 1}
    )
    result = state.apply([OfferEntered(chunkless)], maker.now_s)
    filled = [rank[fill.order] for fill in result.fills]
    assert filled == sorted(filled)
    left = [rank[order_id] for order_id in state.orders]
    if filled and left:
        complete = {rank[o.order] for o in result.outcomes if o.state == "filled"}
        worst = max(complete, default=None)
        assert worst is None or all(one > worst or one in filled for one in left)


@pytest.mark.parametrize("seed", range(30))
def test_taking_orders_out_leaves_nothing_behind(seed):
    maker = Maker(Random(seed))
    state = BookState(maker.network, maker.pools.values(), maker.offers.values(), now_s=maker.now_s)
    for number in range(1, 5):
        state.apply(maker.batch(number), maker.now_s)
    resting = list(state.orders)
    events = [OrderCancelled(i) if i % 2 else OrderExpired(i) for i in resting]
    outcomes = state.apply(events, maker.now_s).outcomes
    assert [o.order for o in outcomes] == resting
    assert state.orders == {}
    assert not state.has_on_demand
