"""Accounts, holds, transfers, entries and seals.

Amounts are whole numbers of the asset's smallest unit, and signed as the books sign them: a debit
is above zero, a credit below. The triggers of ``migrations/0002_guards.py`` hold what a CHECK
cannot say; since they look up what every new entry and hold refers to as a set, these references
carry no foreign key of their own, whose check would run once a row.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from core.models import AppendOnly, CurrentXid, OldestRunningXid, TextArrayField, XidField
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
    ``version`` how many entries there are, ``recorded_at`` when the last of them was recorded.
    """

    # Four bytes: every entry repeats it, beside the two of its position.
    id = models.AutoField(primary_key=True)
    owner = models.UUIDField()
    balance = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    version = models.BigIntegerField(default=0)
    recorded_at = models.DateTimeField(null=True)
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
            # Seen from the other side it is the same amount, which the lowest of 64 bits is not.
            models.CheckConstraint(
                condition=Q(balance__gt=-(2**63)), name="ledger_balance_has_an_opposite"
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


class PeriodState(models.TextChoices):
    OPEN = "open", "Open"  # takes every entry; exactly one is open
    CLOSING = "closing", "Closing"  # takes only the codes that closing needs
    CLOSED = "closed", "Closed"  # takes nothing any more


class Period(models.Model):
    """A stretch of the books. A transfer goes into the open one unless its caller names another.

    With ``kept_at``, when a closed period's balances are kept, come ``first_effective_at``, the
    earliest of the period, and ``last_effective_at`` and ``last_recorded_at``, the latest of this
    and all earlier periods. No transfer of the period has an ``xid`` below ``first_xid``.
    """

    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    opened_at = models.DateTimeField()
    closing_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    kept_at = models.DateTimeField(null=True)
    first_effective_at = models.DateTimeField(null=True)
    last_effective_at = models.DateTimeField(null=True)
    last_recorded_at = models.DateTimeField(null=True)
    first_xid = XidField(db_default=OldestRunningXid())
    state = models.CharField(max_length=8, choices=PeriodState, default=PeriodState.OPEN)
    closing_codes = TextArrayField(default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["state"],
                condition=Q(state=PeriodState.OPEN),
                name="ledger_one_period_is_open",
            ),
            models.CheckConstraint(
                condition=Q(state="open", closing_at=None, closed_at=None)
                | Q(state="closing", closing_at__isnull=False, closed_at=None)
                | Q(state="closed", closing_at__isnull=False, closed_at__isnull=False),
                name="ledger_period_knows_when_it_moved",
            ),
            models.CheckConstraint(
                condition=Q(
                    kept_at=None,
                    first_effective_at=None,
                    last_effective_at=None,
                    last_recorded_at=None,
                )
                | Q(kept_at__isnull=False, state="closed"),
                name="ledger_period_is_kept_when_closed",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Transfer(AppendOnly):
    """A business event in money; its entries stand beside it from the statement that wrote it.

    ``xid`` is the writing database transaction, by which sealing knows what may still arrive.
    Eight columns and none of them null: a ninth, or a null, would cost each row eight bytes.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    reference = models.UUIDField()
    effective_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    xid = XidField(db_default=CurrentXid())
    period = models.ForeignKey(
        Period, models.PROTECT, related_name="transfers", db_constraint=False, db_index=False
    )
    entry_count = models.SmallIntegerField()
    code = models.CharField(max_length=64)

    class Meta:
        indexes = [models.Index(fields=["xid"], name="ledger_transfer_xid")]
        constraints = [
            models.CheckConstraint(
                condition=Q(entry_count__gte=2), name="ledger_transfer_has_two_entries_or_more"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.id}"


class Entry(AppendOnly):
    """One movement of one account: its ``version``-th, after which it stood at ``balance_after``.

    Position 1 to ``entry_count`` within the transfer; ``hold`` is the hold of the account that the
    entry takes from. The index on the transfer is not unique: then PostgreSQL keeps the entries of
    a transfer as one item of it, in half the space. That none comes later is the guard's to say.
    """

    pk = models.CompositePrimaryKey("account_id", "version")
    transfer = models.ForeignKey(
        Transfer, models.PROTECT, related_name="entries", db_constraint=False, db_index=False
    )
    amount = models.BigIntegerField()
    balance_after = models.BigIntegerField()
    version = models.BigIntegerField()
    account = models.ForeignKey(
        Account, models.PROTECT, related_name="entries", db_constraint=False, db_index=False
    )
    position = models.SmallIntegerField()
    hold = models.ForeignKey(
        Hold,
        models.PROTECT,
        null=True,
        related_name="entries",
        db_constraint=False,
        db_index=False,
    )

    class Meta:
        verbose_name_plural = "entries"
        indexes = [
            models.Index(fields=["transfer"], name="ledger_entry_of_transfer"),
            models.Index(
                fields=["hold"], name="ledger_entry_of_hold", condition=Q(hold__isnull=False)
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(amount=0), name="ledger_entry_is_not_zero"),
        ]

    def __str__(self) -> str:
        return f"{self.transfer_id}/{self.position}"


class Reversal(AppendOnly):
    """A transfer that undoes another one, entry by entry; each is undone at most once."""

    transfer = models.OneToOneField(
        Transfer, models.PROTECT, primary_key=True, related_name="reversal", db_constraint=False
    )
    reverses = models.OneToOneField(
        Transfer, models.PROTECT, related_name="reversed_by", db_constraint=False
    )

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(transfer=F("reverses")), name="ledger_reversal_is_of_another_transfer"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.transfer_id} reverses {self.reverses_id}"


class PeriodBalance(AppendOnly):
    """Where an account that moved in a period stood at its end: all that was posted up to it.

    ``version_first`` and ``version_last`` span the account's entries of the period. While it was
    closing others came between them: no entry of a later period is before ``version_next``.
    """

    pk = models.CompositePrimaryKey("account_id", "period_id")
    account = models.ForeignKey(
        Account, models.PROTECT, related_name="kept", db_constraint=False, db_index=False
    )
    period = models.ForeignKey(
        Period, models.PROTECT, related_name="balances", db_constraint=False, db_index=False
    )
    # Wider than an account's own: entries of the next period came between, so it need never have
    # stood there; and from one end of 64 bits to the other is further than 64 bits.
    balance = models.DecimalField(max_digits=30, decimal_places=0)
    turnover = models.DecimalField(max_digits=30, decimal_places=0)
    version_first = models.BigIntegerField()
    version_last = models.BigIntegerField()
    version_next = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.account_id} at the end of {self.period_id}"


class PeriodTotal(AppendOnly):
    """The trial balance at the end of a period: all accounts of a code in a region and asset."""

    pk = models.CompositePrimaryKey("period_id", "region", "asset", "code")
    period = models.ForeignKey(
        Period, models.PROTECT, related_name="totals", db_constraint=False, db_index=False
    )
    region = models.CharField(max_length=64)
    asset = models.CharField(max_length=32)
    code = models.CharField(max_length=64)
    # Of accounts that stand in debit, and of those that stand in credit; both above zero.
    debits = models.DecimalField(max_digits=30, decimal_places=0)
    credits = models.DecimalField(max_digits=30, decimal_places=0)

    def __str__(self) -> str:
        return f"{self.code} in {self.region} at the end of {self.period_id}"


class Seal(SealOfRows):
    """A link of the hash chain over transfers with their entries; see ``sealing``."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["xid_from"], name="ledger_seal_has_one_successor"),
        ]

    def __str__(self) -> str:
        return f"seal {self.number}"


class Verification(AppendOnly):
    """That all was found sound up to a seal: where ``manage.py verify --since`` goes on from."""

    id = models.AutoField(primary_key=True)
    seal = models.BigIntegerField()
    hash = models.BinaryField()
    verified_at = models.DateTimeField()
    verified_by = models.CharField(max_length=128)

    def __str__(self) -> str:
        return f"seal {self.seal} at {self.verified_at}"
