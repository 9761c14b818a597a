"""The day-ahead auction: its times, what is entered, what is frozen, and what came of it.

A list of units has one number for each slot of the auction, from its first slot on.
"""

from __future__ import annotations

import uuid
from fractions import Fraction

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from core.ids import new_id
from core.models import AppendOnly
from core.money import to_micro
from exchange.market.day_ahead.states import AUCTION_LIVE


class AuctionState(models.TextChoices):
    ANNOUNCED = "announced", "Announced"  # until opens_at
    OPEN = "open", "Open"  # takes orders and offers until closes_at
    CLOSED = "closed", "Closed"  # frozen and reserved; to be cleared until clear_by_at
    CLEARED = "cleared", "Cleared"  # answered and checked; to be published until publish_by_at
    PUBLISHED = "published", "Published"  # its trades are written
    CANCELLED = "cancelled", "Cancelled"  # by the operator; everything was given back
    FAILED = "failed", "Failed"  # no answer that the checker accepts; everything was given back


class EntrySide(models.TextChoices):
    BUY = "buy", "Buy"  # an order: pays its zone's price, and holds the most that it can come to
    SELL = "sell", "Sell"  # an offer: gives units of one pool, and gets its zone's price


class EntryState(models.TextChoices):
    ENTERED = "entered", "Entered"  # takes part
    CANCELLED = "cancelled", "Cancelled"  # by its owner before the gate closed
    ANSWERED = "answered", "Answered"  # published: what it got stands in its lines' answers
    RETURNED = "returned", "Returned"  # the auction was cancelled or failed


class LineKind(models.TextChoices):
    STEP = "step", "Step"  # any part of the units, each slot by itself
    BLOCK = "block", "Block"  # all slots together, at least `least_ratio` of them or nothing


class AuctionSchedule(AppendOnly, models.Model):
    """When auctions are held: one version of the timetable. The newest that is valid counts.

    Times are of the day before delivery, in the operator's time zone.
    """

    id = models.AutoField(primary_key=True)
    valid_from_date = models.DateField(help_text="the first delivery day")
    is_running = models.BooleanField(default=True, help_text="whether auctions are announced")
    announced_days = models.PositiveSmallIntegerField(default=2)
    opens_at = models.TimeField()
    closes_at = models.TimeField()
    clear_by_at = models.TimeField()
    publish_by_at = models.TimeField()
    solver_seconds = models.PositiveSmallIntegerField(default=30)
    lowest_price = models.DecimalField(max_digits=18, decimal_places=6)
    highest_price = models.DecimalField(max_digits=18, decimal_places=6)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(opens_at__lt=F("closes_at"))
                & Q(closes_at__lt=F("clear_by_at"))
                & Q(clear_by_at__lt=F("publish_by_at")),
                name="auction_schedule_in_order",
            ),
            models.CheckConstraint(
                condition=Q(announced_days__gte=1, announced_days__lte=14)
                & Q(solver_seconds__gte=1, solver_seconds__lte=600),
                name="auction_schedule_within_reason",
            ),
            models.CheckConstraint(
                condition=Q(lowest_price__gt=0) & Q(highest_price__gte=F("lowest_price")),
                name="auction_schedule_prices_in_order",
            ),
        ]


