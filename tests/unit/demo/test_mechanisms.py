"""Each mechanism on a tiny day whose answer can be worked out by hand.

One pool of ten units unless said; whole yuan; times in hours after midnight.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from demo.mechanisms import auction, book
from demo.mechanisms.day import FIRST_SLOT, Day, Offered, Result, Wanted
from demo.mechanisms.figures import ALL, Broken, check, measure, percentiles
from demo.mechanisms.options import Options
from exchange.market.terms import OfferTerms, OrderTerms, Placement, PoolTerms

YUAN = 1_000_000
WHOLLY = Options(auction_share=1.0)


def pool(id_: int = 1, units: int = 10) -> PoolTerms:
    return PoolTerms(id=id_, provider=id_, centre=id_, region=f"r{id_}", grade=1, units=units)


def offer(
    id_: int, price: int, *, units: int = 10, of: int = 1, at: float = 0, hours: Any = (0, 48)
) -> Offered:
    terms = OfferTerms(
        id=id_,
        pool=of,
        provider=of,
        entry=(0, id_),
        units=units,
        start_slot=FIRST_SLOT + hours[0],
        end_slot=FIRST_SLOT + hours[1],
        prices=(price * YUAN,),
    )
    return Offered(terms=terms, at_s=int(at * 3600))


def want(
    id_: int,
    limit: int,
    units: int = 10,
    *,
    at: float = 0,
    slots: int = 2,
    slack: int = 0,
    deferrable: bool = False,
    **facts: Any,
) -> Wanted:
    earliest = FIRST_SLOT + -(-int(at * 3600) // 3600)
    order = OrderTerms(
        id=id_,
        buyer=100 + id_,
        entry=(1, id_),
        limits=((1, limit * YUAN),),
        units=units,
        remaining_units=units,
        min_units=units,
        duration_slots=slots,
        earliest_slot=earliest,
        latest_slot=earliest + slots + slack,
        placement=Placement.SAME_POOL,
        **facts,
    )
    return Wanted(
        order=order, at_s=int(at * 3600), resource_class="intelligent", deferrable=deferrable
    )


def day(pools: Any, offers: Any, wanted: Any) -> Day:
    return Day(tuple(pools), tuple(offers), tuple(wanted), {1: "intelligent.t4"})


def told(result: Result) -> list[tuple[int, int, int, float]]:
    """(order, first hour, hour after the last, yuan per unit-hour) of each deal, by order."""
    return sorted(
        (
            deal.order,
            deal.start_slot - FIRST_SLOT,
            deal.end_slot - FIRST_SLOT,
            deal.paid_micro / deal.unit_hours / YUAN,
        )
        for deal in result.deals
    )


def test_at_posted_prices_the_first_takes_the_cheapest_and_who_finds_nothing_leaves():
    a_day = day(
        [pool(1), pool(2)],
        [offer(1, 3, of=1), offer(2, 5, of=2)],
        [
            want(1, 6, at=0.1),
            want(2, 6, at=0.2),
            want(3, 9, at=0.3),  # finds both pools sold
            want(4, 6, at=0.4, slack=2),  # may start later
            want(5, 2, at=0.5),  # cannot pay
            want(6, 6, at=0.6, min_green_share_bp=1),
        ],
    )
    result = book.run(a_day, waits=False)
    assert told(result) == [(1, 1, 3, 3.0), (2, 1, 3, 5.0), (4, 3, 5, 3.0)]
    assert result.refusals == {3: "units", 5: "price", 6: "green"}


def test_what_rests_gets_the_offer_that_comes_later_at_its_own_limit():
    later = day(
        [pool()], [offer(1, 9), offer(2, 2, at=5, hours=(6, 12))], [want(1, 4, at=1, slack=6)]
    )
    posted, continuous = book.run(later, waits=False), book.run(later, waits=True)
    assert told(posted) == []
    assert posted.refusals == {1: "price"}
    # The order rested first: its limit is the price, and the provider gets 2 more than it asked.
    assert told(continuous) == [(1, 6, 8, 4.0)]
    found = measure(later, continuous).by_class[ALL]
    assert (found.buyers_cost, found.sellers_surplus, found.buyers_surplus) == (80.0, 40.0, 0.0)
    assert found.welfare == 40.0
    assert found.delay_percentiles == {"p50": 5.0, "p90": 5.0, "p99": 5.0}
    assert found.wait_percentiles["p50"] == 5.0
    assert found.delayed == {5: 1}


def test_what_rests_is_let_go_when_its_window_is_over():
    over = day([pool()], [offer(1, 9), offer(2, 2, at=8, hours=(8, 12))], [want(1, 4, at=1)])
    assert told(book.run(over, waits=True)) == []


def test_the_auction_serves_who_values_it_most_and_the_book_who_comes_first():
    contest = day(
        [pool()],
        [offer(1, 1)],
        # The first wants hours 1 and 2, the second hour 2 only.
        [want(1, 3, at=1, deferrable=True), want(2, 8, at=1.5, slots=1, deferrable=True)],
    )
    continuous, auctioned = book.run(contest, waits=True), auction.run(contest, WHOLLY)
    assert told(continuous) == [(1, 1, 3, 1.0)]
    # The second is worth 10 x (8 - 1), the first 20 x (3 - 1); the price lies between.
    ((order, start, end, price),) = told(auctioned)
    assert (order, start, end) == (2, 2, 3)
    assert 1.0 <= price <= 8.0
    assert (auctioned.notes["bids"], auctioned.notes["bids_served"]) == (2, 1)
    welfare = [measure(contest, result).by_class[ALL].welfare for result in (continuous, auctioned)]
    assert welfare == [40.0, 70.0]


def test_the_book_has_what_the_auction_left_over():
    rest = day(
        [pool()],
        [offer(1, 1)],
        [want(1, 3, 4, at=1, deferrable=True), want(2, 8, 6, at=1), want(3, 9, 1, at=1)],
    )
    result = auction.run(rest, WHOLLY)
    # Four of ten were sold before; six are left for the second, none for the third.
    assert [line[:3] for line in told(result)] == [(1, 1, 3), (2, 1, 3)]
    assert result.refusals == {3: "units"}


def test_who_wins_nothing_in_the_auction_comes_to_the_book():
    half = day([pool()], [offer(1, 1)], [want(1, 3, 6, at=1, deferrable=True)])
    result = auction.run(half, replace(WHOLLY, auction_share=0.5))  # five units for a block of six
    assert result.notes["bids_served"] == 0
    assert told(result) == [(1, 1, 3, 1.0)]


def test_an_order_that_cannot_end_within_the_day_does_not_bid():
    late = day([pool()], [offer(1, 1)], [want(1, 3, at=23, deferrable=True)])
    result = auction.run(late, WHOLLY)
    assert result.notes["bids"] == 0
    assert told(result) == [(1, 23, 25, 1.0)]


def test_figures_of_a_day_worked_out_by_hand():
    a_day = day(
        [pool(units=20)],
        [offer(1, 2, units=20)],
        [want(1, 5, 10, at=1, slots=3), want(2, 1, 10, at=2), want(3, 4, 20, at=3, slots=1)],
    )
    # The first runs in hours 1 to 3; the third finds 10 of 20 left in hour 3.
    found = measure(a_day, book.run(a_day, waits=False)).by_class[ALL]
    assert (found.orders, found.unit_hours) == (3, 70)
    assert found.orders_served == pytest.approx(1 / 3)
    assert found.unit_hours_served == pytest.approx(30 / 70)
    assert (found.buyers_cost, found.buyers_surplus, found.sellers_surplus) == (60.0, 90.0, 0.0)
    assert found.welfare == 90.0
    assert found.price_mean == 2.0
    assert found.utilisation_by_hour == (0.0, 0.5, 0.5, 0.5) + (0.0,) * 20
    assert found.utilisation == pytest.approx(1.5 / 24)
    assert found.unserved_by_reason == {"price": 1, "units": 1}


def test_percentiles_go_by_weight():
    weighted = [(1.0, 9.0), (5.0, 1.0)]
    assert percentiles(weighted, (50, 90, 91)) == {"p50": 1.0, "p90": 1.0, "p91": 5.0}
    assert percentiles([], (50,)) == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"deals": {"paid_micro": 41 * YUAN}}, "paid"),
        ({"sales": {"units": 11}}, "sold beyond its units"),
        ({"sales": {"asked_micro": 41 * YUAN}}, "below its price"),
        ({"deals": {"units": 9}}, "all or nothing"),
        ({"deals": {"end_slot": FIRST_SLOT + 3}}, "outside its window"),
        (
            {"deals": {"paid_micro": 101 * YUAN}, "sales": {"received_micro": 101 * YUAN}},
            "more than its limit",
        ),
    ],
)
def test_a_result_that_cannot_be_is_refused(changes, said):
    a_day = day([pool()], [offer(1, 2)], [want(1, 5)])
    result = book.run(a_day, waits=True)
    check(a_day, result)
    for name, change in changes.items():
        rows = getattr(result, name)
        rows[0] = replace(rows[0], **change)
    with pytest.raises(Broken, match=said):
        check(a_day, result)
