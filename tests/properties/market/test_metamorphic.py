"""Changes of a story that should change nothing, or only what they say."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from exchange.market.engine import BookState
from exchange.market.terms import OrderEntered, Placement
from tests.properties.market.books import Maker

SEEDS = range(80)


def story(seed, *, orders=12):
    """A book, and orders that come one after another."""
    maker = Maker(Random(seed))
    for i in range(6):
        maker._keep(maker.offer(30 + i, (0, 10 + i)))
    coming = [maker.order(100 + i, (1, i)) for i in range(orders)]
    return maker, list(maker.pools.values()), list(maker.offers.values()), coming


def fills(maker, pools, offers, orders):
    state = BookState(maker.network, pools, offers, now_s=maker.now_s)
    return state.apply([OrderEntered(order) for order in orders], maker.now_s).fills


def told(made):
    return [(f.order, f.offer, f.units, f.start_slot, f.price_numerator) for f in made]


@pytest.mark.parametrize("seed", SEEDS)
def test_names_do_not_matter_where_their_order_is_kept(seed):
    maker, pools, offers, orders = story(seed)
    far = 1 << 100  # ids fill both words of the kernel's
    renamed = fills(
        maker,
        [replace(pool, id=pool.id + far, centre=pool.centre + far) for pool in pools],
        [replace(offer, id=offer.id * far, pool=offer.pool + far) for offer in offers],
        [replace(order, id=order.id + far) for order in orders],
    )
    before = fills(maker, pools, offers, orders)
    assert told(renamed) == [(o + far, f * far, *rest) for o, f, *rest in told(before)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("factor", [2, 1_000])
def test_prices_in_another_currency_give_the_same_trades(seed, factor):
    maker, pools, offers, orders = story(seed)
    orders = [replace(order, data_milli_gb=0, max_cost_micro=None) for order in orders]
    scaled = fills(
        maker,
        pools,
        [replace(o, prices=tuple(price * factor for price in o.prices)) for o in offers],
        [replace(o, limits=tuple((g, n * factor) for g, n in o.limits)) for o in orders],
    )
    before = fills(maker, pools, offers, orders)
    assert told(scaled) == [(*rest, price * factor) for *rest, price in told(before)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pool_that_nobody_may_use_changes_nothing(seed):
    maker, pools, offers, orders = story(seed)
    other = replace(pools[0], id=999, grade=77, provider=1)
    tempting = replace(offers[0], id=1, pool=999, provider=1, prices=(1,), open=True)
    with_it = fills(maker, [other, *pools], [tempting, *offers], orders)
    assert told(with_it) == told(fills(maker, pools, offers, orders))


@pytest.mark.parametrize("seed", SEEDS)
def test_an_order_split_into_equal_ones_is_given_the_same(seed):
    maker, pools, offers, orders = story(seed, orders=6)
    offers = [replace(offer, min_chunk_units=1) for offer in offers]
    plain = {"min_units": 1, "max_cost_micro": None, "placement": Placement.ANYWHERE}
    orders = [replace(order, time_in_force="gtc", **plain) for order in orders]
    singles = [
        replace(order, id=order.id * 1_000 + i, entry=(1, 100 * n + i), units=1, remaining_units=1)
        for n, order in enumerate(orders)
        for i in range(order.units)
    ]

    def taken(made, by):
        units = {}
        for fill in made:
            key = by(fill.order), fill.offer, fill.start_slot, fill.price_numerator
            units[key] = units.get(key, 0) + fill.units
        return units

    whole = taken(fills(maker, pools, offers, orders), lambda order: order)
    split = taken(fills(maker, pools, offers, singles), lambda order: order // 1_000)
    assert split == whole
