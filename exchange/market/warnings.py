"""What to tell whoever is about to place an order that may never be filled. Pure.

Each warning has the name of a rule. Those of `conditions` mean that *every* pool of the order's
grades, or every offer, is turned away by that rule alone: nothing but a change of the pools, the
offers or the order itself can help, however long it waits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from exchange.market import conditions
from exchange.market.engine import BookState
from exchange.market.explain import Explanation
from exchange.market.terms import OfferTerms, OrderTerms, Placement, PoolTerms, TimeInForce


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning: the rule's name, and what it means for this order."""

    rule: str
    says: str


_NOWHERE: Final = OfferTerms(0, 0, 0, (0, 0), 1, 0, 1, (1,))  # for tests that look at pools alone


def warnings_of(state: BookState, order: OrderTerms, told: Explanation, now_s: int) -> list[Warned]:
    """All that should be known before the order is placed, or while it waits."""
    pools = [p for p in state.pools() if conditions.limit_of(order, p.grade) is not None]
    if not pools:
        return [Warned("no_pool", "No pool of these grades is registered; the order would wait.")]
    warned = [*_of_pools(state, order, pools), *_of_offers(state, order, now_s)]
    filled = sum(fill.units for fill in told.fills)
    if not told.pools_that_fit:
        warned.append(
            Warned(
                "nothing_fits_now",
                "No offer fits now; see tests and nearest for what stands in the way.",
            )
        )
    elif filled < order.remaining_units:
        warned.append(Warned("filled_in_part", "Only a part would be filled now."))
    return warned


def _of_pools(state: BookState, order: OrderTerms, pools: Sequence[PoolTerms]) -> Iterator[Warned]:
    """What no pool of the grades can meet, whatever is offered of it."""
    for name, test in conditions.TESTS:
        if name in conditions.POOL_TESTS and not any(
            test(order, _NOWHERE, pool, state.network) for pool in pools
        ):
            yield Warned(name, f"No pool of these grades meets `{name}`.")
    fewest, most = conditions.fewest_units(order), _most_units(order, pools)
    if fewest > most:
        yield Warned(
            "units",
            f"At least {fewest} units must be filled at once, and the placement allows for {most} "
            "at the most.",
        )


def _most_units(order: OrderTerms, pools: Sequence[PoolTerms]) -> int:
    """The most units that could be filled at once by all pools of one place, if all were free."""
    if order.placement is Placement.ANYWHERE:
        return sum(pool.units for pool in pools)
    by_place: dict[int | str, int] = {}
    for pool in pools:
        place = conditions.place_of(order.placement, pool)
        by_place[place] = by_place.get(place, 0) + pool.units
    return max(by_place.values())


def _of_offers(state: BookState, order: OrderTerms, now_s: int) -> Iterator[Warned]:
    """What none of the present offers can meet, at whatever hour."""
    grades = {pool.id: pool.grade for pool in state.pools()}
    offers = [
        (offer, limit)
        for offer in state.offers()
        if offer.open and (limit := conditions.limit_of(order, grades[offer.pool])) is not None
    ]
    if not offers:
        return
    if all(min(offer.prices) > limit for offer, limit in offers):
        yield Warned("price", "Every offer of these grades asks more than the limit at any hour.")
    if order.max_cost_micro is not None:
        seconds = conditions.seconds_taken(order, now_s)
        left = order.max_cost_micro - order.spent_micro
        least = min(
            conditions.chunk_of(offer) * min(offer.prices) * seconds // 3600 for offer, _ in offers
        )
        if left < least:
            yield Warned("ceiling", "The ceiling is below what the cheapest chunk offered costs.")
    for name, fits in (
        (
            "duration",
            lambda o: o.min_duration_slots <= order.duration_slots <= o.max_duration_slots,
        ),
        ("chunk", lambda o: o.min_chunk_units <= order.remaining_units),
        ("reclaimable", lambda o: order.accept_reclaimable or not o.reclaimable),
        ("self_trade", lambda o: o.provider != order.buyer),
    ):
        if not any(fits(offer) for offer, _ in offers):
            yield Warned(name, f"Every offer of these grades is turned away by `{name}`.")
    if order.time_in_force is TimeInForce.FOK and order.min_units < order.units:
        yield Warned(
            "fill_or_kill", "All units are filled at once or none: min_units says nothing."
        )
