"""The rules of the continuous book, one case each, for both engines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange.market.terms import (
    Anchor,
    CapacityReleased,
    Claim,
    ClockTicked,
    OfferChanged,
    OfferClosed,
    OfferEntered,
    OfferOpened,
    OrderCancelled,
    OrderEntered,
    OrderExpired,
    OutcomeState,
    Placement,
    PoolChanged,
    Rested,
    TimeInForce,
)
from tests.unit.market.scene import ENGINES, NOW_S, SLOT, YUAN, book, offer, order, pool, told

pytestmark = pytest.mark.parametrize("engine", ENGINES)


AT_ONCE = {"latest_slot": SLOT + 2}  # one possible start


def states(result):
    return {o.order: (o.state.value, o.reason, o.remaining_units) for o in result.outcomes}


# Price, then time


def test_the_cheapest_offer_is_taken_first_at_its_own_price(engine):
    state = book(engine, offers=[offer(1, 9), offer(2, 7), offer(3, 8)])
    result = state.apply([OrderEntered(order(100, 9, 25, **AT_ONCE))], NOW_S)
    assert told(result.fills) == [
        (100, 2, 10, 7 * YUAN),
        (100, 3, 10, 8 * YUAN),
        (100, 1, 5, 9 * YUAN),
    ]
    assert {fill.rested for fill in result.fills} == {Rested.OFFER}
    assert states(result) == {100: ("filled", "", 0)}


def test_of_equal_prices_the_earlier_entry_is_taken_then_the_smaller_id(engine):
    offers = [offer(1, 7, entry=5), offer(2, 7, entry=4), offer(3, 7, entry=4)]
    result = book(engine, offers=offers).apply([OrderEntered(order(100, 9, 25, **AT_ONCE))], NOW_S)
    assert [fill.offer for fill in result.fills] == [2, 3, 1]


def test_a_later_offer_gets_the_limit_of_the_best_resting_order(engine):
    events = [
        OrderEntered(order(100, 6, 4, **AT_ONCE)),
        OrderEntered(order(101, 8, 4, **AT_ONCE)),
        OrderEntered(order(102, 8, 4, **AT_ONCE)),
        OfferEntered(replace(offer(1, 5), entry=(1, 200))),
    ]
    result = book(engine).apply(events, NOW_S)
    assert told(result.fills) == [
        (101, 1, 4, 8 * YUAN),
        (102, 1, 4, 8 * YUAN),
        (100, 1, 2, 6 * YUAN),
    ]
    assert {fill.rested for fill in result.fills} == {Rested.ORDER}
    assert states(result)[100] == ("partially_filled", "", 2)


def test_a_limit_below_every_offer_rests_untouched(engine):
    state = book(engine, offers=[offer(1, 7)])
    result = state.apply([OrderEntered(order(100, 6, 1))], NOW_S)
    assert not result.fills
    assert states(result) == {100: ("open", "", 1)}


def test_an_offer_that_gets_better_reaches_the_resting_order(engine):
    state = book(engine, offers=[offer(1, 7)])
    state.apply([OrderEntered(order(100, 6, 1))], NOW_S)
    result = state.apply([OfferChanged(replace(offer(1, 5), entry=(2, 0)))], NOW_S)
    assert told(result.fills) == [(100, 1, 1, 6 * YUAN)]


# Capacity


def test_offers_of_one_pool_never_sell_more_than_the_pool_has(engine):
    state = book(engine, pools=[pool(units=12)], offers=[offer(1, 7), offer(2, 8)])
    result = state.apply([OrderEntered(order(100, 9, 20, **AT_ONCE))], NOW_S)
    assert [(fill.offer, fill.units) for fill in result.fills] == [(1, 10), (2, 2)]
    assert states(result) == {100: ("partially_filled", "", 8)}


def test_what_is_sold_for_some_slots_is_free_in_the_others(engine):
    claims = [Claim(1, 1, 10, SLOT, SLOT + 3)]
    state = book(engine, offers=[offer(1, 7)], claims=claims)
    result = state.apply([OrderEntered(order(100, 7, 10))], NOW_S)
    assert [(fill.start_slot, fill.end_slot) for fill in result.fills] == [(SLOT + 3, SLOT + 5)]


def test_released_capacity_goes_to_the_best_order_that_can_use_its_slots(engine):
    claims = [Claim(1, 1, 10, SLOT, SLOT + 100)]
    state = book(engine, offers=[offer(1, 7)], claims=claims)
    late = {"earliest_slot": SLOT + 20, "latest_slot": SLOT + 30}
    state.apply(
        [
            OrderEntered(order(100, 9, 5, **late)),
            OrderEntered(order(101, 8, 5, latest_slot=SLOT + 4)),
        ],
        NOW_S,
    )
    result = state.apply([CapacityReleased(1, 1, 5, SLOT, SLOT + 10)], NOW_S)
    assert told(result.fills) == [(101, 1, 5, 7 * YUAN)]  # the offer was there first


def test_a_pool_that_reopens_serves_who_waits(engine):
    state = book(engine, pools=[pool(open=False)], offers=[offer(1, 7)])
    waits = state.apply([OrderEntered(order(100, 8, 3))], NOW_S)
    served = state.apply([PoolChanged(pool())], NOW_S)
    assert not waits.fills
    assert told(served.fills) == [(100, 1, 3, 7 * YUAN)]


def test_a_closed_offer_sells_nothing_until_it_opens(engine):
    state = book(engine, offers=[offer(1, 7)])
    closed = state.apply([OfferClosed(1), OrderEntered(order(100, 8, 3))], NOW_S)
    opened = state.apply([OfferOpened(1)], NOW_S)
    assert not closed.fills
    assert [fill.units for fill in opened.fills] == [3]


def test_what_was_sold_stays_sold_when_an_offer_shrinks(engine):
    state = book(engine, offers=[offer(1, 7)])
    events = [
        OrderEntered(order(100, 7, 6, **AT_ONCE)),
        OfferChanged(offer(1, 7, units=7)),
        OrderEntered(order(101, 7, 6, **AT_ONCE)),
    ]
    assert [fill.units for fill in state.apply(events, NOW_S).fills] == [6, 1]


# Self-trade


def test_nobody_buys_of_itself_and_the_next_offer_is_taken(engine):
    mine = pool(1, provider=600)
    offers = [offer(1, 5, provider=600), offer(2, 8, pool_id=2)]
    state = book(engine, pools=[mine, pool(2)], offers=offers)
    result = state.apply([OrderEntered(order(100, 9, 1, buyer=600))], NOW_S)
    assert [fill.offer for fill in result.fills] == [2]


# Partial fills


@pytest.mark.parametrize(
    ("free", "units", "min_units", "filled"),
    [
        (10, 12, 3, 9),  # 10 would leave 2: so 9, and 3 rest
        (10, 12, 2, 10),
        (10, 12, 7, 0),  # neither 7 now and 5 later, nor 12
        (10, 10, 10, 10),
        (9, 10, 10, 0),
        (2, 10, 3, 0),
    ],
)
def test_no_event_fills_or_leaves_fewer_than_the_smallest_acceptable_units(
    engine, free, units, min_units, filled
):
    state = book(engine, offers=[offer(1, 7, units=free)])
    asked = order(100, 7, units, min_units=min_units, **AT_ONCE)
    result = state.apply([OrderEntered(asked)], NOW_S)
    assert sum(fill.units for fill in result.fills) == filled


@pytest.mark.parametrize(("units", "filled"), [(10, 10), (9, 7), (8, 7), (3, 3), (2, 0)])
def test_a_fill_takes_at_least_the_chunk_and_leaves_none_or_a_chunk(engine, units, filled):
    state = book(engine, offers=[offer(1, 7, min_chunk_units=3)])
    result = state.apply([OrderEntered(order(100, 7, units, **AT_ONCE))], NOW_S)
    assert sum(fill.units for fill in result.fills) == filled


# Time in force


def test_fok_takes_all_or_nothing(engine):
    state = book(engine, offers=[offer(1, 7)])
    fok = {"time_in_force": TimeInForce.FOK, **AT_ONCE}
    result = state.apply(
        [OrderEntered(order(100, 7, 11, **fok)), OrderEntered(order(101, 7, 10, **fok))], NOW_S
    )
    assert told(result.fills) == [(101, 1, 10, 7 * YUAN)]
    assert states(result) == {100: ("cancelled", "fok", 11), 101: ("filled", "", 0)}


def test_ioc_takes_what_is_there_and_goes(engine):
    state = book(engine, offers=[offer(1, 7)])
    ioc = order(100, 7, 11, time_in_force=TimeInForce.IOC, **AT_ONCE)
    result = state.apply([OrderEntered(ioc)], NOW_S)
    assert states(result) == {100: ("cancelled", "ioc", 1)}
    assert result.outcomes[0].filled_units == 10


def test_past_its_good_till_an_order_is_not_matched_though_the_sweep_is_late(engine):
    gtd = order(100, 7, 1, time_in_force=TimeInForce.GTD, good_till_s=NOW_S + 60)
    state = book(engine)
    state.apply([OrderEntered(gtd)], NOW_S)
    late = state.apply([OfferEntered(offer(1, 7))], NOW_S + 60)
    expired = state.apply([OrderExpired(100, "good_till")], NOW_S + 61)
    assert not late.fills
    assert states(expired) == {100: ("expired", "good_till", 1)}


def test_an_order_that_can_no_longer_be_met_expires_as_it_enters(engine):
    state = book(engine, offers=[offer(1, 7)])
    result = state.apply([OrderEntered(order(100, 7, 1, latest_slot=SLOT + 1))], NOW_S)
    assert states(result) == {100: ("expired", "window", 1)}


def test_a_cancel_takes_the_rest_and_nothing_twice(engine):
    state = book(engine, offers=[offer(1, 7)])
    entered = order(100, 7, 11, **AT_ONCE)
    events = [OrderEntered(entered), OrderCancelled(100), OrderCancelled(100), OrderCancelled(7)]
    result = state.apply(events, NOW_S)
    assert states(result) == {100: ("cancelled", "requested", 1)}
    assert result.outcomes[0].filled_units == 10


# Starts and tariffs


def test_of_equally_dear_starts_the_earliest_is_taken(engine):
    state = book(engine, offers=[offer(1, 7)])
    result = state.apply([OrderEntered(order(100, 7, 1, earliest_slot=SLOT + 4))], NOW_S)
    assert result.fills[0].start_slot == SLOT + 4


def test_a_tariff_sends_a_flexible_order_to_the_cheap_hours(engine):
    by_hour = tuple((9 if 8 <= hour < 22 else 4) * YUAN for hour in range(24))
    state = book(engine, offers=[offer(1, 0, prices=by_hour)])
    result = state.apply([OrderEntered(order(100, 9, 1))], NOW_S)
    start = result.fills[0].start_slot
    assert start % 24 == 22  # the first hours of the night after slot 1000 (16:00)
    assert start == SLOT + 6
    assert result.fills[0].price_numerator == 2 * 4 * YUAN * 3600


def test_a_scheduled_order_never_starts_in_the_slot_that_runs(engine):
    state = book(engine, offers=[offer(1, 7)])
    result = state.apply([OrderEntered(order(100, 7, 1))], NOW_S + 1)
    assert result.fills[0].start_slot == SLOT + 1


def test_on_demand_starts_now_and_pays_the_rest_of_the_slot_by_the_second(engine):
    state = book(engine, offers=[offer(1, 7)])
    wanted = order(100, 7, 2, on_demand=True, duration_slots=3)
    fill = state.apply([OrderEntered(wanted)], NOW_S + 600).fills[0]
    assert (fill.start_slot, fill.end_slot) == (SLOT, SLOT + 4)
    assert (fill.start_s, fill.end_s) == (NOW_S + 600, NOW_S + 4 * 3600)
    assert fill.seconds == 3000 + 3 * 3600
    assert fill.price_numerator == 7 * YUAN * fill.seconds
    assert fill.starts_now


def test_a_resting_on_demand_order_is_matched_when_the_clock_opens_a_slot(engine):
    claims = [Claim(1, 1, 10, SLOT, SLOT + 1)]
    state = book(engine, offers=[offer(1, 7)], claims=claims)
    waits = state.apply([OrderEntered(order(100, 7, 2, on_demand=True))], NOW_S)
    ticked = state.apply([ClockTicked()], NOW_S + 3600)
    assert not waits.fills
    assert told(ticked.fills) == [(100, 1, 2, 7 * YUAN)]


# Transport


def test_the_all_in_price_counts_the_way_of_the_data(engine):
    pools = [pool(1), pool(2, region="luoyang")]
    offers = [offer(1, 8), offer(2, 7, pool_id=2)]
    heavy = order(100, 9, 1, data_region="zhengzhou", data_milli_gb=1_000_000)
    light = order(101, 9, 1, data_region="zhengzhou", data_milli_gb=1_000)
    result = book(engine, pools=pools, offers=offers).apply(
        [OrderEntered(heavy), OrderEntered(light)], NOW_S
    )
    # 1,000 GB at 0.004 yuan over two hours are 2 yuan an hour: 9.000 in Luoyang, 8 at home
    assert [fill.offer for fill in result.fills] == [1, 2]
    assert result.fills[1].transport_nano_per_unit == 1_000 * 4_000
    assert result.fills[1].links == (1,)


def test_the_limit_holds_with_transport_and_the_resting_order_pays_its_limit_less_transport(engine):
    data = {"data_region": "zhengzhou", "data_milli_gb": 500_000}  # 1 yuan an hour for two hours
    state = book(engine, pools=[pool(1, region="luoyang")])
    state.apply([OrderEntered(order(100, 7, 1, **data)), OrderEntered(order(101, 8, 1))], NOW_S)
    dear = state.apply([OfferEntered(replace(offer(1, 7), entry=(2, 0), units=1))], NOW_S)
    cheap = state.apply([OfferEntered(replace(offer(2, 6), entry=(3, 0)))], NOW_S)
    assert told(dear.fills) == [(101, 1, 1, 8 * YUAN)]
    assert told(cheap.fills) == [(100, 2, 1, 6 * YUAN)]  # 7 less 1


def test_an_arriving_offer_ranks_orders_by_what_is_left_for_it(engine):
    data = {"data_region": "zhengzhou", "data_milli_gb": 1_000_000}  # 2 yuan an hour
    state = book(engine, pools=[pool(1, region="luoyang")])
    state.apply([OrderEntered(order(100, 9, 1, **data)), OrderEntered(order(101, 8, 1))], NOW_S)
    result = state.apply([OfferEntered(replace(offer(1, 5), entry=(2, 0), units=1))], NOW_S)
    assert [(fill.order, fill.start_slot) for fill in result.fills] == [
        (101, SLOT),
        (100, SLOT + 2),
    ]


# Placement


def test_same_pool_takes_the_pool_that_fills_most(engine):
    offers = [offer(1, 5, units=6), offer(2, 9, pool_id=2)]
    state = book(engine, pools=[pool(1), pool(2)], offers=offers)
    together = order(100, 9, 8, placement=Placement.SAME_POOL)
    assert told(state.apply([OrderEntered(together)], NOW_S).fills) == [(100, 2, 8, 9 * YUAN)]


def test_same_centre_may_use_several_pools_of_it_at_one_start(engine):
    pools = [pool(1, centre=77), pool(2, centre=77), pool(3)]
    offers = [offer(1, 5, units=6), offer(2, 9, pool_id=2), offer(3, 8, pool_id=3, units=7)]
    state = book(engine, pools=pools, offers=offers)
    result = state.apply([OrderEntered(order(100, 9, 8, placement=Placement.SAME_CENTRE))], NOW_S)
    assert told(result.fills) == [(100, 1, 6, 5 * YUAN), (100, 2, 2, 9 * YUAN)]
    assert {fill.start_slot for fill in result.fills} == {SLOT}
    assert result.outcomes[0].anchor == Anchor(77, SLOT)


def test_of_places_that_fill_as_much_the_cheaper_whole_wins(engine):
    pools = [pool(1, centre=77), pool(2, centre=77), pool(3)]
    offers = [offer(1, 5, units=1), offer(2, 9, pool_id=2), offer(3, 8, pool_id=3)]
    state = book(engine, pools=pools, offers=offers)
    result = state.apply([OrderEntered(order(100, 9, 8, placement=Placement.SAME_CENTRE))], NOW_S)
    assert [fill.offer for fill in result.fills] == [3]


def test_later_fills_keep_to_the_place_and_start_of_the_first(engine):
    state = book(engine, pools=[pool(1), pool(2)], offers=[offer(1, 5, units=4)])
    together = order(100, 9, 8, placement=Placement.SAME_POOL, earliest_slot=SLOT + 5)
    first = state.apply([OrderEntered(together)], NOW_S)
    elsewhere = state.apply([OfferEntered(replace(offer(2, 5, pool_id=2), entry=(2, 0)))], NOW_S)
    here = state.apply([OfferEntered(replace(offer(3, 6), entry=(3, 0)))], NOW_S)
    assert first.fills[0].units == 4
    assert not elsewhere.fills
    assert [(fill.offer, fill.units, fill.start_slot) for fill in here.fills] == [(3, 4, SLOT + 5)]


# Ceiling


def test_the_ceiling_reduces_the_units_to_what_it_pays_for(engine):
    state = book(engine, offers=[offer(1, 7)])
    # 7 yuan x 2 hours = 14 yuan a unit: 50 yuan pay for three
    capped = order(100, 9, 5, max_cost_micro=50 * YUAN, **AT_ONCE)
    result = state.apply([OrderEntered(capped)], NOW_S)
    assert [fill.units for fill in result.fills] == [3]
    assert result.outcomes[0].spent_micro == 42 * YUAN
    assert result.outcomes[0].state is OutcomeState.PARTIALLY_FILLED


# Each constraint by itself


@pytest.mark.parametrize(
    ("facts", "wish"),
    [
        ({"grade": 2}, {}),
        ({"region": "luoyang"}, {"regions_allowed": frozenset({"zhengzhou"})}),
        ({"region": "luoyang"}, {"regions_excluded": frozenset({"luoyang"})}),
        ({"region": "luoyang"}, {"rtt_region": "zhengzhou", "max_rtt_us": 1_699}),
        ({"region": "hami"}, {"data_region": "zhengzhou", "data_milli_gb": 1}),
        ({"green_share_bp": 4_999}, {"min_green_share_bp": 5_000}),
        ({"pue_milli": 1_301}, {"max_pue_milli": 1_300}),
        ({"reliability_bp": 9_989}, {"min_reliability_bp": 9_990}),
        ({"units": 0}, {}),
        ({"open": False}, {}),
    ],
)
def test_a_pool_that_fails_a_wish_is_passed_over(engine, facts, wish):
    offers = [offer(1, 5), offer(2, 9, pool_id=2)]
    well = {"green_share_bp": 5_000, "pue_milli": 1_300, "reliability_bp": 9_990}
    pools = [pool(1, **(well | facts)), pool(2, **well)]
    result = book(engine, pools=pools, offers=offers).apply(
        [OrderEntered(order(100, 9, 1, **wish))], NOW_S
    )
    assert [fill.offer for fill in result.fills] == [2]


@pytest.mark.parametrize(
    "terms",
    [
        {"reclaimable": True},
        {"min_duration_slots": 3},
        {"max_duration_slots": 1},
        {"min_chunk_units": 2},
        {"start_slot": SLOT + 49},
        {"end_slot": SLOT + 1},
        {"open": False},
    ],
)
def test_an_offer_whose_terms_do_not_fit_is_passed_over(engine, terms):
    state = book(engine, offers=[offer(1, 5, **terms), offer(2, 9)])
    result = state.apply([OrderEntered(order(100, 9, 1))], NOW_S)
    assert [fill.offer for fill in result.fills] == [2]


def test_grades_may_stand_in_for_one_another_each_at_its_own_limit(engine):
    offers = [offer(1, 6), offer(2, 7, pool_id=2)]
    state = book(engine, pools=[pool(1), pool(2, grade=2)], offers=offers)
    either = order(100, 5, 12, limits=((1, 5 * YUAN), (2, 8 * YUAN)), **AT_ONCE)
    assert told(state.apply([OrderEntered(either)], NOW_S).fills) == [(100, 2, 10, 7 * YUAN)]


def test_a_quote_changes_nothing(engine):
    state = book(engine, offers=[offer(1, 7)])
    asked = order(100, 7, 12)
    first = state.quote(asked, NOW_S)
    assert state.quote(asked, NOW_S) == first
    assert list(state.apply([OrderEntered(asked)], NOW_S).fills) == first


def test_a_quote_that_takes_everything_hides_nothing_from_the_next_order(engine):
    short = {"units": 6, "end_slot": SLOT + 2}
    state = book(engine, pools=[pool(units=6)], offers=[offer(1, 5, **short), offer(2, 6, **short)])
    assert told(state.quote(order(100, 9, 20, **AT_ONCE), NOW_S)) == [(100, 1, 6, 5 * YUAN)]
    events = [OfferClosed(1), OrderEntered(order(101, 9, 1, **AT_ONCE))]
    assert told(state.apply(events, NOW_S).fills) == [(101, 2, 1, 6 * YUAN)]
