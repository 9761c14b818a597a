"""Settlement's verbs: cut a period off, draw up its batch, submit, approve, execute."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef

from accounts import audit
from accounts.actors import Actor, system
from billing.metering.models import UnratedRecord
from billing.periods import services as periods
from billing.periods.errors import PeriodNotFound
from billing.periods.locks import lock_open_period, lock_period
from billing.periods.models import PeriodState, SettlementPeriod
from billing.periods.services import ensure_open_period
from billing.rating.models import Charge
from billing.rating.posting import accounts_of
from billing.rating.services import rate_pending, release_overdue_holds
from billing.settlement.books import check_books
from billing.settlement.drafting import draw_up, stored_content, write_rows
from billing.settlement.errors import (
    BatchUnderWay,
    ContentDiffers,
    EarlierPeriodUnsettled,
    FourEyes,
    PeriodNotClosing,
)
from billing.settlement.locks import lock_batch
from billing.settlement.models import BatchState, PayoutState, SettlementBatch
from billing.settlement.posting import CLOSING_CODES, batch_transfers
from billing.settlement.states import BATCH_OPEN, BATCH_TRANSITIONS
from core.errors import InvalidInput, Unavailable
from core.ids import new_id
from core.states import next_state
from core.wakeups import wake
from exchange.pricing.chart import spec
from ledger.services import open_accounts, post

__all__ = [
    "approve_batch",
    "cut_off",
    "cut_off_due_period",
    "draft_batch",
    "ensure_open_period",
    "execute_batch",
    "reject_batch",
    "submit_batch",
]

SETTLEMENT_WAKE_UP = "settlement"
MAX_REASON = 200
log = structlog.get_logger(__name__)


def cut_off(*, actor: Actor, now: datetime) -> SettlementPeriod:
    """Set the open period to closing and open the next; returns the one that closes.

    What was reported before is charged into the period first.
    """
    actor.require_operator("settlement_clerk")
    with transaction.atomic():
        # Alone with the period from here on: other raters wait, and go on in the next one.
        if lock_open_period() is None:
            ensure_open_period(now=now)
        periods.hold_the_books()
        while rate_pending(now=now):
            pass
        return periods.cut_off(actor=actor, closing_codes=CLOSING_CODES, now=now)


def cut_off_due_period(*, now: datetime) -> SettlementPeriod | None:
    """Cut the open period off where its planned end has come."""
    if not periods.is_due(now=now):
        return None
    return cut_off(actor=system("settlement.cut_off"), now=now)


def draft_batch(*, actor: Actor, period_id: int, now: datetime) -> SettlementBatch:
    """Draw up what a closing period owes to whom; an earlier draft is discarded.

    In order: everything reported before the cut-off is charged, overdue holds are released, the
    books balance and mirror each other. ``PeriodNotFound``, ``PeriodNotClosing``,
    ``EarlierPeriodUnsettled``, ``BatchUnderWay``, ``BooksDoNotBalance``.
    """
    actor.require_operator("settlement_clerk")
    with transaction.atomic():
        period = lock_period(period_id)
        if period is None:
            raise PeriodNotFound(f"There is no period {period_id}.")
        _check_turn(period)
        _discard_draft(actor, period, now)
        release_overdue_holds(now=now)
        _check_charged(period)
        check_books()
        content = draw_up(period)
        batch = SettlementBatch.objects.create(
            id=new_id(),
            period=period,
            content_hash=content.content_hash(),
            charged_micro=content.charged_micro,
            paid_out_micro=content.paid_out_micro,
            kept_micro=content.kept_micro,
            created_at=now,
            created_by_id=actor.person_id,
        )
        write_rows(batch, content)
        _record(actor, batch, "draft", before=None, now=now)
    return batch


def submit_batch(*, actor: Actor, batch_id: UUID, now: datetime) -> SettlementBatch:
    """The first person (settlement clerk) stands for the draft."""
    actor.require_operator("settlement_clerk")
    person = _person(actor)
    with transaction.atomic():
        batch = lock_batch(batch_id)
        _move(actor, batch, "submit", now=now, submitted_at=now, submitted_by_id=person)
        _check_content(batch)
    return batch


def approve_batch(
    *, actor: Actor, batch_id: UUID, content_hash: str, now: datetime
) -> SettlementBatch:
    """Another person (settlement approver) approves exactly the content of that hash.

    ``FourEyes`` where it is the one who submitted, ``ContentDiffers`` where the hash is not that
    of the batch or its rows are not what they were.
    """
    actor.require_operator("settlement_approver")
    person = _person(actor)
    with transaction.atomic():
        batch = lock_batch(batch_id)
        if batch.submitted_by_id == person:
            raise FourEyes("Whoever submitted a batch does not approve it; ask another person.")
        if batch.state == BatchState.SUBMITTED and content_hash != batch.content_hash:
            raise ContentDiffers(
                f"The batch has the hash {batch.content_hash}; read it and name that hash."
            )
        _move(actor, batch, "approve", now=now, approved_at=now, approved_by_id=person)
        _check_content(batch)
        wake(SETTLEMENT_WAKE_UP, batch_id=str(batch.pk))
    return batch


def reject_batch(*, actor: Actor, batch_id: UUID, reason: str, now: datetime) -> SettlementBatch:
    """The second person sends it back, with a reason; the period can be drawn up again."""
    actor.require_operator("settlement_approver")
    if not 0 < len(reason) <= MAX_REASON:
        raise InvalidInput.of(
            "reason", f"must have 1 to {MAX_REASON} characters", "Say why it goes back."
        )
    with transaction.atomic():
        batch = lock_batch(batch_id)
        _move(actor, batch, "reject", now=now, state_reason=reason)
    return batch


def execute_batch(*, batch_id: UUID, now: datetime) -> SettlementBatch:
    """Post and pay an approved batch, once however often it is called.

    The postings, the payouts, the batch and its period change in one transaction, and the ids of
    the postings follow from the batch. Where the ledger refuses, nothing moves, and the batch has
    failed and says why; the period can be drawn up again.
    """
    actor = system("settlement.execute_batch")
    with transaction.atomic():
        batch = lock_batch(batch_id)
        if batch.state == BatchState.SETTLED:
            return batch
        if batch.state != BatchState.EXECUTING:
            _move(actor, batch, "execute", now=now)
    with transaction.atomic():
        batch = lock_batch(batch_id)
        if batch.state == BatchState.EXECUTING:
            refusal = _settle(actor, batch, now)
            if refusal:
                log.error("settlement_batch_failed", batch=str(batch.pk), reason=refusal)
                _move(actor, batch, "fail", now=now, state_reason=refusal[:MAX_REASON])
    if batch.state == BatchState.SETTLED:
        periods.close_books(now=now)
    return batch


def _settle(actor: Actor, batch: SettlementBatch, now: datetime) -> str:
    """Post, pay and close; what stands in the way where something does: then nothing has moved."""
    if not _is_as_hashed(batch):
        return "the rows of the batch are not what was approved"
    assert batch.approved_at is not None  # the database holds that an executing batch has it
    transfers = batch_transfers(batch, effective_at=batch.approved_at)
    open_accounts([spec(key) for key in sorted(accounts_of(transfers))])
    if transfers:
        result = post([tuple(transfers)], now=now)[0]
        if not result.ok:
            return f"{result.code}: {result.detail}"
    batch.payouts.update(state=PayoutState.SENT)
    periods.close(period=batch.period, now=now)
    _move(actor, batch, "settle", now=now, settled_at=now)
    return ""


def _move(
    actor: Actor, batch: SettlementBatch, event: str, *, now: datetime, **changes: Any
) -> None:
    before = batch.state
    batch.state = next_state(BATCH_TRANSITIONS, before, event, what=f"settlement batch {batch.pk}")
    for name, value in changes.items():
        setattr(batch, name, value)
    batch.save(update_fields=["state", *changes])
    _record(actor, batch, event, before=before, now=now)


def _record(
    actor: Actor, batch: SettlementBatch, event: str, *, before: str | None, now: datetime
) -> None:
    """Every step of a batch is in the audit chain, the platform's own too."""
    audit.record(
        actor=actor,
        action=f"settlement.{event}",
        subject_kind="settlement_batch",
        subject_id=batch.pk,
        before=None if before is None else {"state": before},
        after={
            "state": batch.state,
            "content_hash": batch.content_hash,
            "reason": batch.state_reason,
        },
        now=now,
    )


