"""Periods: the operator's days, to which charges belong and which settlement closes."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from ledger.models import Period


class PeriodState(models.TextChoices):
    OPEN = "open", "Open"  # takes charges; exactly one is open
    CLOSING = "closing", "Closing"  # cut off: being settled
    CLOSED = "closed", "Closed"  # sealed by an approved batch


class SettlementPeriod(models.Model):
    """A day of the operator's time zone, half-open. One is open at a time."""

    id = models.AutoField(primary_key=True)
    date = models.DateField(unique=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(help_text="the cut-off: planned, then actual")
    closed_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=16, choices=PeriodState.choices, default=PeriodState.OPEN)
    # Where the books of the day are kept: what settles it is booked there too.
    ledger_period = models.ForeignKey(Period, models.PROTECT, related_name="+")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=Q(state="open"), name="one_period_is_open"
            ),
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="period_has_time"),
        ]
