"""The sweep of standing orders: each next slot is asked for once, before the running ones end.

A roll is one row for each slot, written in the transaction of its order: whoever is killed leaves
both or neither, and whoever comes second finds the row. Where the standing order stands in one pool
and prefers to stay, that pool is asked first, by an order that takes what is free there at once, at
the price that anybody would get: no one is passed. The rest is an order like any other.

What stands in the way is kept as a reason, and the next slot is tried again: missing funds every
minute until the slot begins. Slots that began unasked (the service was down, say) are passed over.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q

from accounts.actors import Actor, system
from accounts.models import Organisation
from core.errors import InsufficientFunds
from core.slots import SLOTS_PER_DAY, slot_of, slot_start_at
from core.states import next_state
from exchange.market import services as market
from exchange.market.errors import OrderRefused
from exchange.market.models import Order
from exchange.market.standing import selectors
from exchange.market.standing.models import (
    RollState,
    StandingOrder,
    StandingRoll,
    StandingState,
    WaitReason,
)
from exchange.market.standing.services import move
from exchange.market.standing.states import ROLL_OPEN, ROLL_TRANSITIONS, STANDING_ROLLING
from exchange.market.standing.wishes import order_for, roll_at, wish_of

log = structlog.get_logger(__name__)

TRY_AGAIN = timedelta(minutes=1)


def roll_due(*, now: datetime, limit: int = 200) -> int:
    """Ask for the next slots of the standing orders that are due; returns how many it looked at."""
    due = list(
        StandingOrder.objects.filter(state__in=STANDING_ROLLING, next_roll_at__lte=now)
        .order_by("next_roll_at", "id")
        .values_list("id", flat=True)[:limit]
    )
    for standing_id in due:
        with transaction.atomic():
            standing = (
                StandingOrder.objects.select_for_update(skip_locked=True)
                .filter(id=standing_id, state__in=STANDING_ROLLING, next_roll_at__lte=now)
                .first()
            )
            if standing is not None:
                _roll(standing, now)
                standing.save()
    return len(due)


def settle_rolls(*, now: datetime, limit: int = 500) -> int:
    """Go on from rolls whose order is closed: to the market for the rest, or to the roll's end."""
    closed = Q(state="in_pool", pool_order__closed_at__isnull=False) | Q(
        state="in_market", market_order__closed_at__isnull=False
    )
    due = list(
        StandingRoll.objects.filter(closed, state__in=ROLL_OPEN)
        .order_by("id")
        .values_list("id", "standing_id")[:limit]
    )
    for roll_id, standing_id in due:
        with transaction.atomic():
            standing = (
                StandingOrder.objects.select_for_update(skip_locked=True)
                .filter(id=standing_id)
                .first()
            )
            roll = StandingRoll.objects.filter(id=roll_id, state__in=ROLL_OPEN).first()
            if standing is not None and roll is not None:
                _settle(standing, roll, now)
                standing.save()
    return len(due)


