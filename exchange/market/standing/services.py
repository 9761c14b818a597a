"""The verbs of standing orders: what their owners ask for. The sweep is in ``rolling``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts import audit
from accounts.actors import Actor
from core.models import OutboxEvent
from core.money import to_decimal
from core.outbox import emit_many
from core.slots import slot_at_or_after, slot_of, slot_start_at
from core.states import next_state
from exchange.market import intake
from exchange.market.broken import Rules
from exchange.market.errors import OrderRefused
from exchange.market.standing.errors import StandingOrderNotFound, StandingVersionStale
from exchange.market.standing.models import StandingOrder, StandingState, WaitReason
from exchange.market.standing.states import STANDING_TRANSITIONS
from exchange.market.standing.wishes import (
    StandingRequest,
    facts_of,
    order_for,
    roll_at,
    wish_of,
)

MIN_LEAD_SECONDS, MAX_LEAD_SECONDS = 60, 7 * 86_400
MAX_UNTIL_SLOTS = 366 * 24


def create(*, actor: Actor, request: StandingRequest, now: datetime) -> StandingOrder:
    """Keep what is wished for from the first slot on; ``OrderRefused`` names every broken rule.

    Nothing is held yet: each roll holds its own.
    """
    actor.require_scope("orders:write")
    actor.require_kind("buyer")
    if actor.organisation_id is None:
        raise ValueError("an actor without an organisation cannot trade")
    first = request.first_slot if request.first_slot is not None else slot_of(now) + 1
    _check(request, first, actor.organisation_id, now)
    standing = StandingOrder(
        buyer_id=actor.organisation_id,
        client_reference=request.wish.client_reference,
        next_slot=first,
        created_at=now,
    )
    _take(standing, request)
    standing.save(force_insert=True)
    _record(actor, "standing_order.create", standing, None, now)
    return standing


def change(
    *, actor: Actor, standing_id: UUID, version: int, changes: Mapping[str, Any], now: datetime
) -> StandingOrder:
    """Change what is kept from the next roll on; what was asked for already stays.

    ``changes`` are fields of ``StandingRequest``, or of its wish. ``StandingVersionStale`` where it
    was changed since the caller read it.
    """
    actor.require_scope("orders:write")
    standing = _locked(actor, standing_id)
    if version != standing.version:
        raise StandingVersionStale(
            f"The standing order has version {standing.version}, not {version}.",
            version=standing.version,
        )
    before = _facts(standing)
    own = {name: value for name, value in changes.items() if name in StandingRequest.__slots__}
    wished = {name: value for name, value in changes.items() if name not in own}
    request = replace(_request_of(standing), **own)
    request = replace(request, wish=replace(request.wish, **wished))
    _check(request, max(standing.next_slot, slot_of(now) + 1), standing.buyer_id, now)
    next_state(STANDING_TRANSITIONS, standing.state, "end", what="a standing order")
    _take(standing, request)
    standing.version += 1
    standing.save()
    _record(actor, "standing_order.change", standing, before, now)
    return standing


def pause(*, actor: Actor, standing_id: UUID, now: datetime) -> StandingOrder:
    """Ask for nothing new until resumed; what was asked for stays asked for."""
    return _move(actor, standing_id, "pause", WaitReason.OWNER, now)


def resume(*, actor: Actor, standing_id: UUID, now: datetime) -> StandingOrder:
    """Go on, with the first slot that is still to come."""
    return _move(actor, standing_id, "resume", None, now)


def end(*, actor: Actor, standing_id: UUID, now: datetime) -> StandingOrder:
    """Ask for nothing new, for good; what was asked for stays asked for."""
    return _move(actor, standing_id, "end", WaitReason.OWNER, now)


def move(standing: StandingOrder, event: str, reason: WaitReason | None, *, now: datetime) -> None:
    """Take a locked standing order where ``event`` leads, and tell its owner; unsaved."""
    before = standing.state, standing.reason
    standing.state = next_state(
        STANDING_TRANSITIONS, standing.state, event, what="a standing order"
    )
    standing.reason = "" if reason is None else reason.value
    if standing.state == StandingState.ENDED:
        standing.ended_at = now
    if before != (standing.state, standing.reason):
        emit_many(
            [
                OutboxEvent(
                    kind=f"standing_order.{standing.state}",
                    organisation_id=standing.buyer_id,
                    subject_id=standing.id,
                    payload={"reason": standing.reason},
                    occurred_at=now,
                )
            ]
        )


def _move(
    actor: Actor, standing_id: UUID, event: str, reason: WaitReason | None, now: datetime
) -> StandingOrder:
    actor.require_scope("orders:write")
    standing = _locked(actor, standing_id)
    before = _facts(standing)
    move(standing, event, reason, now=now)
    if event == "resume":
        standing.next_slot = max(standing.next_slot, slot_of(now) + 1)
        standing.next_roll_at = roll_at(
            start_slot=standing.next_slot, lead_seconds=standing.lead_seconds
        )
    standing.save()
    _record(actor, f"standing_order.{event}", standing, before, now)
    return standing


def _locked(actor: Actor, standing_id: UUID) -> StandingOrder:
    found = (
        StandingOrder.objects.select_for_update()
        .filter(id=standing_id, buyer_id=actor.organisation_id)
        .first()
    )
    if found is None:
        raise StandingOrderNotFound("There is no such standing order.")
    return found


def _check(request: StandingRequest, first: int, buyer_id: UUID, now: datetime) -> None:
    """Refuse what its first roll would be refused for, and what no roll could ever keep."""
    rules = Rules([])
    rules.require(
        slot_at_or_after(now) <= first <= slot_of(now) + intake.HORIZON_SLOTS // 2,
        "first_start_at",
        f"an hour to come, within {intake.HORIZON_SLOTS // 48} days",
        "leave it out to begin with the next hour",
    )
    rules.require(
        MIN_LEAD_SECONDS <= request.lead_seconds <= MAX_LEAD_SECONDS,
        "lead_seconds",
        f"{MIN_LEAD_SECONDS} to {MAX_LEAD_SECONDS}",
        "say how long before its slots each roll is ordered",
    )
    hours = request.wish.duration_hours
    rules.require(
        request.until_slot is None
        or first + hours <= request.until_slot <= slot_of(now) + MAX_UNTIL_SLOTS,
        "until",
        f"at least one roll after its first hour, at most {MAX_UNTIL_SLOTS // 24} days from now",
        "give a later end, or none",
    )
    for field, micro in (
        ("max_cost_per_day", request.day_budget_micro),
        ("max_cost_in_all", request.budget_micro),
    ):
        rules.require(
            micro is None or 0 < micro <= intake.MAX_HELD_MICRO,
            field,
            f"above zero and at most {to_decimal(intake.MAX_HELD_MICRO):f} yuan",
            "give a budget, or leave it out",
        )
    try:
        roll = order_for(
            request.wish,
            # Somewhere in the horizon: what is judged is the order, not when it begins.
            start_slot=slot_of(now) + 1,
            units=request.wish.units,
            max_cost_micro=None,
            in_pool=False,
        )
        intake.order_of(roll, buyer_id=buyer_id, now=now)
    except OrderRefused as refused:
        rules.problems.extend(refused.fields)
    if rules.problems:
        raise OrderRefused("The standing order breaks rules of the market.", fields=rules.problems)


def _take(standing: StandingOrder, request: StandingRequest) -> None:
    standing.terms = facts_of(request.wish)
    standing.units = request.wish.units
    standing.duration_slots = request.wish.duration_hours
    standing.lead_seconds = request.lead_seconds
    standing.prefers_same_pool = request.prefers_same_pool
    standing.until_slot = request.until_slot
    standing.day_budget_micro = request.day_budget_micro
    standing.budget_micro = request.budget_micro
    standing.next_roll_at = roll_at(
        start_slot=standing.next_slot, lead_seconds=standing.lead_seconds
    )


def _request_of(standing: StandingOrder) -> StandingRequest:
    return StandingRequest(
        wish=wish_of(standing),
        until_slot=standing.until_slot,
        lead_seconds=standing.lead_seconds,
        prefers_same_pool=standing.prefers_same_pool,
        day_budget_micro=standing.day_budget_micro,
        budget_micro=standing.budget_micro,
    )


def _facts(standing: StandingOrder) -> dict[str, Any]:
    until = standing.until_slot
    return {
        "terms": standing.terms,
        "state": standing.state,
        "reason": standing.reason,
        "lead_seconds": standing.lead_seconds,
        "prefers_same_pool": standing.prefers_same_pool,
        "until": None if until is None else slot_start_at(until).isoformat(),
        "day_budget_micro": standing.day_budget_micro,
        "budget_micro": standing.budget_micro,
    }


def _record(
    actor: Actor, action: str, standing: StandingOrder, before: dict[str, Any] | None, now: datetime
) -> None:
    audit.record(
        actor=actor,
        action=action,
        subject_kind="standing_order",
        subject_id=standing.id,
        before=before,
        after=_facts(standing),
        now=now,
    )
