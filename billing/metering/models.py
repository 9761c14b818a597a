"""What was really delivered, as reported."""

from __future__ import annotations

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q

from core.ids import new_id
from core.models import AppendOnly


class UsageSource(models.TextChoices):
    PROVIDER = "provider", "Provider"  # reported by whoever delivers
    PROBE = "probe", "Probe"  # measured by the platform


class TsTzRange(Func):
    function = "TSTZRANGE"
    output_field = DateTimeRangeField()


class UsageRecord(AppendOnly, models.Model):
    """Capacity made available by a lease in a period: active seconds times units."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    lease = models.ForeignKey("exchange.Lease", models.PROTECT, related_name="usage_records")
    source = models.CharField(max_length=16, choices=UsageSource.choices)
    source_record_id = models.CharField(max_length=64, help_text="the source's own id")
    period_start_at = models.DateTimeField()
    period_end_at = models.DateTimeField()
    active_unit_seconds = models.BigIntegerField()
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["lease", "source", "source_record_id"], name="usage_record_reported_once"
            ),
            models.CheckConstraint(
                condition=Q(period_end_at__gt=F("period_start_at")), name="usage_covers_time"
            ),
            models.CheckConstraint(
                condition=Q(active_unit_seconds__gte=0), name="usage_not_negative"
            ),
            ExclusionConstraint(
                name="usage_periods_of_a_lease_never_overlap",
                expressions=[
                    ("lease", RangeOperators.EQUAL),
                    ("source", RangeOperators.EQUAL),
                    (TsTzRange("period_start_at", "period_end_at"), RangeOperators.OVERLAPS),
                ],
            ),
        ]


class UnratedRecord(models.Model):
    """A provider's usage record that waits for its charge; the row goes when that is written.

    Finding what is left to do thus costs what is left, not all that was ever reported. A record
    that the ledger would not let be charged stays here with the ledger's word for why.
    """

    usage_record = models.OneToOneField(
        UsageRecord, models.PROTECT, primary_key=True, related_name="unrated"
    )
    refused_code = models.CharField(max_length=32, blank=True)
    refused_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["usage_record"]
        constraints = [
            models.CheckConstraint(
                condition=Q(refused_code="", refused_at__isnull=True)
                | (~Q(refused_code="") & Q(refused_at__isnull=False)),
                name="refused_record_says_why_and_when",
            )
        ]
