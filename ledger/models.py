"""Accounts, holds, transfers, entries and seals.

Amounts are whole numbers of the asset's smallest unit, and signed as the books sign them: a debit
is above zero, a credit below. The triggers of ``migrations/0002_guards.py`` hold what a CHECK
cannot say; since they look up what every new entry and hold refers to as a set, these references
carry no foreign key of their own, whose check would run once a row.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from core.models import AppendOnly, CurrentXid, XidField
from core.models import Seal as SealOfRows


class NormalSide(models.IntegerChoices):
    DEBIT = 1, "Debit"  # grows by debits: what is owned or due to us (bank, receivable)
    CREDIT = -1, "Credit"  # grows by credits: what is owed to others, and income


class Resolution(models.TextChoices):
    POSTED = "posted", "Posted"  # the last of it was taken by a transfer
    RELEASED = "released", "Released"  # the last of it was given back by the caller
    EXPIRED = "expired", "Expired"  # the last of it was given back by the sweep


class Account(models.Model):
    """One stripe of an account (most have one). Kept by ``services.post``, opened once, for good.

    ``balance`` is the sum of the entries (debits above zero), ``held`` what rests on open holds,
    ``version`` how many entries there are.
    """

    id = models.BigAutoField(primary_key=True)
    owner = models.UUIDField()
    balance = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    version = models.BigIntegerField(default=0)
    normal_side = models.SmallIntegerField(choices=NormalSide)
    stripe = models.SmallIntegerField(default=0)
    stripes = models.SmallIntegerField(default=1)
    floor = models.BooleanField(default=False)
    code = models.CharField(max_length=64)
    region = models.CharField(max_length=64)
    asset = models.CharField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "code", "region", "asset", "stripe"],
                name="ledger_account_is_opened_once",
            ),
            models.CheckConstraint(
                condition=Q(floor=False) | Q(held__lte=F("balance") * F("normal_side")),
                name="ledger_available_never_below_floor",
            ),
            models.CheckConstraint(condition=Q(held__gte=0), name="ledger_held_never_negative"),
            models.CheckConstraint(
                condition=Q(version__gte=0), name="ledger_account_version_never_negative"
            ),
            models.CheckConstraint(
                condition=Q(normal_side__in=NormalSide.values), name="ledger_normal_side_is_known"
            ),
            models.CheckConstraint(
                condition=Q(stripe__gte=0)
                & Q(stripe__lt=F("stripes"))
                & (Q(stripes=1) | Q(floor=False, held=0)),
                name="ledger_striped_account_has_no_floor_and_no_holds",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} of {self.owner} in {self.region}, {self.asset}"


class Hold(models.Model):
    """An amount set aside. What rests is ``amount - posted - released``; it only falls."""

    id = models.UUIDField(primary_key=True, editable=False)
    reference = models.UUIDField()
    account = models.ForeignKey(
        Account, models.PROTECT, related_name="holds", db_constraint=False, db_index=False
    )
    amount = models.BigIntegerField()
    posted = models.BigIntegerField(default=0)
    released = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    resolution = models.CharField(max_length=8, choices=Resolution, null=True)  # noqa: DJ001 - open
    code = models.CharField(max_length=64)

    class Meta:
        indexes = [
            models.Index(
                fields=["expires_at"],
                name="ledger_hold_overdue",
                condition=Q(resolved_at=None, expires_at__isnull=False),
            ),
            models.Index(
                fields=["account"], name="ledger_hold_open", condition=Q(resolved_at=None)
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="ledger_hold_above_zero"),
            models.CheckConstraint(
                condition=Q(posted__gte=0)
                & Q(released__gte=0)
                & Q(amount__gte=F("posted") + F("released")),
                name="ledger_hold_never_overdrawn",
            ),
            models.CheckConstraint(
                condition=Q(
                    resolved_at=None, resolution=None, amount__gt=F("posted") + F("released")
                )
                | Q(
                    resolved_at__isnull=False,
                    resolution__in=Resolution.values,
                    amount=F("posted") + F("released"),
                ),
                name="ledger_hold_resolves_when_nothing_rests",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.id}"


class Transfer(AppendOnly):
    """A business event in money; its entries stand beside it from the statement that wrote it.

    ``xid`` is the writing database transaction, by which sealing knows what may still arrive.
    ``hold_id`` has no foreign key for the reason given above; the posting call holds its account.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    reference = models.UUIDField()
    effective_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    xid = XidField(db_default=CurrentXid())
    entry_count = models.SmallIntegerField()
    code = models.CharField(max_length=64)
    hold = models.ForeignKey(
        Hold,
        models.PROTECT,
        null=True,
        related_name="transfers",
        db_constraint=False,
        db_index=False,
    )

    class Meta:
        indexes = [
            models.Index(fields=["xid"], name="ledger_transfer_xid"),
            models.Index(
                fields=["hold"], name="ledger_transfer_of_hold", condition=Q(hold__isnull=False)
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(entry_count__gte=2), name="ledger_transfer_has_two_entries_or_more"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.id}"


class Entry(AppendOnly):
    """One movement of one account: its ``version``-th, after which it stood at ``balance_after``.

    Position 1 to ``entry_count`` within the transfer: with the key below, no entry can come later.
    """

    pk = models.CompositePrimaryKey("transfer_id", "position")
    transfer = models.ForeignKey(
        Transfer, models.PROTECT, related_name="entries", db_constraint=False, db_index=False
    )
    account = models.ForeignKey(
        Account, models.PROTECT, related_name="entries", db_constraint=False, db_index=False
    )
    amount = models.BigIntegerField()
    balance_after = models.BigIntegerField()
    version = models.BigIntegerField()
    position = models.SmallIntegerField()

    class Meta:
        verbose_name_plural = "entries"
        constraints = [
            models.UniqueConstraint(
                fields=["account", "version"], name="ledger_entry_takes_its_turn_once"
            ),
            models.CheckConstraint(condition=~Q(amount=0), name="ledger_entry_is_not_zero"),
        ]

    def __str__(self) -> str:
        return f"{self.transfer_id}/{self.position}"


class Seal(SealOfRows):
    """A link of the hash chain over transfers with their entries; see ``sealing``."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["xid_from"], name="ledger_seal_has_one_successor"),
        ]

    def __str__(self) -> str:
        return f"seal {self.number}"
