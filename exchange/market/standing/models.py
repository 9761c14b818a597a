"""Standing orders and their rolls."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from core.ids import new_id
from exchange.market.standing.states import ROLL_OPEN, STANDING_LIVE, STANDING_ROLLING


class StandingState(models.TextChoices):
    ACTIVE = "active", "Active"  # it rolls
    WAITING = "waiting", "Waiting"  # it rolls, and the last time something stood in the way
    PAUSED = "paused", "Paused"  # by its owner, until resumed
    ENDED = "ended", "Ended"  # by its owner, its end or its budget


class WaitReason(models.TextChoices):
    """Why a standing order waits or ended."""

    FUNDS = "funds", "Funds"  # the available balance did not cover the next roll
    PRICE = "price", "Price"  # nothing was to be had within the limit for the last roll
    BUDGET_OF_DAY = "budget_of_day", "Budget of the day"  # the day's budget is used up
    ORGANISATION = "organisation", "Organisation"  # the buyer is not verified, or suspended
    REFUSED = "refused", "Refused"  # the market's rules refuse its order by now
    BUDGET = "budget", "Budget"  # the whole budget is used up: ended
    UNTIL = "until", "Until"  # its own end is reached: ended
    OWNER = "owner", "Owner"  # its owner paused or ended it


class RollState(models.TextChoices):
    IN_POOL = "in_pool", "In the pool"  # asks the pool that it stands on, and no other
    IN_MARKET = "in_market", "In the market"  # the rest is an order like any other
    COVERED = "covered", "Covered"  # all units are traded
    MISSED = "missed", "Missed"  # some units, or all, were not to be had


class StandingOrder(models.Model):
    """Keep so many units for as long as the price is within the limits.

    ``next_slot`` is the first slot that no roll has asked for yet, ``next_roll_at`` when a sweep
    asks for it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    buyer = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    client_reference = models.CharField(max_length=64, blank=True)
    terms = models.JSONField(help_text="of each roll's order; see wishes.facts_of")
    units = models.PositiveIntegerField()
    duration_slots = models.PositiveIntegerField(help_text="of each roll")
    lead_seconds = models.PositiveIntegerField()
    prefers_same_pool = models.BooleanField(default=True)
    until_slot = models.IntegerField(null=True)
    day_budget_micro = models.BigIntegerField(null=True)
    budget_micro = models.BigIntegerField(null=True)
    state = models.CharField(
        max_length=16, choices=StandingState.choices, default=StandingState.ACTIVE
    )
    reason = models.CharField(max_length=16, choices=WaitReason.choices, blank=True)
    version = models.PositiveIntegerField(default=0)
    next_slot = models.IntegerField()
    next_roll_at = models.DateTimeField()
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(units__gt=0) & Q(duration_slots__gt=0), name="standing_asks_for_some"
            ),
            models.CheckConstraint(
                condition=(Q(day_budget_micro__isnull=True) | Q(day_budget_micro__gt=0))
                & (Q(budget_micro__isnull=True) | Q(budget_micro__gt=0)),
                name="standing_budget_above_zero",
            ),
            models.CheckConstraint(
                condition=Q(state="ended", ended_at__isnull=False)
                | (Q(state__in=STANDING_LIVE) & Q(ended_at__isnull=True)),
                name="standing_ended_says_when",
            ),
            models.CheckConstraint(
                condition=Q(state="active", reason="") | (~Q(state="active") & ~Q(reason="")),
                name="standing_says_why_not_active",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_roll_at"],
                condition=Q(state__in=STANDING_ROLLING),
                name="standing_to_roll",
            ),
            models.Index(fields=["buyer", "id"], name="standing_of_buyer"),
        ]


class StandingRoll(models.Model):
    """What a standing order asked for from one slot on: at most one row for a slot, ever."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    standing = models.ForeignKey(StandingOrder, models.PROTECT, related_name="rolls")
    start_slot = models.IntegerField()
    end_slot = models.IntegerField()
    units = models.PositiveIntegerField()
    state = models.CharField(max_length=16, choices=RollState.choices)
    filled_units = models.PositiveIntegerField(default=0)
    pool_order = models.OneToOneField(
        "exchange.Order", models.PROTECT, null=True, related_name="pool_roll"
    )
    market_order = models.OneToOneField(
        "exchange.Order", models.PROTECT, null=True, related_name="market_roll"
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["standing", "start_slot"], name="standing_rolls_once"),
            models.CheckConstraint(
                condition=Q(end_slot__gt=F("start_slot")), name="roll_covers_time"
            ),
            models.CheckConstraint(
                condition=Q(filled_units__lte=F("units")), name="roll_never_overfilled"
            ),
            models.CheckConstraint(
                condition=~Q(state="in_pool") | Q(pool_order__isnull=False, market_order=None),
                name="roll_in_pool_has_its_order",
            ),
            models.CheckConstraint(
                condition=~Q(state="in_market") | Q(market_order__isnull=False),
                name="roll_in_market_has_its_order",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state__in=ROLL_OPEN), name="roll_open"),
        ]
