"""Charges: rated usage records, by component."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.ids import new_id
from core.models import AppendOnly


class Component(models.TextChoices):
    """What a part of a charge is for. The parts of a charge sum to it."""

    SELLER_NET = "seller_net", "Seller, net"  # what the provider has coming
    COMMISSION = "commission", "Commission"  # withheld from the seller for the platform
    COMPUTE_VAT = "compute_vat", "VAT on compute"  # contained in the compute price
    TRANSPORT_NET = "transport_net", "Transport, net"  # what a carrier has coming
    TRANSPORT_VAT = "transport_vat", "VAT on transport"  # contained in the transport price
    CONGESTION = "congestion_rent", "Congestion rent"  # of an auction's links that were full


class Charge(AppendOnly, models.Model):
    """One rated usage record; tax-inclusive. Its ledger transfer has the charge's own id."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    usage_record = models.OneToOneField(
        "billing.UsageRecord", models.PROTECT, related_name="charge"
    )
    lease = models.ForeignKey("exchange.Lease", models.PROTECT, related_name="charges")
    period = models.ForeignKey("billing.SettlementPeriod", models.PROTECT, related_name="charges")
    buyer = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    seller = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    buyer_region = models.ForeignKey("exchange.Region", models.PROTECT, related_name="+")
    seller_region = models.ForeignKey("exchange.Region", models.PROTECT, related_name="+")
    rule_set = models.ForeignKey("exchange.RuleSet", models.PROTECT, related_name="+")
    unit_seconds_before = models.BigIntegerField(help_text="charged of this lease before")
    unit_seconds_after = models.BigIntegerField()
    compute_micro = models.BigIntegerField()
    transport_micro = models.BigIntegerField()
    amount_micro = models.BigIntegerField()
    charged_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_micro=models.F("compute_micro") + models.F("transport_micro")),
                name="charge_is_compute_and_transport",
            ),
            models.CheckConstraint(
                condition=Q(compute_micro__gte=0) & Q(transport_micro__gte=0),
                name="charge_not_negative",
            ),
            models.UniqueConstraint(
                fields=["lease", "unit_seconds_before"],
                condition=Q(unit_seconds_after__gt=models.F("unit_seconds_before")),
                name="lease_charged_in_one_line",
            ),
        ]
        indexes = [
            models.Index(fields=["period", "seller"], name="charge_of_seller_in_period"),
            models.Index(fields=["buyer", "id"], name="charge_of_buyer"),
            models.Index(fields=["seller", "id"], name="charge_of_seller"),
            models.Index(fields=["lease", "-unit_seconds_after"], name="charge_newest_of_lease"),
        ]


class ChargeLine(AppendOnly, models.Model):
    """One component of a charge and who has it coming, in which region."""

    id = models.BigAutoField(primary_key=True)
    charge = models.ForeignKey(Charge, models.PROTECT, related_name="lines")
    component = models.CharField(max_length=16, choices=Component.choices)
    payee = models.ForeignKey("accounts.Organisation", models.PROTECT, null=True, related_name="+")
    region = models.ForeignKey("exchange.Region", models.PROTECT, related_name="+")
    amount_micro = models.BigIntegerField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount_micro__gt=0), name="charge_line_above_zero"),
        ]
        indexes = [models.Index(fields=["charge"], name="charge_line_of_charge")]