class Auction(models.Model):
    """One call auction for the slots of a delivery day, all grades together."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    delivery_date = models.DateField(help_text="in the operator's time zone")
    first_slot = models.IntegerField()
    end_slot = models.IntegerField()
    opens_at = models.DateTimeField()
    closes_at = models.DateTimeField()
    clear_by_at = models.DateTimeField()
    publish_by_at = models.DateTimeField()
    solver_seconds = models.PositiveSmallIntegerField()
    lowest_price = models.DecimalField(max_digits=18, decimal_places=6)
    highest_price = models.DecimalField(max_digits=18, decimal_places=6)
    state = models.CharField(
        max_length=16, choices=AuctionState.choices, default=AuctionState.ANNOUNCED
    )
    state_reason = models.CharField(max_length=500, blank=True)
    announced_at = models.DateTimeField()
    opened_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    cleared_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True, help_text="published, cancelled or failed")

    class Meta:
        ordering = ["-delivery_date", "-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["delivery_date"],
                condition=~Q(state__in=("cancelled", "failed")),
                name="one_auction_for_a_day",
            ),
            models.CheckConstraint(
                condition=Q(end_slot__gt=F("first_slot")) & Q(end_slot__lte=F("first_slot") + 26),
                name="auction_covers_a_day",
            ),
            models.CheckConstraint(
                condition=Q(opens_at__lt=F("closes_at"))
                & Q(closes_at__lt=F("clear_by_at"))
                & Q(clear_by_at__lt=F("publish_by_at")),
                name="auction_times_in_order",
            ),
            models.CheckConstraint(
                condition=Q(lowest_price__gt=0) & Q(highest_price__gte=F("lowest_price")),
                name="auction_prices_in_order",
            ),
            models.CheckConstraint(
                condition=Q(state__in=AUCTION_LIVE, ended_at__isnull=True)
                | (~Q(state__in=AUCTION_LIVE) & Q(ended_at__isnull=False)),
                name="auction_over_says_when",
            ),
        ]
        indexes = [
            models.Index(
                fields=["state", "id"], condition=Q(state__in=AUCTION_LIVE), name="auction_live"
            ),
        ]

    @property
    def hours(self) -> int:
        """How many slots the delivery day has."""
        return self.end_slot - self.first_slot


class AuctionEntry(models.Model):
    """An order or an offer in an auction, of one grade; its lines say what is wanted or given.

    An order names its zone, and its hold in the ledger has its own id. An offer names a pool. The
    terms never change: to replace is to cancel and to enter anew.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    auction = models.ForeignKey(Auction, models.PROTECT, related_name="entries")
    side = models.CharField(max_length=4, choices=EntrySide.choices)
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    grade = models.ForeignKey("exchange.Grade", models.PROTECT, related_name="+")
    region = models.ForeignKey("exchange.Region", models.PROTECT, related_name="+")
    pool = models.ForeignKey("exchange.Pool", models.PROTECT, null=True, related_name="+")
    minimum_income_micro = models.BigIntegerField(null=True)
    minimum_income_per_unit_hour = models.DecimalField(max_digits=18, decimal_places=6, default=0)
    replaces = models.OneToOneField("self", models.PROTECT, null=True, related_name="replaced_by")
    client_reference = models.CharField(max_length=64, blank=True)
    held_micro = models.BigIntegerField(default=0, help_text="the most that an order can cost")
    spent_micro = models.BigIntegerField(default=0, help_text="cost of an order's trades")
    state = models.CharField(max_length=16, choices=EntryState.choices, default=EntryState.ENTERED)
    entered_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    side="buy", pool__isnull=True, held_micro__gt=0, minimum_income_micro=None
                )
                | Q(side="sell", pool__isnull=False, held_micro=0, spent_micro=0),
                name="auction_order_holds_funds_and_offer_names_pool",
            ),
            models.CheckConstraint(
                condition=Q(spent_micro__gte=0) & Q(spent_micro__lte=F("held_micro")),
                name="auction_order_never_spends_more_than_held",
            ),
            models.CheckConstraint(
                condition=Q(minimum_income_micro__isnull=True, minimum_income_per_unit_hour=0)
                | Q(minimum_income_micro__gte=0, minimum_income_per_unit_hour__gte=0),
                name="auction_minimum_income_not_negative",
            ),
            # Buyers and sellers meet at one price: who stood on both sides of a grade could be
            # brought together with itself (invariant 4).
            ExclusionConstraint(
                name="one_side_of_a_grade_in_an_auction",
                expressions=[
                    ("auction", "="),
                    ("organisation", "="),
                    ("grade", "="),
                    ("side", "<>"),
                ],
                condition=Q(state="entered"),
            ),
        ]
        indexes = [
            models.Index(fields=["auction", "side", "id"], name="entry_of_auction"),
            models.Index(fields=["organisation", "side", "id"], name="entry_of_organisation"),
        ]

    @property
    def offered_pool_id(self) -> uuid.UUID:
        """The pool of an offer; ``ValueError`` for an order."""
        if self.pool_id is None:
            raise ValueError("an order names no pool")
        return self.pool_id


