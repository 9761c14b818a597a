"""The one way in which a lease changes its state: decided by the table, written as a set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from accounts.actors import Actor
from accounts.audit import Act, record_many
from core.errors import TransitionRefused
from core.models import OutboxEvent
from core.outbox import emit_many
from core.slots import slot_at_or_after
from core.states import next_state
from exchange.capacity.inbox import InboxEvent, append
from exchange.capacity.models import BookEventKind
from exchange.market.models import TradeRelease
from exchange.scheduling.errors import LeaseOver, TooEarly
from exchange.scheduling.models import Lease, LeaseEvent
from exchange.scheduling.states import LEASE_ENDED, LEASE_TRANSITIONS
from ledger.services import ExtendHold, Group, ReleaseHold, post

_UPDATE = """
UPDATE exchange_lease AS lease
   SET state = new.state, state_reason = new.reason, updated_at = %s,
       activated_at = new.activated_at, ended_at = new.ended_at
  FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[])
       AS new (id, state, reason, activated_at, ended_at)
 WHERE lease.id = new.id
"""


@dataclass(frozen=True, slots=True)
class Transition:
    """What a locked lease becomes: its new state and times."""

    lease: Lease
    event: str
    reason: str
    state: str
    activated_at: datetime | None
    ended_at: datetime | None


def decide(*, lease: Lease, event: str, reason: str = "", now: datetime) -> Transition:
    """What ``event`` makes of the lease at ``now``.

    ``TransitionRefused``, ``TooEarly`` or ``LeaseOver`` where the state or the time forbids it.
    """
    state = next_state(LEASE_TRANSITIONS, lease.state, event, what=f"lease {lease.pk}")
    _check_time(lease, event, now)
    activated_at, ended_at = lease.activated_at, None
    if event == "activate":
        activated_at = now
    if state in LEASE_ENDED:
        ended_at = min(now, lease.ends_at)
    return Transition(lease, event, reason, state, activated_at, ended_at)


def _check_time(lease: Lease, event: str, now: datetime) -> None:
    over, begun = now >= lease.ends_at, lease.activated_at is not None
    if event == "activate" and now < lease.starts_at:
        raise TooEarly(f"Lease {lease.pk} starts at {lease.starts_at.isoformat()}.")
    if event == "complete" and not over:
        raise TooEarly(
            f"Lease {lease.pk} runs until {lease.ends_at.isoformat()}; to end it before, the "
            "provider says 'fail', the buyer 'terminate'."
        )
    if (event == "complete" and not begun) or (event in ("resume", "reinstate") and begun) != (
        event == "resume"
    ):
        raise TransitionRefused(
            f"lease {lease.pk} was {'' if begun else 'never '}active before: it does not take "
            f"'{event}'",
            state=lease.state,
            event=event,
        )
    if over and (event in ("provision", "activate", "terminate") or (event == "fail" and begun)):
        raise LeaseOver(f"Lease {lease.pk} was over at {lease.ends_at.isoformat()}.")


def write(*, actor: Actor, transitions: Sequence[Transition], now: datetime) -> None:
    """Write what was decided, with its events, in the caller's transaction.

    A few statements however many leases there are. The leases are locked since before ``decide``.
    """
    if not transitions:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _UPDATE,
            [
                now,
                [t.lease.pk for t in transitions],
                [t.state for t in transitions],
                [t.reason for t in transitions],
                [t.activated_at for t in transitions],
                [t.ended_at for t in transitions],
            ],
        )
    LeaseEvent.objects.bulk_create(
        LeaseEvent(
            lease=t.lease,
            event=t.event,
            state_before=t.lease.state,
            state_after=t.state,
            occurred_at=t.ended_at or now,
            actor_label=actor.label,
            reason=t.reason,
        )
        for t in transitions
    )
    _tell(transitions, now=now)
    if not actor.is_system:
        _audit(actor, transitions, now=now)
    _give_back_capacity(transitions, now=now)
    _shorten_holds(transitions, now=now)


def _tell(transitions: Sequence[Transition], *, now: datetime) -> None:
    emit_many(
        OutboxEvent(
            kind=f"lease.{t.state}",
            organisation_id=party_id,
            subject_id=t.lease.pk,
            payload={"lease": t.lease.pk, "state": t.state, "event": t.event, "reason": t.reason},
            occurred_at=now,
        )
        for t in transitions
        for party_id in (t.lease.provider_id, t.lease.buyer_id)
    )


def _audit(actor: Actor, transitions: Sequence[Transition], *, now: datetime) -> None:
    record_many(
        Act(
            actor=actor,
            action=f"lease.{t.event}",
            subject_kind="lease",
            subject_id=t.lease.pk,
            before={"state": t.lease.state},
            after={"state": t.state, "reason": t.reason},
            now=now,
        )
        for t in transitions
    )


def _give_back_capacity(transitions: Sequence[Transition], *, now: datetime) -> None:
    """Whole slots that are left of an ended lease go back to the pool, and the book is told."""
    left = defaultdict(list)
    for transition in transitions:
        if transition.ended_at is not None:
            trade = transition.lease.trade
            from_slot = max(trade.start_slot, slot_at_or_after(transition.ended_at))
            if from_slot < trade.end_slot:
                left[trade.book_id].append((trade, from_slot))
    releases = []
    for book_id in sorted(left):
        events = append(
            book_id=book_id,
            events=[
                InboxEvent(
                    kind=BookEventKind.CAPACITY_RELEASED,
                    subject_id=trade.id,
                    payload={
                        "units": trade.units,
                        "start_slot": from_slot,
                        "end_slot": trade.end_slot,
                        "offer": str(trade.offer_id),
                    },
                )
                for trade, from_slot in left[book_id]
            ],
            now=now,
        )
        releases += [
            TradeRelease(trade=trade, from_slot=from_slot, event=event, released_at=now)
            for (trade, from_slot), event in zip(left[book_id], events, strict=True)
        ]
    TradeRelease.objects.bulk_create(releases)


def _shorten_holds(transitions: Sequence[Transition], *, now: datetime) -> None:
    """Let go of money that can no longer be charged.

    A lease that never ran will not be charged; one that ended early is charged for what is
    reported within the grace after its end. A hold on which nothing rests any more is left alone:
    the ledger refuses that group, and no other.
    """
    groups: list[Group] = []
    for transition in transitions:
        lease, ended_at = transition.lease, transition.ended_at
        if ended_at is None:
            continue
        if transition.activated_at is None:
            groups.append((ReleaseHold(hold=lease.pk),))
        elif ended_at < lease.ends_at:
            groups.append((ExtendHold(hold=lease.pk, expires_at=ended_at + grace_of(lease)),))
    post(groups, now=now)


def grace_of(lease: Lease) -> timedelta:
    """How long after its end the use of a lease may be reported."""
    return timedelta(seconds=lease.trade.rule_set.reporting_grace_seconds)
