"""Double entry as a Django project would write it by itself: kept balances under row locks."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q


class Account(models.Model):
    balance = models.BigIntegerField(default=0)
    version = models.BigIntegerField(default=0)
    has_floor = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(has_floor=False) | Q(balance__gte=0), name="floor")
        ]


class Transfer(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    code = models.CharField(max_length=64)
    reference = models.UUIDField()
    effective_at = models.DateTimeField()
    recorded_at = models.DateTimeField(auto_now_add=True)


class Entry(models.Model):
    transfer = models.ForeignKey(Transfer, models.PROTECT)
    account = models.ForeignKey(Account, models.PROTECT)
    amount = models.BigIntegerField()
    balance_after = models.BigIntegerField()
    version = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "version"], name="one_turn"),
            models.CheckConstraint(condition=~Q(amount=0), name="not_zero"),
        ]
