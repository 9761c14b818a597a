"""Resale: whole slots of a trade, offered by the one who bought them.

The trade that claims the capacity stays as it is: the provider delivers once and is paid by it, and
it alone counts against the pool. What is resold of it is bounded by its units in each slot, by the
engine (the trade is told to it as a pool of its own, with the holder as its provider) and by the
database. What was resold is not resold again: who stands behind a lease is at most one step away.
"""

from __future__ import annotations

from datetime import datetime

from core.slots import slot_of, slot_start_at
from exchange.market import intake
from exchange.market.broken import Rules
from exchange.market.errors import OfferRefused, ResaleRefused
from exchange.market.models import Offer, OfferState, Trade
from exchange.market.orderly.banding import OfferBands
from exchange.market.requests import OfferRequest, ResaleRequest


def offer_of(trade: Trade, request: ResaleRequest, *, now: datetime) -> Offer:
    """The unsaved offer of a trade's holder; ``ResaleRefused`` or ``OfferRefused``."""
    if trade.resold_from_id is not None:
        raise ResaleRefused("What was bought from another holder is not resold again.")
    if not trade.allows_resale:
        raise ResaleRefused("The provider's offer does not allow to resell.")
    if _end_of(trade) <= slot_of(now) + 1:
        raise ResaleRefused("No whole hour of the trade is still to come.")
    wanted = OfferRequest(
        pool=trade.pool_id,
        units=request.units,
        start_at=request.start_at,
        end_at=request.end_at,
        prices_micro=request.prices_micro,
        max_duration_hours=min(_end_of(trade) - trade.start_slot, intake.HORIZON_SLOTS),
        min_duration_hours=request.min_duration_hours,
        min_chunk_units=request.min_chunk_units,
        is_reclaimable=trade.is_reclaimable,
        reclaim_notice_seconds=trade.reclaim_notice_seconds,
        reclaim_compensation_bp=trade.reclaim_compensation_bp,
        reclaim_least_micro=trade.reclaim_least_micro if request.units == trade.units else 0,
    )
    rules = Rules([])
    intake.check_offer_terms(wanted, rules, pool_units=trade.units, now=now)
    check_within(trade, wanted, rules)
    if not request.allow_outside_band:
        OfferBands([trade.pool]).check(
            trade.pool, wanted.prices_micro, rules, is_reclaimable=wanted.is_reclaimable
        )
    rules.require(
        slot_of(wanted.start_at) > slot_of(now),
        "start_at",
        "what is resold is still to come",
        f"offer from {slot_start_at(slot_of(now) + 1).isoformat()} on",
    )
    if rules.problems:
        raise OfferRefused("The resale breaks rules of the market.", fields=rules.problems)
    return Offer(
        provider_id=trade.buyer_id,
        pool_id=trade.pool_id,
        book_id=trade.book_id,
        resale_of=trade,
        state=OfferState.PENDING,
        created_at=now,
        **intake.offer_terms(wanted),
    )


def check_within(trade: Trade, wanted: OfferRequest, rules: Rules) -> None:
    """Note where an offer asks for more than the trade has: units, or slots."""
    rules.require(
        wanted.units <= trade.units,
        "units",
        f"at most the {trade.units} units of the trade",
        "offer no more than was bought",
    )
    rules.require(
        trade.start_slot <= slot_of(wanted.start_at) and slot_of(wanted.end_at) <= _end_of(trade),
        "end_at",
        "within the hours of the trade",
        f"between {slot_start_at(trade.start_slot).isoformat()} and "
        f"{slot_start_at(_end_of(trade)).isoformat()}",
    )


def _end_of(trade: Trade) -> int:
    release = getattr(trade, "release", None)
    return trade.end_slot if release is None else release.from_slot
