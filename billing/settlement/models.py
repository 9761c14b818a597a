"""Settlement batches, what they owe to whom, and payouts."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from billing.periods.models import PeriodState, SettlementPeriod
from billing.settlement.states import BATCH_OPEN
from core.ids import new_id
from core.models import AppendOnly

__all__ = [
    "BatchState",
    "Obligation",
    "ObligationKind",
    "Payout",
    "PayoutState",
    "PeriodState",
    "RegionPayment",
    "SettlementBatch",
    "SettlementPeriod",
    "TopUp",
]


class BatchState(models.TextChoices):
    DRAFT = "draft", "Draft"  # computed, may be computed again
    SUBMITTED = "submitted", "Submitted"  # by the first person, with the hash of its content
    APPROVED = "approved", "Approved"  # by another person, who approved that hash
    EXECUTING = "executing", "Executing"  # ledger postings and payout file under way
    SETTLED = "settled", "Settled"  # posted, paid, period closed
    REJECTED = "rejected", "Rejected"  # sent back by the second person
    FAILED = "failed", "Failed"  # could not be executed; says why


class SettlementBatch(models.Model):
    """What one period owes to whom."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    period = models.ForeignKey(SettlementPeriod, models.PROTECT, related_name="batches")
    state = models.CharField(max_length=16, choices=BatchState.choices, default=BatchState.DRAFT)
    state_reason = models.CharField(max_length=200, blank=True)
    content_hash = models.CharField(max_length=64)
    charged_micro = models.BigIntegerField(help_text="what buyers were charged in the period")
    paid_out_micro = models.BigIntegerField(help_text="what goes to providers and carriers")
    kept_micro = models.BigIntegerField(help_text="commission, tax withheld, rounding carried")
    created_at = models.DateTimeField()
    created_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    submitted_at = models.DateTimeField(null=True)
    submitted_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    approved_at = models.DateTimeField(null=True)
    approved_by = models.ForeignKey("accounts.User", models.PROTECT, null=True, related_name="+")
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["period"], condition=Q(state__in=BATCH_OPEN), name="one_batch_for_a_period"
            ),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True)
                | (Q(submitted_by__isnull=False) & ~Q(approved_by=F("submitted_by"))),
                name="whoever_approves_did_not_submit",
            ),
            models.CheckConstraint(
                condition=Q(charged_micro=F("paid_out_micro") + F("kept_micro")),
                name="batch_pays_out_and_keeps_what_it_took_in",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["approved", "executing", "settled"])
                | Q(approved_by__isnull=False, approved_at__isnull=False),
                name="settled_batch_was_approved",
            ),
        ]


class ObligationKind(models.TextChoices):
    CLEARING = "clearing", "Clearing"  # one region owes another
    PAYOUT = "payout", "Payout"  # the platform owes a provider or carrier
    COMMISSION = "commission", "Commission"  # kept by the platform
    TAX = "tax", "Tax"  # kept for the tax authority of the region
    CONGESTION = "congestion", "Congestion"  # kept for the links that were full


class Obligation(AppendOnly, models.Model):
    """Who owes whom what in a batch, before netting.

    Parties are regions (clearing) or a region's platform account and an organisation (payout).
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    batch = models.ForeignKey(SettlementBatch, models.PROTECT, related_name="obligations")
    kind = models.CharField(max_length=16, choices=ObligationKind.choices)
    debtor_region = models.ForeignKey("exchange.Region", models.PROTECT, related_name="+")
    creditor_region = models.ForeignKey("exchange.Region", models.PROTECT, related_name="+")
    organisation = models.ForeignKey(
        "accounts.Organisation", models.PROTECT, null=True, related_name="+"
    )
    amount_micro = models.BigIntegerField()
    line_count = models.PositiveIntegerField(help_text="charge lines behind the amount")

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount_micro__gt=0), name="obligation_above_zero"),
            models.CheckConstraint(
                condition=~Q(kind="clearing") | ~Q(debtor_region=F("creditor_region")),
                name="no_region_clears_with_itself",
            ),
        ]
        indexes = [models.Index(fields=["batch", "kind"], name="obligation_of_batch")]


class RegionPayment(AppendOnly, models.Model):
    """One payment between two regions after multilateral netting."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    batch = models.ForeignKey(SettlementBatch, models.PROTECT, related_name="region_payments")
    payer_region = models.ForeignKey("exchange.Region", models.PROTECT, related_name="+")
    payee_region = models.ForeignKey("exchange.Region", models.PROTECT, related_name="+")
    amount_micro = models.BigIntegerField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_micro__gt=0), name="region_payment_above_zero"
            ),
        ]


class PayoutState(models.TextChoices):
    PENDING = "pending", "Pending"  # waits for the batch's approval
    SENT = "sent", "Sent"  # posted in the ledger and written to the payment file


class Payout(models.Model):
    """One payment instruction out of a settlement batch, in whole fen."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    batch = models.ForeignKey(SettlementBatch, models.PROTECT, related_name="payouts")
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    region = models.ForeignKey("exchange.Region", models.PROTECT, related_name="+")
    owed_micro = models.BigIntegerField(help_text="what the account has coming at the cut-off")
    amount_fen = models.BigIntegerField()
    carried_micro = models.BigIntegerField(help_text="less than a fen, carried to the next period")
    end_to_end_id = models.CharField(max_length=35, unique=True)
    state = models.CharField(
        max_length=16, choices=PayoutState.choices, default=PayoutState.PENDING
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["batch", "organisation", "region"], name="one_payout_for_each_party"
            ),
            models.CheckConstraint(
                condition=Q(owed_micro=F("amount_fen") * 10_000 + F("carried_micro")),
                name="payout_and_carry_make_what_is_owed",
            ),
            models.CheckConstraint(
                condition=Q(carried_micro__gte=0)
                & Q(carried_micro__lt=10_000)
                & Q(amount_fen__gte=0),
                name="payout_carries_less_than_a_fen",
            ),
        ]


class TopUp(AppendOnly, models.Model):
    """Money of a buyer that arrived at the bank. Its ledger transfer has its own id."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    region = models.ForeignKey("exchange.Region", models.PROTECT, related_name="+")
    amount_micro = models.BigIntegerField()
    bank_reference = models.CharField(max_length=64, unique=True)
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount_micro__gt=0), name="top_up_above_zero")
        ]
