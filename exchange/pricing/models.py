"""Versions of the rules by which trades and uses are priced."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.models import AppendOnly


class RuleSet(AppendOnly, models.Model):
    """One version of the tariff: rates in basis points, valid from an instant on.

    A trade and a charge name the version that they were made under; versions are never changed.
    """

    version = models.AutoField(primary_key=True)
    valid_from_at = models.DateTimeField(unique=True)
    commission_bp = models.PositiveIntegerField()
    compute_vat_bp = models.PositiveIntegerField()
    transport_vat_bp = models.PositiveIntegerField()
    brokerage_vat_bp = models.PositiveIntegerField()
    reporting_grace_seconds = models.PositiveIntegerField(
        help_text="how long after a lease's end its use may still be reported"
    )
    note = models.TextField(blank=True)

    class Meta:
        ordering = ["version"]
        constraints = [
            models.CheckConstraint(
                condition=Q(commission_bp__lt=10_000)
                & Q(compute_vat_bp__lt=10_000)
                & Q(transport_vat_bp__lt=10_000)
                & Q(brokerage_vat_bp__lt=10_000),
                name="rule_set_rates_below_one",
            )
        ]
