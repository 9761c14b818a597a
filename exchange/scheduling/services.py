"""Scheduling's verbs: pull leases from trades, move them along, end them in time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q

from accounts import audit
from accounts.actors import Actor, system
from core.crypto import encrypt, key_id_of
from core.errors import ExchangeError, InvalidInput
from exchange.scheduling import selectors
from exchange.scheduling.errors import (
    LeaseNotFound,
    LeaseOver,
    LeaseResold,
    NamedTwice,
    NotYourMove,
)
from exchange.scheduling.locks import lock_free_leases, lock_leases
from exchange.scheduling.models import Lease, LeaseAccess
from exchange.scheduling.states import LEASE_ENDED, LEASE_RUNNING, LEASE_WAITING, MOVES_OF
from exchange.scheduling.transitions import Transition, decide, write

MAX_MOVES = 1_000
MAX_REASON = 200

# The trades of a book get their leases in the order in which they were written, so those without
# stand behind the newest that has one: what is read is what is left to do, however many there are.
_PULL = """
WITH pulled_to AS (
    SELECT book.id AS book_id, newest.batch, newest.position
      FROM exchange_book book
      LEFT JOIN LATERAL (
           SELECT trade.batch, trade.position
             FROM exchange_trade trade JOIN exchange_lease lease ON lease.id = trade.id
            WHERE trade.book_id = book.id
            ORDER BY trade.batch DESC, trade.position DESC LIMIT 1) newest ON true
), fresh AS (
    SELECT trade.* FROM pulled_to
     CROSS JOIN LATERAL (
           SELECT id, buyer_id, seller_id, pool_id, units, starts_at, ends_at,
                  resold_from_id
             FROM exchange_trade
            WHERE book_id = pulled_to.book_id
              AND (batch, position)
                  > (COALESCE(pulled_to.batch, -1), COALESCE(pulled_to.position, -1))
            ORDER BY batch, position LIMIT %(limit)s) trade
     LIMIT %(limit)s
), pulled AS (
    INSERT INTO exchange_lease (id, buyer_id, provider_id, centre_id, units, starts_at, ends_at,
                                state, state_reason, updated_at)
    SELECT fresh.id, fresh.buyer_id, COALESCE(root.seller_id, fresh.seller_id), pool.centre_id,
           fresh.units, fresh.starts_at, fresh.ends_at, 'scheduled', '', %(now)s
      FROM fresh JOIN exchange_pool pool ON pool.id = fresh.pool_id
      LEFT JOIN exchange_trade root ON root.id = fresh.resold_from_id
     ORDER BY fresh.id
        ON CONFLICT (id) DO NOTHING
    RETURNING id, buyer_id, provider_id
), told AS (
    INSERT INTO core_outboxevent (kind, organisation_id, subject_id, payload, occurred_at)
    SELECT 'lease.scheduled', party, id,
           jsonb_build_object('lease', id, 'state', 'scheduled', 'event', 'pull', 'reason', ''),
           %(now)s
      FROM pulled, unnest(ARRAY[provider_id, buyer_id]) AS party
)
SELECT count(*) FROM pulled
"""


@dataclass(frozen=True, slots=True)
class LeaseMove:
    """One transition asked for: ``event`` is a word of ``states.LEASE_TRANSITIONS``."""

    lease_id: UUID
    event: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LeaseMoved:
    """What became of a move: the lease's new state, or why it was refused."""

    lease_id: UUID
    state: str | None = None
    activated_at: datetime | None = None
    ended_at: datetime | None = None
    refusal: ExchangeError | None = None


