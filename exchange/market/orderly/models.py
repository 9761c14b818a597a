"""What keeps the market orderly: the published index, halts, limits of single organisations."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Q

from core.ids import new_id
from core.models import AppendOnly
from core.slots import SECONDS_PER_SLOT


class IndexPublication(AppendOnly, models.Model):
    """One hour of a book's index: which batches count in it. Made by the sweep that owns it.

    Each has the batches after those of the hour before: ``first_batch`` to ``last_batch``, none
    where ``last_batch`` is smaller.
    """

    id = models.BigAutoField(primary_key=True)
    book = models.ForeignKey("exchange.Book", models.PROTECT, related_name="index_publications")
    slot = models.IntegerField(help_text="the hour")
    first_batch = models.BigIntegerField()
    last_batch = models.BigIntegerField()
    min_unit_hours = models.PositiveIntegerField(help_text="with less volume a price is carried")
    published_at = models.DateTimeField()

    class Meta:
        ordering = ["book", "slot"]
        constraints = [
            models.UniqueConstraint(fields=["book", "slot"], name="index_hour_published_once"),
            models.CheckConstraint(
                condition=Q(last_batch__gte=F("first_batch") - 1), name="index_batches_in_order"
            ),
        ]


class IndexHour(AppendOnly, models.Model):
    """The reference price of a grade in a region for one hour.

    ``unit_seconds``, ``compute_micro`` and ``trades`` are what was counted in the hour itself;
    ``priced_slot`` is the hour in which the price was made: an earlier one where it is carried.
    """

    id = models.UUIDField(primary_key=True, editable=False)  # of its hour, grade and region
    publication = models.ForeignKey(IndexPublication, models.PROTECT, related_name="hours")
    grade = models.ForeignKey("exchange.Grade", models.PROTECT, related_name="+")
    region = models.ForeignKey("exchange.Region", models.PROTECT, related_name="+")
    slot = models.IntegerField()
    price_per_unit_hour = models.DecimalField(max_digits=18, decimal_places=6)
    priced_slot = models.IntegerField()
    unit_seconds = models.BigIntegerField()
    compute_micro = models.BigIntegerField()
    trades = models.PositiveIntegerField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["grade", "region", "slot"], name="index_price_once_an_hour"
            ),
            models.CheckConstraint(
                condition=Q(price_per_unit_hour__gt=0), name="index_price_above_zero"
            ),
            models.CheckConstraint(
                condition=Q(priced_slot__lte=F("slot")), name="index_price_is_not_of_the_future"
            ),
            models.CheckConstraint(
                condition=Q(trades=0, unit_seconds=0, compute_micro=0)
                | Q(trades__gt=0, unit_seconds__gt=0, compute_micro__gte=0),
                name="index_volume_goes_with_trades",
            ),
        ]
        indexes = [
            models.Index(fields=["grade", "id"], name="index_of_grade"),
            models.Index(fields=["slot", "id"], name="index_of_slot"),
        ]

    @property
    def unit_hours(self) -> Decimal:
        """The volume of the hour itself, to the thousandth."""
        return (Decimal(self.unit_seconds) / SECONDS_PER_SLOT).quantize(Decimal("0.001"))

    @property
    def is_carried(self) -> bool:
        """Whether the price was made in an earlier hour."""
        return self.priced_slot < self.slot


class Halt(models.Model):
    """Trading is halted in a book, or in a region and all below it, until it is resumed."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey("exchange.Book", models.PROTECT, null=True, related_name="halts")
    region = models.ForeignKey("exchange.Region", models.PROTECT, null=True, related_name="+")
    reason = models.CharField(max_length=500)
    halted_by = models.CharField(max_length=200)
    halted_at = models.DateTimeField()
    resume_reason = models.CharField(max_length=500, blank=True)
    resumed_by = models.CharField(max_length=200, blank=True)
    resumed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(book__isnull=True, region__isnull=False)
                | Q(book__isnull=False, region__isnull=True),
                name="halt_is_of_a_book_or_of_a_region",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="halt_has_a_reason"),
            models.CheckConstraint(
                condition=Q(resumed_at__isnull=True, resume_reason="", resumed_by="")
                | (Q(resumed_at__gte=F("halted_at")) & ~Q(resume_reason="") & ~Q(resumed_by="")),
                name="halt_resumed_whole",
            ),
            models.UniqueConstraint(
                fields=["book"], condition=Q(resumed_at=None), name="book_halted_once"
            ),
            models.UniqueConstraint(
                fields=["region"], condition=Q(resumed_at=None), name="region_halted_once"
            ),
        ]

    @property
    def state(self) -> str:
        """Of its section of the market: ``halted``, or ``open`` again."""
        return "halted" if self.resumed_at is None else "open"


class OrderLimit(models.Model):
    """How many live orders one organisation may have, where that is not the general limit."""

    organisation = models.OneToOneField(
        "accounts.Organisation", models.PROTECT, primary_key=True, related_name="order_limit"
    )
    open_orders = models.PositiveIntegerField()
    changed_at = models.DateTimeField()
