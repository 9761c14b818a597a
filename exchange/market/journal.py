"""What a batch wrote down: fills, and where each order that it touched was left.

Both engines keep one, so that they can differ in how they search, not in how they tell it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from core.slots import SECONDS_PER_SLOT
from exchange.market.conditions import place_of, rested, slots_taken
from exchange.market.terms import (
    AmendmentOutcome,
    Anchor,
    BatchResult,
    Fill,
    OfferTerms,
    OrderOutcome,
    OrderTerms,
    OutcomeState,
    PathTerms,
    Placement,
    PoolTerms,
)
from exchange.pricing.engine import trade_cost


class Journal:
    """The fills and outcomes of one batch, as it goes on."""

    def __init__(self) -> None:
        self._fills: list[Fill] = []
        self._outcomes: dict[int, OrderOutcome] = {}
        self._amendments: list[AmendmentOutcome] = []

    def note_fill(self, order: OrderTerms, fill: Fill, pool: PoolTerms) -> OrderTerms:
        """Write a fill down; answers the order as the fill leaves it."""
        self._fills.append(fill)
        left = after_fill(order, fill, pool)
        rests = OutcomeState.PARTIALLY_FILLED if left.remaining_units else OutcomeState.FILLED
        self.note(left, rests, filled_units=fill.units)
        return left

    def note_fills(self, order: OrderTerms, fills: Sequence[Fill]) -> OrderTerms | None:
        """Write all fills of an `anywhere` order that just entered down at once; answers what they
        leave of it, None where that is nothing.
        """
        self._fills += fills
        units, spent_micro = 0, order.spent_micro
        for fill in fills:
            units += fill.units
            spent_micro += _cost(fill)
        rest = order.remaining_units - units
        self._outcomes[order.id] = OrderOutcome(
            order=order.id,
            state=OutcomeState.PARTIALLY_FILLED if rest else OutcomeState.FILLED,
            reason="",
            filled_units=units,
            remaining_units=rest,
            spent_micro=spent_micro,
            anchor=None,
        )
        if not rest:
            return None
        return replace(order, remaining_units=rest, spent_micro=spent_micro)

    def note(
        self, order: OrderTerms, state: OutcomeState, reason: str = "", filled_units: int = 0
    ) -> None:
        """Write down where the order stands; the last word on it counts."""
        before = self._outcomes.get(order.id)
        self._outcomes[order.id] = OrderOutcome(
            order=order.id,
            state=state,
            reason=reason,
            filled_units=filled_units + (before.filled_units if before else 0),
            remaining_units=order.remaining_units,
            spent_micro=order.spent_micro,
            anchor=order.anchor,
        )

    def note_resting(self, order: OrderTerms) -> None:
        """Write down that the order rests, whether or not some of it is filled."""
        whole = order.remaining_units == order.units
        self.note(order, OutcomeState.OPEN if whole else OutcomeState.PARTIALLY_FILLED)

    def note_amendment(self, order_id: int, refusal: str = "") -> None:
        """Write down what became of an amendment."""
        self._amendments.append(AmendmentOutcome(order_id, refusal))

    def result(self) -> BatchResult:
        """All that was written down."""
        return BatchResult(
            tuple(self._fills), tuple(self._outcomes.values()), tuple(self._amendments)
        )


def fill_of(
    order: OrderTerms,
    offer: OfferTerms,
    pool: PoolTerms,
    *,
    start: int,
    units: int,
    numerator: int,
    path: PathTerms,
    now_s: int,
    event_index: int,
) -> Fill:
    """The fill of `units` of an order by an offer from `start` on, at a trade's numerator."""
    end_slot = start + slots_taken(order)
    start_s = now_s if order.on_demand else start * SECONDS_PER_SLOT
    end_s = end_slot * SECONDS_PER_SLOT
    # Their order is that of the fields: naming sixteen of them costs as much as all the rest.
    return Fill(
        order.id,
        offer.id,
        pool.id,
        pool.grade,
        units,
        start,
        end_slot,
        order.on_demand,
        start_s,
        end_s,
        numerator,
        end_s - start_s,
        order.data_milli_gb * path.price_micro_per_gb,
        path.links,
        rested(order, offer),
        event_index,
    )


def after_fill(order: OrderTerms, fill: Fill, pool: PoolTerms) -> OrderTerms:
    """The order as a fill leaves it: fewer units, more spent, a `same_*` order anchored."""
    anchor = order.anchor
    if anchor is None and order.placement is not Placement.ANYWHERE:
        anchor = Anchor(place_of(order.placement, pool), fill.start_slot)
    return replace(
        order,
        remaining_units=order.remaining_units - fill.units,
        spent_micro=order.spent_micro + _cost(fill),
        anchor=anchor,
    )


def _cost(fill: Fill) -> int:
    return trade_cost(
        price_numerator=fill.price_numerator,
        units=fill.units,
        transport_nano_per_unit=fill.transport_nano_per_unit,
    )