def pull_leases(*, now: datetime, limit: int = 5_000) -> int:
    """Make the leases of trades that have none, and tell both parties; returns how many.

    May run twice at a time: the second finds the rows of the first.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_PULL, {"now": now, "limit": limit})
        return int(cursor.fetchone()[0])


def transition_lease(
    *, actor: Actor, lease_id: UUID, event: str, reason: str = "", now: datetime
) -> Lease:
    """Move one lease along; raises what refuses it.

    ``LeaseNotFound``, ``NotYourMove``, ``TransitionRefused``, ``TooEarly``, ``LeaseOver``.
    """
    move = LeaseMove(lease_id, event, reason)
    moved = transition_leases(actor=actor, moves=[move], now=now)[0]
    if moved.refusal is not None:
        raise moved.refusal
    return Lease.objects.select_related("trade__grade", "centre").get(pk=lease_id)


def transition_leases(
    *, actor: Actor, moves: Sequence[LeaseMove], now: datetime
) -> list[LeaseMoved]:
    """Move up to 1,000 leases along, each by itself; an answer for each move in the order given.

    What is refused names why and leaves the others be.
    """
    actor.require_scope("leases:write")
    if not 0 < len(moves) <= MAX_MOVES:
        raise InvalidInput.of(
            "moves", f"{len(moves)} moves; 1 to {MAX_MOVES} are taken", "Send several requests."
        )
    answers: list[LeaseMoved] = []
    decided: dict[UUID, Transition] = {}
    with transaction.atomic():
        leases = lock_leases({move.lease_id for move in moves})
        named: set[UUID] = set()
        ending = [move.lease_id for move in moves if move.event == "terminate"]
        resold = selectors.with_resales_to_come(ending, now=now)
        for move in moves:
            try:
                transition = _judge(actor, move, leases.get(move.lease_id), named, now)
                if move.lease_id in resold:
                    raise LeaseResold(
                        f"Slots of lease {move.lease_id} are resold and still to be delivered."
                    )
            except ExchangeError as refusal:
                answers.append(LeaseMoved(move.lease_id, refusal=refusal))
            else:
                decided[move.lease_id] = transition
                answers.append(
                    LeaseMoved(
                        move.lease_id,
                        transition.state,
                        transition.activated_at,
                        transition.ended_at,
                    )
                )
            named.add(move.lease_id)
        write(actor=actor, transitions=list(decided.values()), now=now)
    return answers


def _judge(
    actor: Actor, move: LeaseMove, lease: Lease | None, named: set[UUID], now: datetime
) -> Transition:
    parties = set()
    if lease is not None:
        if lease.provider_id == actor.organisation_id:
            parties.add("provider")
        if lease.buyer_id == actor.organisation_id:
            parties.add("buyer")
    if lease is None or not parties:
        raise LeaseNotFound(f"There is no lease {move.lease_id}.")
    whose = MOVES_OF.get(move.event)
    if whose is None:
        raise InvalidInput.of(
            "event", f"'{move.event}' is no event of a lease", f"One of {', '.join(MOVES_OF)}."
        )
    if len(move.reason) > MAX_REASON:
        raise InvalidInput.of("reason", f"more than {MAX_REASON} characters", "Say it shorter.")
    if whose not in parties:
        raise NotYourMove(f"'{move.event}' is for the {whose} of a lease to say.", whose=whose)
    if move.lease_id in named:
        raise NamedTwice(f"Lease {move.lease_id} stands twice; send one move for each lease.")
    return decide(lease=lease, event=move.event, reason=move.reason, now=now)


def end_due_leases(*, now: datetime, limit: int = 2_000) -> int:
    """End what has come to its end; returns how many leases it ended.

    What was active is completed, also where its centre is out; what never was has failed.
    """
    with transaction.atomic():
        due = lock_free_leases(
            Lease.objects.filter(state__in=LEASE_RUNNING, ends_at__lte=now), limit
        )
        transitions = [
            decide(lease=lease, event="complete", now=now)
            if lease.activated_at
            else decide(lease=lease, event="fail", reason="never activated", now=now)
            for lease in due
        ]
        write(actor=system("scheduling.end_due_leases"), transitions=transitions, now=now)
    return len(due)


def suspend_and_resume(*, now: datetime, limit: int = 2_000) -> int:
    """Suspend the leases of centres that are out, resume those of centres that are back.

    What has not begun yet is left to wait; returns how many leases changed.
    """
    begun = Q(state="active") | Q(state__in=LEASE_WAITING, starts_at__lte=now)
    with transaction.atomic():
        out = lock_free_leases(
            Lease.objects.filter(
                begun, state__in=LEASE_RUNNING, centre__is_reachable=False, ends_at__gt=now
            ),
            limit,
        )
        back = lock_free_leases(
            Lease.objects.filter(state="suspended", centre__is_reachable=True, ends_at__gt=now),
            limit,
        )
        transitions = [
            decide(lease=lease, event="suspend", reason="centre unreachable", now=now)
            for lease in out
        ] + [
            decide(
                lease=lease,
                event="resume" if lease.activated_at else "reinstate",
                reason="centre reachable again",
                now=now,
            )
            for lease in back
        ]
        write(actor=system("scheduling.suspend_and_resume"), transitions=transitions, now=now)
    return len(transitions)


def follow_resold(*, now: datetime, limit: int = 2_000) -> int:
    """End leases whose slots were resold from a lease that failed or was ended before its time.

    Returns how many. The provider delivers once: what it no longer owes the first holder, it owes
    nobody.
    """
    over = ("failed", "terminated")
    with transaction.atomic():
        left = lock_free_leases(
            Lease.objects.filter(
                state__in=LEASE_RUNNING, ends_at__gt=now, trade__resold_from__lease__state__in=over
            ),
            limit,
        )
        transitions = [
            decide(lease=lease, event="fail", reason="the lease it was resold from ended", now=now)
            for lease in left
        ]
        write(actor=system("scheduling.follow_resold"), transitions=transitions, now=now)
    return len(left)


def put_access(*, actor: Actor, lease_id: UUID, details: Mapping[str, str], now: datetime) -> None:
    """Store how the buyer gets in, encrypted; by the lease's provider, until the lease has ended.

    The audit row says that it was done, never what was stored.
    """
    actor.require_scope("leases:write")
    with transaction.atomic():
        lease = lock_leases([lease_id]).get(lease_id)
        if lease is None or lease.provider_id != actor.organisation_id:
            raise LeaseNotFound(f"There is no lease {lease_id}.")
        if lease.state in LEASE_ENDED:
            raise LeaseOver(f"Lease {lease_id} is {lease.state}: nobody gets in any more.")
        ciphertext = encrypt(json.dumps(dict(details), ensure_ascii=False, sort_keys=True))
        key_id = key_id_of(ciphertext)
        LeaseAccess.objects.update_or_create(
            lease=lease,
            defaults={"key_id": key_id, "ciphertext": ciphertext.encode(), "updated_at": now},
        )
        audit.record(
            actor=actor,
            action="lease.put_access",
            subject_kind="lease",
            subject_id=lease_id,
            after={"key_id": key_id},
            now=now,
        )