def _person(actor: Actor) -> UUID:
    if actor.person_id is None:
        raise FourEyes("Nobody stands behind this key; use that of a person.")
    return actor.person_id


def _check_turn(period: SettlementPeriod) -> None:
    if period.state != PeriodState.CLOSING:
        raise PeriodNotClosing(
            f"The period of {period.date} is {period.state}; "
            + ("cut it off first." if period.state == PeriodState.OPEN else "it is settled."),
            state=period.state,
        )
    # A day without charges owes nobody and carries nothing on: it holds nothing up.
    earlier = (
        SettlementPeriod.objects.filter(
            Exists(Charge.objects.filter(period=OuterRef("pk"))), date__lt=period.date
        )
        .exclude(state=PeriodState.CLOSED)
        .order_by("date")
        .first()
    )
    if earlier is not None:
        raise EarlierPeriodUnsettled(f"Settle the period of {earlier.date} first.")


def _discard_draft(actor: Actor, period: SettlementPeriod, now: datetime) -> None:
    open_batch = (
        SettlementBatch.objects.select_for_update()
        .filter(period=period, state__in=BATCH_OPEN)
        .first()
    )
    if open_batch is None:
        return
    if open_batch.state != BatchState.DRAFT:
        raise BatchUnderWay(
            f"Batch {open_batch.pk} of {period.date} is {open_batch.state}.", batch=open_batch.pk
        )
    _move(actor, open_batch, "discard", now=now, state_reason="drawn up again")


def _check_charged(period: SettlementPeriod) -> None:
    waiting = UnratedRecord.objects.filter(
        refused_at=None, usage_record__received_at__lt=period.ends_at
    ).exists()
    if waiting:
        raise Unavailable(
            "Usage reported before the cut-off is being charged right now; try again in a moment."
        )


def _is_as_hashed(batch: SettlementBatch) -> bool:
    return stored_content(batch, batch.period.date).content_hash() == batch.content_hash


def _check_content(batch: SettlementBatch) -> None:
    if not _is_as_hashed(batch):
        raise ContentDiffers(f"The rows of batch {batch.pk} are not what its hash says.")