class AuctionLine(AppendOnly, models.Model):
    """One step or block of an order or offer, at one price for all its slots.

    ``token`` is its name in the public problem and certificate, which says nothing of whose it is.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    entry = models.ForeignKey(AuctionEntry, models.PROTECT, related_name="lines")
    position = models.PositiveSmallIntegerField()
    token = models.UUIDField(unique=True, default=uuid.uuid4)
    kind = models.CharField(max_length=8, choices=LineKind.choices)
    price = models.DecimalField(max_digits=18, decimal_places=6, help_text="per unit-hour")
    units = ArrayField(models.IntegerField())
    least_ratio = models.DecimalField(max_digits=5, decimal_places=4, default=1)
    parent = models.ForeignKey("self", models.PROTECT, null=True, related_name="children")

    class Meta:
        ordering = ["entry", "position"]
        constraints = [
            models.UniqueConstraint(fields=["entry", "position"], name="auction_line_once"),
            models.CheckConstraint(condition=Q(price__gt=0), name="auction_price_above_zero"),
            models.CheckConstraint(
                condition=Q(kind="block", least_ratio__gt=0, least_ratio__lte=1)
                | Q(kind="step", least_ratio=1, parent__isnull=True),
                name="auction_ratio_and_parent_are_of_blocks",
            ),
        ]

    @property
    def price_micro(self) -> int:
        """Micro-yuan per unit-hour."""
        return to_micro(self.price)

    @property
    def ratio(self) -> Fraction:
        """The least share, exactly."""
        return Fraction(self.least_ratio)


class AuctionLink(models.Model):
    """What a link carries in auctions, each way, by hour of the delivery day; the operator's."""

    link = models.OneToOneField("exchange.Link", models.PROTECT, primary_key=True, related_name="+")
    price_per_unit_hour = models.DecimalField(max_digits=18, decimal_places=6)
    forward_units = ArrayField(models.IntegerField(), help_text="from region_a to region_b")
    backward_units = ArrayField(models.IntegerField(), help_text="from region_b to region_a")
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["link"]
        constraints = [
            models.CheckConstraint(
                condition=Q(price_per_unit_hour__gte=0)
                & Q(forward_units__len=24, backward_units__len=24),
                name="auction_link_has_24_hours",
            ),
        ]


class AuctionReservation(AppendOnly, models.Model):
    """Units of a pool that a line of an offer keeps for the auction from the gate's closing on.

    A guarded claim on capacity like a trade; ``offer`` is how the continuous book knows it.
    """

    line = models.OneToOneField(
        AuctionLine, models.PROTECT, primary_key=True, related_name="reservation"
    )
    auction = models.ForeignKey(Auction, models.PROTECT, related_name="reservations")
    pool = models.ForeignKey("exchange.Pool", models.PROTECT, related_name="+")
    offer = models.ForeignKey("exchange.Offer", models.PROTECT, related_name="+")
    first_slot = models.IntegerField()
    units = ArrayField(models.IntegerField())
    event = models.ForeignKey("exchange.BookEvent", models.PROTECT, related_name="+")
    reserved_at = models.DateTimeField()

    class Meta:
        ordering = ["line"]


class AuctionReservationEnd(AppendOnly, models.Model):
    """The end of a reservation: what trades took of it is theirs, the rest is the pool's again.

    The book goes on counting what is ``returned`` until ``event`` is in a written batch.
    """

    reservation = models.OneToOneField(
        AuctionReservation, models.PROTECT, primary_key=True, related_name="end"
    )
    returned = ArrayField(models.IntegerField(), help_text="what no trade took, by slot")
    event = models.ForeignKey("exchange.BookEvent", models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField()


class AuctionProblem(AppendOnly, models.Model):
    """What the engine is asked, frozen when the gate closed; names lines by their tokens."""

    auction = models.OneToOneField(
        Auction, models.PROTECT, primary_key=True, related_name="problem"
    )
    document = models.JSONField()
    sha256 = models.CharField(max_length=64)
    frozen_at = models.DateTimeField()


class AuctionResult(AppendOnly, models.Model):
    """What the engine answered and the independent checker accepted; written once."""

    auction = models.OneToOneField(Auction, models.PROTECT, primary_key=True, related_name="result")
    certificate = models.JSONField()
    problem_sha256 = models.CharField(max_length=64)
    method = models.CharField(max_length=16)
    note = models.TextField(blank=True)
    payments_micro = models.BigIntegerField()
    receipts_micro = models.BigIntegerField()
    transport_micro = models.BigIntegerField()
    rent_micro = models.BigIntegerField()
    objective_micro = models.BigIntegerField()
    bound_micro = models.BigIntegerField()
    checked_at = models.DateTimeField()

    class Meta:
        ordering = ["auction"]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    payments_micro=F("receipts_micro") + F("transport_micro") + F("rent_micro")
                ),
                name="auction_payments_are_receipts_transport_and_rent",
            ),
            models.CheckConstraint(
                condition=Q(bound_micro__gte=F("objective_micro")),
                name="auction_bound_not_below_objective",
            ),
        ]


class AuctionAnswer(AppendOnly, models.Model):
    """What a line got, at the uniform prices of its zone: pays where it buys, gets where it sells.

    A block that was not (wholly) accepted says why, and what the rest would have gained.
    """

    line = models.OneToOneField(
        AuctionLine, models.PROTECT, primary_key=True, related_name="answer"
    )
    accepted = ArrayField(models.IntegerField())
    amount_micro = models.BigIntegerField()
    reason = models.CharField(max_length=32, blank=True)
    forgone_micro = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["line"]