def _roll(standing: StandingOrder, now: datetime) -> None:
    wish = wish_of(standing)
    if slot_start_at(standing.next_slot) <= now:
        standing.next_slot = slot_of(now) + 1
    start = standing.next_slot
    end = start + standing.duration_slots
    if standing.until_slot is not None and end > standing.until_slot:
        move(standing, "end", WaitReason.UNTIL, now=now)
        return
    due_at = roll_at(start_slot=start, lead_seconds=standing.lead_seconds)
    if due_at > now:
        standing.next_roll_at = due_at
        return
    left, reason = _left(standing, start)
    if reason == WaitReason.BUDGET:
        move(standing, "end", reason, now=now)
        return
    buyer = _buyer(standing)
    if reason is None and buyer is None:
        reason = WaitReason.ORGANISATION
    if reason is None and buyer is not None:
        pool_id = None
        if standing.prefers_same_pool:
            pool_id = selectors.pool_stood_on(standing, until_slot=start)
        roll = StandingRoll(
            standing=standing, start_slot=start, end_slot=end, units=wish.units, created_at=now
        )
        reason = _place(buyer, standing, roll, units=wish.units, left=left, pool=pool_id, now=now)
    if reason is None:
        _next(standing, end)
        if standing.reason in (WaitReason.FUNDS, WaitReason.BUDGET_OF_DAY, WaitReason.ORGANISATION):
            move(standing, "go_on", None, now=now)
        return
    move(standing, "wait", reason, now=now)
    if reason == WaitReason.BUDGET_OF_DAY:
        _next(standing, (start // SLOTS_PER_DAY + 1) * SLOTS_PER_DAY)
    else:
        standing.next_roll_at = min(now + TRY_AGAIN, slot_start_at(start))


def _settle(standing: StandingOrder, roll: StandingRoll, now: datetime) -> None:
    orders = [order for order in (roll.pool_order, roll.market_order) if order is not None]
    roll.filled_units = sum(order.filled_units for order in orders)
    missing = roll.units - roll.filled_units
    if not missing:
        _close(standing, roll, "cover", now)
        return
    buyer = _buyer(standing)
    to_market = (
        roll.state == RollState.IN_POOL
        and buyer is not None
        and standing.state in STANDING_ROLLING
        and slot_start_at(roll.start_slot) > now
    )
    if to_market and buyer is not None:
        left, reason = _left(standing, roll.start_slot)
        reason = reason or _place(
            buyer, standing, roll, units=missing, left=left, pool=None, now=now
        )
        if reason is None:
            return
        if reason != WaitReason.BUDGET:
            move(standing, "wait", reason, now=now)
    _close(standing, roll, "miss", now)


def _close(standing: StandingOrder, roll: StandingRoll, event: str, now: datetime) -> None:
    roll.state = next_state(ROLL_TRANSITIONS, roll.state, event, what="a roll")
    roll.save()
    if standing.state not in STANDING_ROLLING:
        return
    if not roll.filled_units and standing.state == StandingState.ACTIVE:
        move(standing, "wait", WaitReason.PRICE, now=now)
    elif roll.filled_units and standing.reason == WaitReason.PRICE:
        move(standing, "go_on", None, now=now)


def _place(
    buyer: Actor,
    standing: StandingOrder,
    roll: StandingRoll,
    *,
    units: int,
    left: int | None,
    pool: UUID | None,
    now: datetime,
) -> WaitReason | None:
    """Place the order of a roll and write both; or what stands in the way, and nothing."""
    request = order_for(
        wish_of(standing),
        start_slot=roll.start_slot,
        units=units,
        max_cost_micro=left,
        in_pool=pool is not None,
    )
    # The wish may have been changed since the roll began: its slots stay what they are.
    request = replace(
        request,
        duration_hours=roll.end_slot - roll.start_slot,
        latest_end_at=slot_start_at(roll.end_slot),
    )
    try:
        with transaction.atomic():
            order: Order = market.place_order(
                actor=buyer, request=request, bound_pool_id=pool, now=now
            )
            if pool is None:
                roll.market_order, roll.state = order, RollState.IN_MARKET
            else:
                roll.pool_order, roll.state = order, RollState.IN_POOL
            roll.save()
    except InsufficientFunds:
        return WaitReason.FUNDS
    except OrderRefused as refused:
        log.warning("standing_order_refused", standing=str(standing.id), why=str(refused.fields))
        return WaitReason.REFUSED
    return None


def _left(standing: StandingOrder, start: int) -> tuple[int | None, WaitReason | None]:
    """What its budgets leave for the slots from ``start`` on, and which of them is used up."""
    lefts = []
    if standing.budget_micro is not None:
        left = standing.budget_micro - selectors.committed_micro(standing)
        if left <= 0:
            return 0, WaitReason.BUDGET
        lefts.append(left)
    if standing.day_budget_micro is not None:
        left = standing.day_budget_micro - selectors.committed_micro(
            standing, on_day=start // SLOTS_PER_DAY
        )
        if left <= 0:
            return 0, WaitReason.BUDGET_OF_DAY
        lefts.append(left)
    return min(lefts, default=None), None


def _next(standing: StandingOrder, slot: int) -> None:
    standing.next_slot = slot
    standing.next_roll_at = roll_at(start_slot=slot, lead_seconds=standing.lead_seconds)


def _buyer(standing: StandingOrder) -> Actor | None:
    """The platform, acting for the buyer; None where the buyer may not trade."""
    buyer = Organisation.objects.get(id=standing.buyer_id)
    if buyer.verification != "verified" or buyer.suspended:
        return None
    return replace(
        system("standing_order"),
        organisation_id=buyer.id,
        organisation_kinds=frozenset(buyer.kinds),
        region_code=buyer.region_code,
    )
