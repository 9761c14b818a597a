"""The day with a day-ahead call auction before the book.

A share of every offer goes to the auction, as steps at its price in each of the day's slots. Every
deferrable order whose window lies in the day bids its limit for a block: one grade that it accepts
and one region, drawn by what is auctioned there, and one start in its window, drawn evenly, since
an auction order takes no constraint finer than grade and zone and has one start. Zones are regions
and no links join them, as jobs stay in one pool: so each grade and region clears by itself, and
what clears lies in its pool. What is not sold returns to the book, and so do buyers without luck.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from demo.mechanisms import book
from demo.mechanisms.day import Day, Deal, Offered, Result, Sale, Wanted
from demo.mechanisms.options import Options
from exchange.market.auction.clearing import clear
from exchange.market.auction.problem import Block, Node, Problem, Side, Step
from exchange.market.auction.result import Method
from exchange.market.auction.result import Result as Cleared
from exchange.market.terms import Claim, PoolTerms

AUCTION: Final = "auction"
MOST_PRICE_MICRO: Final = 10**12


@dataclass(frozen=True, slots=True)
class Bid:
    """A deferrable order's block in the auction of one pool."""

    want: Wanted
    start_slot: int

    @property
    def slots(self) -> range:
        """Where it would run."""
        return range(self.start_slot, self.start_slot + self.want.order.duration_slots)


def run(day: Day, options: Options) -> Result:
    """Auction first, then the continuous book over what is left."""
    begun = time.perf_counter()
    result = Result(AUCTION)
    claims: list[Claim] = []
    served: set[int] = set()
    bids = _bids(day, options)
    methods: dict[str, int] = defaultdict(int)
    gaps = [0.0]
    for pool in day.pools:
        if not bids.get(pool.id):
            continue
        steps = dict(_steps(day, pool, options))
        cleared = clear(
            _problem(day, pool, [step for step, _ in steps.values()], bids[pool.id]),
            time_limit_s=options.auction_seconds,
            gap=options.auction_gap,
        )
        methods[cleared.method.value] += 1
        gaps.append(cleared.gap)
        sold = list(_sales(pool, steps, cleared))
        result.sales += sold
        claims += [Claim(s.offer, s.pool, s.units, s.start_slot, s.end_slot) for s in sold]
        for deal in _deals(pool, bids[pool.id], cleared):
            result.deals.append(deal)
            served.add(deal.order)
    result.notes = {
        "bids": sum(map(len, bids.values())),
        "bids_served": len(served),
        "clearings": dict(methods),
        "proven": methods[Method.OPTIMAL.value] == sum(methods.values()),
        "largest_gap": max(gaps),
        "auction_seconds": round(time.perf_counter() - begun, 1),
    }
    rest = book.run(day, waits=True, claims=claims, served=frozenset(served))
    result.deals += rest.deals
    result.sales += rest.sales
    result.refusals = rest.refusals
    result.seconds = time.perf_counter() - begun
    return result


def _bids(day: Day, options: Options) -> dict[int, list[Bid]]:
    """By pool, those who bid for it."""
    dice = random.Random(options.seed + 1)  # noqa: S311 - a replay wants to be repeatable
    by_grade: dict[int, list[PoolTerms]] = defaultdict(list)
    for pool in day.pools:
        by_grade[pool.grade].append(pool)
    bids: dict[int, list[Bid]] = defaultdict(list)
    for want in day.wanted:
        order = want.order
        last = min(order.latest_slot, day.end_slot) - order.duration_slots
        pools = [pool for grade, _ in order.limits for pool in by_grade.get(grade, ())]
        if want.deferrable and last >= order.earliest_slot and pools:
            pool = dice.choices(pools, weights=[pool.units for pool in pools])[0]
            bids[pool.id].append(Bid(want, dice.randint(order.earliest_slot, last)))
    return bids


def _steps(
    day: Day, pool: PoolTerms, options: Options
) -> Iterator[tuple[str, tuple[Step, Offered]]]:
    """What the offers of a pool bring to the auction."""
    for offered in day.offers:
        units = int(offered.terms.units * options.auction_share)
        if offered.terms.pool != pool.id or not units:
            continue
        for slot in range(
            max(offered.terms.start_slot, day.first_slot), min(offered.terms.end_slot, day.end_slot)
        ):
            id_ = f"{offered.terms.id}-{slot}"
            step = Step(
                id_, Side.SELL, str(pool.grade), pool.region, slot, offered.price_micro, units
            )
            yield id_, (step, offered)


def _problem(day: Day, pool: PoolTerms, steps: list[Step], bids: list[Bid]) -> Problem:
    return Problem(
        zones=(pool.region,),
        grades=(str(pool.grade),),
        slots=tuple(range(day.first_slot, day.end_slot)),
        steps=tuple(steps),
        blocks=tuple(
            Block(
                id=str(bid.want.order.id),
                side=Side.BUY,
                grade=str(pool.grade),
                zone=pool.region,
                price_micro=bid.want.value_micro,
                units_by_slot=tuple((slot, bid.want.order.units) for slot in bid.slots),
            )
            for bid in bids
        ),
        highest_price_micro=MOST_PRICE_MICRO,
    )


def _sales(
    pool: PoolTerms, steps: Mapping[str, tuple[Step, Offered]], cleared: Cleared
) -> Iterator[Sale]:
    for id_, units in cleared.step_units.items():
        if units:
            step, offered = steps[id_]
            yield Sale(
                offer=offered.terms.id,
                pool=pool.id,
                units=units,
                start_slot=step.slot,
                end_slot=step.slot + 1,
                received_micro=units * cleared.prices_micro[step.node],
                asked_micro=units * offered.price_micro,
            )


def _deals(pool: PoolTerms, bids: list[Bid], cleared: Cleared) -> Iterator[Deal]:
    bid_of = {str(bid.want.order.id): bid for bid in bids}
    for answer in cleared.blocks:
        if answer.lots:
            bid = bid_of[answer.id]
            prices = [
                cleared.prices_micro[Node(str(pool.grade), pool.region, slot)] for slot in bid.slots
            ]
            units = bid.want.order.units
            yield Deal(
                bid.want.order.id,
                units,
                bid.slots.start,
                bid.slots.stop,
                paid_micro=units * sum(prices),
            )
