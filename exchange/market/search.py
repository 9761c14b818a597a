"""Finding what an order would be filled with: what `reference` finds, without looking at all of it.

Offers are looked at in the order of the least they can ask, which bounds their all-in value from
below; a search ends as soon as nothing that is left could rank better. Possible starts are bits of
a whole number. What a pool says to an order's wishes is remembered by the wishes, since many orders
share theirs. `walk` and `together` find on these means what an order is filled with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from core.slots import SLOTS_PER_DAY
from exchange.market import conditions
from exchange.market.calendar import runs
from exchange.market.conditions import POOL_TESTS, TESTS
from exchange.market.supply import ANY_HOUR, OfferStock, Supply, Tariff
from exchange.market.terms import (
    Entry,
    Network,
    OrderTerms,
    PathTerms,
    PoolTerms,
)

Rank = tuple[int, Entry, int, int]
"""(all-in value, the offer's entry, its id, start): smaller is better."""

_MOST_WISHES_KEPT: Final = 20_000
_WISHES_OF_POOL: Final = tuple(test for name, test in TESTS if name in POOL_TESTS)


@dataclass(frozen=True, slots=True)
class Part:
    """Units of one offer from one start, at the trade's price numerator."""

    offer: OfferStock
    start: int
    units: int
    numerator: int
    path: PathTerms
    value: int  # all-in, at the offer's own price


Plan = list[Part]
Wishes = tuple[object, ...]


@dataclass(slots=True)
class Ask:
    """An order at a moment: all that does not depend on the offer."""

    order: OrderTerms
    now_s: int
    starts: range
    slots: int
    whole_slots: int  # that are taken at least: all but the one that runs
    seconds: int
    limits: dict[int, int]  # all-in value of the limit by grade
    highest_limit: int
    window: int  # a bit for each slot that the order may use, the first start's lowest
    verdicts: dict[int, PathTerms | None]  # what pools said to the same wishes
    sold_out: list[OfferStock] = field(default_factory=list)


class Search:
    """Looks through a supply for one order at a time; changes nothing that anybody sees."""

    def __init__(self, supply: Supply, network: Network) -> None:
        self.supply = supply
        self.network = network
        self._verdicts: dict[Wishes, dict[int, PathTerms | None]] = {}

    def ask(self, order: OrderTerms, now_s: int) -> Ask:
        """Prepare the search for an order."""
        seconds = conditions.seconds_taken(order, now_s)
        limits = {
            grade: conditions.limit_value(limit_micro, seconds)
            for grade, limit_micro in reversed(order.limits)
        }
        starts = conditions.starts(order, now_s)
        slots = conditions.slots_taken(order)
        return Ask(
            order=order,
            now_s=now_s,
            starts=starts,
            slots=slots,
            whole_slots=1 if order.on_demand else order.duration_slots,
            seconds=seconds,
            limits=limits,
            highest_limit=max(limits.values(), default=-1),
            window=(1 << (len(starts) + slots - 1)) - 1 if starts else 0,
            verdicts=self._verdicts_for(order),
        )

    def reaches(self, ask: Ask, offer: OfferStock, touched: range | None) -> bool:
        """Whether the offer by itself could now give the order at least one chunk, at a start
        whose slots touch `touched`.
        """
        path = self.path_if_fit(ask, offer)
        if path is None:
            return False
        order, limit = ask.order, ask.limits[offer.pool.terms.grade]
        budget = self.budget_micro(ask)
        nano = order.data_milli_gb * path.price_micro_per_gb
        for own, hours in self.tariff(ask, offer):
            if conditions.all_in(own, nano) > limit:
                break
            numerator = self.traded(ask, offer, own, nano)
            goal = min(
                order.remaining_units,
                conditions.affordable_units(budget, numerator=numerator, transport_nano=nano),
            )
            for start in self.free_starts(ask, offer, hours, touched):
                free = offer.free_units(start, start + ask.slots)
                if conditions.largest_take(goal, free, conditions.chunk_of(offer.terms)):
                    return True
        return False

    def forget_verdicts(self) -> None:
        """A pool's facts changed: ask anew."""
        self._verdicts.clear()

    # Does the offer fit, whatever start and quantity?

    def _verdicts_for(self, order: OrderTerms) -> dict[int, PathTerms | None]:
        wishes: Wishes = (
            order.regions_allowed,
            order.regions_excluded,
            order.rtt_region,
            order.max_rtt_us,
            order.min_green_share_bp,
            order.max_pue_milli,
            order.min_reliability_bp,
            order.data_region if order.data_milli_gb else None,
        )
        known = self._verdicts.get(wishes)
        if known is None:
            if len(self._verdicts) >= _MOST_WISHES_KEPT:
                self._verdicts.clear()
            known = self._verdicts[wishes] = {}
        return known

    def may_give(self, ask: Ask, offer: OfferStock) -> bool:
        """Whether the offer has a chunk left in any slot that the order may use."""
        bits = self.supply.free_bits(offer)
        if not bits:
            ask.sold_out.append(offer)
            return False
        return bits >> (ask.starts.start - self.supply.first_slot) & ask.window != 0

    def path_if_fit(self, ask: Ask, offer: OfferStock) -> PathTerms | None:
        """The way of the order's data to the offer; None where the offer fails a test that
        depends on neither start nor quantity.
        """
        order, terms, pool = ask.order, offer.terms, offer.pool.terms
        if (
            order.buyer == terms.provider
            or (terms.reclaimable and not order.accept_reclaimable)
            or not terms.min_duration_slots <= order.duration_slots <= terms.max_duration_slots
            or order.remaining_units < terms.min_chunk_units
        ):
            return None
        if order.anchor is not None and order.anchor.place != conditions.place_of(
            order.placement, pool
        ):
            return None
        if pool.id in ask.verdicts:
            return ask.verdicts[pool.id]
        verdict = ask.verdicts[pool.id] = self._judge(order, offer, pool)
        return verdict

    def _judge(self, order: OrderTerms, offer: OfferStock, pool: PoolTerms) -> PathTerms | None:
        if all(test(order, offer.terms, pool, self.network) for test in _WISHES_OF_POOL):
            return conditions.data_path(order, pool.region, self.network)
        return None

    # Prices and starts

    def tariff(self, ask: Ask, offer: OfferStock) -> Tariff:
        """Price numerators, cheapest first, each with the hours of the day to start at."""
        if not ask.order.on_demand:
            return offer.tariff(ask.order.duration_slots)
        start = ask.now_s // 3600
        own = conditions.price_numerator(ask.order, offer.terms, start, ask.now_s)
        return ((own, ANY_HOUR),)

    def budget_micro(self, ask: Ask) -> int | None:
        """What is left of the order's ceiling; None: it has none."""
        order = ask.order
        return None if order.max_cost_micro is None else order.max_cost_micro - order.spent_micro

    def traded(self, ask: Ask, offer: OfferStock, own: int, nano: int) -> int:
        """The price numerator that a trade would be made at."""
        return conditions.traded_numerator(
            ask.order,
            offer.terms,
            limit=ask.limits[offer.pool.terms.grade],
            numerator=own,
            transport_nano=nano,
        )

    def free_starts(
        self, ask: Ask, offer: OfferStock, hours: int, touched: range | None = None
    ) -> Iterator[int]:
        """Starts, earliest first, from which the offer has a chunk in all slots. Looks anew after
        each, since what was yielded may have been taken.
        """
        first, slots = self.supply.first_slot, ask.slots
        start = max(ask.starts.start, offer.terms.start_slot)
        stop = min(ask.starts.stop, offer.terms.end_slot - slots + 1)
        if touched is not None:
            start, stop = max(start, touched.start - slots + 1), min(stop, touched.stop)
        free: int | None = None
        possible = 0
        while start < stop:
            now_free = self.supply.free_bits(offer)
            if now_free != free:
                free = now_free
                window = (1 << (stop - start + slots - 1)) - 1
                possible = runs(free >> (start - first) & window, slots)
                if hours != ANY_HOUR:
                    possible &= _by_hour(hours, start, stop - start)
            if not possible:
                return
            skipped = (possible & -possible).bit_length()
            possible >>= skipped
            start += skipped
            yield start - 1


_EVERY_DAY: Final = 1 << SLOTS_PER_DAY


def _by_hour(hours: int, first: int, count: int) -> int:
    """A bit for each of `count` slots from `first` on that falls on one of the UTC `hours`."""
    days = (count + SLOTS_PER_DAY - 1) // SLOTS_PER_DAY + 1
    daily = ((1 << SLOTS_PER_DAY * days) - 1) // (_EVERY_DAY - 1)  # 1 at the start of each day
    return hours * daily >> first % SLOTS_PER_DAY
