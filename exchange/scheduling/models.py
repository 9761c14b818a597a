"""Leases: what a trade obliges the provider to deliver, and how the buyer gets in."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from core.ids import new_id
from core.models import AppendOnly
from exchange.scheduling.states import LEASE_ENDED, LEASE_RUNNING, LEASE_WAITING


class LeaseState(models.TextChoices):
    SCHEDULED = "scheduled", "Scheduled"  # pulled from its trade, not yet begun
    PROVISIONING = "provisioning", "Provisioning"  # the provider prepares it
    ACTIVE = "active", "Active"  # the buyer can use it; time is charged
    SUSPENDED = "suspended", "Suspended"  # its centre is out; time is not charged
    COMPLETED = "completed", "Completed"  # ran to its end
    FAILED = "failed", "Failed"  # the provider could not deliver
    TERMINATED = "terminated", "Terminated"  # ended before its time


class Lease(models.Model):
    """The obligation to deliver that a trade creates. Has the trade's own id."""

    trade = models.OneToOneField(
        "exchange.Trade", models.PROTECT, primary_key=True, db_column="id", related_name="lease"
    )
    buyer = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    provider = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    centre = models.ForeignKey("exchange.Centre", models.PROTECT, related_name="leases")
    units = models.PositiveIntegerField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    state = models.CharField(
        max_length=16, choices=LeaseState.choices, default=LeaseState.SCHEDULED
    )
    state_reason = models.CharField(max_length=200, blank=True)
    activated_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    updated_at = models.DateTimeField()

    class Meta:
        ordering = ["trade"]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="lease_covers_time"
            ),
            models.CheckConstraint(
                condition=Q(state__in=LEASE_ENDED, ended_at__isnull=False)
                | (~Q(state__in=LEASE_ENDED) & Q(ended_at__isnull=True)),
                name="lease_ended_says_when",
            ),
        ]
        indexes = [
            models.Index(
                fields=["ends_at"], condition=Q(state__in=LEASE_RUNNING), name="lease_to_end"
            ),
            models.Index(
                fields=["starts_at"], condition=Q(state__in=LEASE_WAITING), name="lease_to_start"
            ),
            models.Index(
                fields=["centre"], condition=Q(state__in=LEASE_RUNNING), name="lease_of_centre"
            ),
            models.Index(
                fields=["centre"], condition=Q(state="suspended"), name="lease_suspended_of_centre"
            ),
            models.Index(fields=["provider", "trade"], name="lease_of_provider"),
            models.Index(fields=["buyer", "trade"], name="lease_of_buyer"),
            models.Index(fields=["provider", "state", "trade"], name="lease_of_provider_by_state"),
            models.Index(fields=["buyer", "state", "trade"], name="lease_of_buyer_by_state"),
        ]


class LeaseEvent(AppendOnly, models.Model):
    """One transition of a lease: what happened, when, by whom."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    lease = models.ForeignKey(Lease, models.PROTECT, related_name="events")
    event = models.CharField(max_length=32)
    state_before = models.CharField(max_length=16)
    state_after = models.CharField(max_length=16)
    occurred_at = models.DateTimeField()
    actor_label = models.CharField(max_length=128)
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["lease", "id"], name="lease_event_of_lease")]


class ReclaimState(models.TextChoices):
    NOTICED = "noticed", "Noticed"  # the buyer knows; it runs until its time
    EXECUTED = "executed", "Executed"  # the lease was ended, and compensation is owed
    VOID = "void", "Void"  # the lease had ended by itself


class Reclaim(models.Model):
    """A lease that its provider takes back at ``due_at``: notice given, then ended by a sweep."""

    lease = models.OneToOneField(Lease, models.PROTECT, primary_key=True, related_name="reclaim")
    request_id = models.UUIDField(help_text="the same for all leases of one request")
    reason = models.CharField(max_length=200, blank=True)
    from_slot = models.IntegerField(help_text="the first slot that is not delivered")
    due_at = models.DateTimeField()
    state = models.CharField(
        max_length=16, choices=ReclaimState.choices, default=ReclaimState.NOTICED
    )
    compensation_micro = models.BigIntegerField(
        null=True, help_text="owed by the provider to the buyer"
    )
    noticed_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["lease"]
        constraints = [
            models.CheckConstraint(
                condition=Q(state="executed", compensation_micro__gte=0, decided_at__isnull=False)
                | Q(state="void", compensation_micro=None, decided_at__isnull=False)
                | Q(state="noticed", compensation_micro=None, decided_at=None),
                name="reclaim_owes_once_executed",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="noticed"), name="reclaim_due"),
            models.Index(fields=["request_id"], name="reclaim_of_request"),
        ]


class LeaseAccess(models.Model):
    """How the buyer gets in, encrypted; the id of the key stands beside the ciphertext."""

    lease = models.OneToOneField(Lease, models.PROTECT, primary_key=True, related_name="access")
    key_id = models.CharField(max_length=16)
    ciphertext = models.BinaryField()
    updated_at = models.DateTimeField()
