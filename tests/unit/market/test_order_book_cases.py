"""Cases that every order book knows, as tables: what rests, what comes, what trades.

Restated for one pool each, one grade and one slot from what public engines test (price-time
priority, partial fills, ioc, fok, cancel); here the seller's side is always an offer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from exchange.market.terms import (
    OfferClosed,
    OfferEntered,
    OrderCancelled,
    OrderEntered,
    TimeInForce,
)
from tests.unit.market.scene import ENGINES, NOW_S, SLOT, YUAN, book, offer, order, pool


@dataclass(frozen=True)
class Ask:
    id: int
    price: int
    units: int


@dataclass(frozen=True)
class Bid:
    id: int
    price: int
    units: int
    how: TimeInForce = TimeInForce.GTC


@dataclass(frozen=True)
class Cancel:
    id: int


IOC, FOK = TimeInForce.IOC, TimeInForce.FOK
ONE_SLOT = {"duration_slots": 1, "earliest_slot": SLOT, "latest_slot": SLOT + 1}

CASES = {
    "nothing trades below the ask": ([Ask(1, 10, 5), Bid(101, 9, 5)], [], {101: 5}),
    "a bid at the ask trades": ([Ask(1, 10, 5), Bid(101, 10, 5)], [(101, 1, 5, 10)], {}),
    "who crosses pays the resting price": (
        [Ask(1, 10, 5), Bid(101, 12, 5)],
        [(101, 1, 5, 10)],
        {},
    ),
    "an ask that crosses gets the resting price": (
        [Bid(101, 12, 5), Ask(1, 10, 5)],
        [(101, 1, 5, 12)],
        {},
    ),
    "the better ask first": (
        [Ask(1, 11, 5), Ask(2, 10, 5), Bid(101, 11, 8)],
        [(101, 2, 5, 10), (101, 1, 3, 11)],
        {},
    ),
    "at one price the earlier ask first": (
        [Ask(2, 10, 5), Ask(1, 10, 5), Bid(101, 10, 6)],
        [(101, 2, 5, 10), (101, 1, 1, 10)],
        {},
    ),
    "the better bid first": (
        [Bid(101, 10, 5), Bid(102, 11, 5), Ask(1, 10, 7)],
        [(102, 1, 5, 11), (101, 1, 2, 10)],
        {101: 3},
    ),
    "at one price the earlier bid first": (
        [Bid(102, 10, 5), Bid(101, 10, 5), Ask(1, 9, 7)],
        [(102, 1, 5, 10), (101, 1, 2, 10)],
        {101: 3},
    ),
    "a rest keeps its priority": (
        [Bid(101, 10, 5), Ask(1, 10, 2), Bid(102, 10, 5), Ask(2, 10, 4)],
        [(101, 1, 2, 10), (101, 2, 3, 10), (102, 2, 1, 10)],
        {102: 4},
    ),
    "what is left of a bid rests": ([Ask(1, 10, 3), Bid(101, 10, 5)], [(101, 1, 3, 10)], {101: 2}),
    "what is left of an ask sells later": (
        [Ask(1, 10, 5), Bid(101, 10, 2), Bid(102, 10, 3)],
        [(101, 1, 2, 10), (102, 1, 3, 10)],
        {},
    ),
    "ioc takes what is there": ([Ask(1, 10, 3), Bid(101, 10, 5, IOC)], [(101, 1, 3, 10)], {}),
    "ioc takes nothing and goes": ([Ask(1, 10, 3), Bid(101, 9, 5, IOC)], [], {}),
    "fok takes all over several asks": (
        [Ask(1, 10, 3), Ask(2, 11, 3), Bid(101, 11, 5, FOK)],
        [(101, 1, 3, 10), (101, 2, 2, 11)],
        {},
    ),
    "fok takes nothing where all is not there": (
        [Ask(1, 10, 3), Ask(2, 12, 3), Bid(101, 11, 5, FOK), Bid(102, 10, 3)],
        [(102, 1, 3, 10)],
        {},
    ),
    "a cancelled bid trades no more": (
        [Bid(101, 10, 5), Bid(102, 9, 5), Cancel(101), Ask(1, 9, 5)],
        [(102, 1, 5, 9)],
        {},
    ),
    "the rest of a bid can be cancelled": (
        [Ask(1, 10, 3), Bid(101, 10, 5), Cancel(101), Ask(2, 10, 5)],
        [(101, 1, 3, 10)],
        {},
    ),
    "a cancelled ask sells no more": (
        [Ask(1, 10, 5), Ask(2, 11, 5), Cancel(1), Bid(101, 11, 5)],
        [(101, 2, 5, 11)],
        {},
    ),
    "cancelling what is filled or unknown does nothing": (
        [Ask(1, 10, 5), Bid(101, 10, 5), Cancel(101), Cancel(199)],
        [(101, 1, 5, 10)],
        {},
    ),
    "a bid sweeps the book up to its limit": (
        [Ask(1, 10, 1), Ask(2, 11, 1), Ask(3, 12, 1), Ask(4, 13, 1), Bid(101, 12, 9)],
        [(101, 1, 1, 10), (101, 2, 1, 11), (101, 3, 1, 12)],
        {101: 6},
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", CASES)
def test_the_case(engine, case):
    steps, trades, rests = CASES[case]
    asks = [step.id for step in steps if isinstance(step, Ask)]
    state = book(engine, pools=[pool(1), *(pool(10 + id_) for id_ in asks)])
    events = [_event(step, (1, number)) for number, step in enumerate(steps)]
    result = state.apply(events, NOW_S)
    made = [(f.order, f.offer, f.units, f.price_numerator // 3600 // YUAN) for f in result.fills]
    assert made == trades
    assert {id_: left.remaining_units for id_, left in state.orders.items()} == rests


def _event(step, entry):
    if isinstance(step, Cancel):
        return OrderCancelled(step.id) if step.id > 100 else OfferClosed(step.id)
    if isinstance(step, Bid):
        return OrderEntered(
            replace(
                order(step.id, step.price, step.units, **ONE_SLOT),
                entry=entry,
                time_in_force=step.how,
            )
        )
    sold = {"pool_id": 10 + step.id, "units": step.units, "end_slot": SLOT + 1}
    return OfferEntered(replace(offer(step.id, step.price, **sold), entry=entry))
