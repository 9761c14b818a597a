"""Settlement's verbs: cut a period off, draw up its batch, submit, approve, execute."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from accounts.actors import Actor
from billing.settlement.models import SettlementBatch, SettlementPeriod


def ensure_open_period(*, now: datetime) -> SettlementPeriod:
    """The open period; opened for the operator's present day where there is none."""
    raise NotImplementedError


def cut_off(*, actor: Actor, now: datetime) -> SettlementPeriod:
    """Set the open period to closing and open the next; returns the one that closes."""
    raise NotImplementedError


def draft_batch(*, actor: Actor, period_id: int, now: datetime) -> SettlementBatch:
    """Draw up what a closing period owes to whom; an earlier draft is discarded."""
    raise NotImplementedError


def submit_batch(*, actor: Actor, batch_id: UUID, now: datetime) -> SettlementBatch:
    """The first person (settlement clerk) stands for the draft."""
    raise NotImplementedError


def approve_batch(
    *, actor: Actor, batch_id: UUID, content_hash: str, now: datetime
) -> SettlementBatch:
    """Another person (settlement approver) approves exactly the content of that hash."""
    raise NotImplementedError


def reject_batch(*, actor: Actor, batch_id: UUID, reason: str, now: datetime) -> SettlementBatch:
    """The second person sends it back."""
    raise NotImplementedError


def execute_batch(*, batch_id: UUID, now: datetime) -> SettlementBatch:
    """Post and pay an approved batch, once however often it is called."""
    raise NotImplementedError
