"""Reads of standing orders. ``visible_to`` is the only door."""

from __future__ import annotations

from uuid import UUID

from django.db.models import BigIntegerField, Case, F, Q, QuerySet, Sum, When

from accounts.actors import Actor
from core.slots import SLOTS_PER_DAY
from exchange.market.models import Order, Trade
from exchange.market.standing.errors import StandingOrderNotFound
from exchange.market.standing.models import StandingOrder, StandingRoll


def visible_to(actor: Actor) -> QuerySet[StandingOrder]:
    """A buyer's own standing orders; all of them for the operator's people."""
    found = StandingOrder.objects.all()
    return found if actor.is_operator() else found.filter(buyer_id=actor.organisation_id)


def standing_order(*, actor: Actor, standing_id: UUID) -> StandingOrder:
    """One that the actor may see, or ``StandingOrderNotFound``."""
    found = visible_to(actor).filter(id=standing_id).first()
    if found is None:
        raise StandingOrderNotFound("There is no such standing order.")
    return found


def rolls_of(standing_id: UUID) -> QuerySet[StandingRoll]:
    """What it has asked for, slot by slot."""
    return StandingRoll.objects.filter(standing_id=standing_id)


def committed_micro(standing: StandingOrder, *, on_day: int | None = None) -> int:
    """What its rolls (of one UTC day, by their first slot) cost, and may still come to cost."""
    rolls = standing.rolls.all()
    if on_day is not None:
        first = on_day * SLOTS_PER_DAY
        rolls = rolls.filter(start_slot__gte=first, start_slot__lt=first + SLOTS_PER_DAY)
    orders = Order.objects.filter(Q(pool_roll__in=rolls) | Q(market_roll__in=rolls))
    may_cost = Case(
        When(closed_at=None, then=F("held_micro")),
        default=F("spent_micro"),
        output_field=BigIntegerField(),
    )
    return orders.aggregate(sum=Sum(may_cost))["sum"] or 0


def pool_stood_on(standing: StandingOrder, *, until_slot: int) -> UUID | None:
    """The one pool that the roll ending at ``until_slot`` was filled from; None where none was,
    or several."""
    pools = set(
        Trade.objects.filter(
            Q(order__pool_roll__standing=standing, order__pool_roll__end_slot=until_slot)
            | Q(order__market_roll__standing=standing, order__market_roll__end_slot=until_slot)
        ).values_list("pool_id", flat=True)
    )
    return pools.pop() if len(pools) == 1 else None
