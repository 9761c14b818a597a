"""Taking back what was sold reclaimable: notice now, the end by a sweep, then compensation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from accounts import audit
from accounts.actors import Actor, system
from core.errors import InvalidInput, NotFound
from core.ids import new_id
from core.models import OutboxEvent
from core.money import Rounding, divide, to_decimal
from core.outbox import emit_many
from core.slots import slot_of, slot_start_at
from exchange.capacity.models import Pool
from exchange.market.models import Trade
from exchange.scheduling.errors import ReclaimRefused
from exchange.scheduling.locks import lock_leases
from exchange.scheduling.models import Lease, Reclaim, ReclaimState
from exchange.scheduling.states import LEASE_RUNNING
from exchange.scheduling.transitions import decide, write

_BP = 10_000
MAX_LEASES = 1_000


def reclaim(
    *,
    actor: Actor,
    pool_id: UUID,
    from_slot: int,
    units: int | None = None,
    lease_ids: Collection[UUID] = (),
    reason: str = "",
    now: datetime,
) -> list[Reclaim]:
    """Give notice of taking back ``units`` of a pool, or the named leases, from a slot on.

    ``ReclaimRefused`` where the notice of a trade forbids it, a lease is firm, or too little can be
    taken back; then nothing is. Answers what is taken, in the order in which it was chosen.
    """
    actor.require_scope("leases:write")
    pool = Pool.objects.filter(id=pool_id, centre__provider_id=actor.organisation_id).first()
    if pool is None:
        raise NotFound("There is no such pool.")
    if (units is None) == (not lease_ids) or (units is not None and units <= 0):
        raise InvalidInput.of("units", "units above zero, or leases", "Give one of the two.")
    if from_slot <= slot_of(now):
        raise InvalidInput.of("from_at", "lies in the past", "Name an hour that is to come.")
    with transaction.atomic():
        leases = lock_leases(_running(pool, from_slot).values_list("pk", flat=True))
        known = set(Reclaim.objects.filter(lease_id__in=leases).values_list("lease_id", flat=True))
        free = [lease for key, lease in leases.items() if key not in known]
        if units is None:
            chosen = _named(free, lease_ids, from_slot, now)
        else:
            chosen = _latest_first(free, units, from_slot, now)
        rows = _notice(chosen, from_slot=from_slot, reason=reason, now=now)
        audit.record(
            actor=actor,
            action="pool.reclaim",
            subject_kind="pool",
            subject_id=pool.id,
            after={"leases": [str(row.pk) for row in rows], "units": units, "reason": reason},
            now=now,
        )
    return rows


def execute_due(*, now: datetime, limit: int = 500) -> int:
    """End the leases whose time to be taken back has come; returns how many rows it decided."""
    with transaction.atomic():
        due = list(
            Reclaim.objects.select_for_update(skip_locked=True)
            .filter(state=ReclaimState.NOTICED, due_at__lte=now)
            .order_by("due_at", "lease_id")[:limit]
        )
        leases = lock_leases([row.pk for row in due])
        transitions = []
        for row in due:
            lease = leases[row.pk]
            row.decided_at = now
            if lease.state not in LEASE_RUNNING or lease.ends_at <= row.due_at:
                row.state = ReclaimState.VOID
                continue
            row.state = ReclaimState.EXECUTED
            row.compensation_micro = compensation_micro(lease.trade, row.due_at)
            transitions.append(
                decide(lease=lease, event="reclaim", reason="reclaimed", now=row.due_at)
            )
        write(actor=system("scheduling.execute_reclaims"), transitions=transitions, now=now)
        Reclaim.objects.bulk_update(due, ["state", "compensation_micro", "decided_at"])
    return len(due)


def visible_to(actor: Actor) -> QuerySet[Reclaim]:
    """What the actor takes back, or what is taken from it; all for the operator."""
    found = Reclaim.objects.select_related("lease__trade")
    if actor.is_operator():
        return found
    mine = found.filter(lease__provider_id=actor.organisation_id)
    return mine | found.filter(lease__buyer_id=actor.organisation_id)


def compensation_micro(trade: Trade, due_at: datetime) -> int:
    """What is owed for not delivering ``trade`` from ``due_at`` on: by its terms, in micro-yuan."""
    second = timedelta(seconds=1)
    undelivered = (trade.ends_at - max(due_at, trade.starts_at)) // second
    whole = (trade.ends_at - trade.starts_at) // second
    share = divide(
        trade.compute_micro * undelivered * trade.reclaim_compensation_bp,
        whole * _BP,
        Rounding.HALF_EVEN,
    )
    return max(share, trade.reclaim_least_micro)


def _running(pool: Pool, from_slot: int) -> QuerySet[Lease]:
    """Leases of the pool with slots after ``from_slot``; not those resold from them."""
    return Lease.objects.filter(
        trade__pool=pool,
        trade__end_slot__gt=from_slot,
        trade__resold_from=None,
        state__in=LEASE_RUNNING,
    )


def _named(
    free: Sequence[Lease], lease_ids: Collection[UUID], from_slot: int, now: datetime
) -> list[Lease]:
    wanted = {lease.pk: lease for lease in free if lease.pk in set(lease_ids)}
    chosen = []
    for lease_id in dict.fromkeys(lease_ids):
        lease = wanted.get(lease_id)
        if lease is None:
            raise ReclaimRefused(
                f"Lease {lease_id} is not delivered from this pool after that hour, or is taken "
                "back already."
            )
        if not lease.trade.is_reclaimable:
            raise ReclaimRefused(f"Lease {lease_id} is sold firm.")
        if not _in_time(lease, from_slot, now):
            earliest = now + timedelta(seconds=lease.trade.reclaim_notice_seconds or 0)
            raise ReclaimRefused(
                f"Lease {lease_id} asks for {lease.trade.reclaim_notice_seconds} s of notice.",
                earliest_at=earliest.isoformat(),
            )
        chosen.append(lease)
    return chosen


def _latest_first(free: Sequence[Lease], units: int, from_slot: int, now: datetime) -> list[Lease]:
    """Whole leases, the latest entry first, until the units are free in every slot they sell."""
    freed: Counter[int] = Counter()
    chosen = []
    able = [x for x in free if x.trade.is_reclaimable and _in_time(x, from_slot, now)]
    for lease in sorted(able, key=lambda x: (x.trade.batch, x.trade.position), reverse=True):
        slots = range(max(from_slot, lease.trade.start_slot), lease.trade.end_slot)
        if any(freed[slot] < units for slot in slots):
            chosen.append(lease)
            freed.update(dict.fromkeys(slots, lease.units))
    if freed[from_slot] < units:
        raise ReclaimRefused(
            f"{freed[from_slot]} units can be taken back in the hour from "
            f"{slot_start_at(from_slot).isoformat()}, with the notice that was promised.",
            reclaimable_units=freed[from_slot],
        )
    if len(chosen) > MAX_LEASES:
        raise ReclaimRefused(f"More than {MAX_LEASES} leases would be taken back at once.")
    return chosen


def _in_time(lease: Lease, from_slot: int, now: datetime) -> bool:
    notice = timedelta(seconds=lease.trade.reclaim_notice_seconds or 0)
    return _due_at(lease, from_slot) - now >= notice


def _due_at(lease: Lease, from_slot: int) -> datetime:
    return slot_start_at(max(from_slot, lease.trade.start_slot))


def _notice(
    chosen: Sequence[Lease], *, from_slot: int, reason: str, now: datetime
) -> list[Reclaim]:
    request_id = new_id()
    rows = Reclaim.objects.bulk_create(
        Reclaim(
            lease=lease,
            request_id=request_id,
            reason=reason,
            from_slot=max(from_slot, lease.trade.start_slot),
            due_at=_due_at(lease, from_slot),
            noticed_at=now,
        )
        for lease in chosen
    )
    emit_many(
        OutboxEvent(
            kind="lease.reclaim_noticed",
            organisation_id=party_id,
            subject_id=row.pk,
            payload={
                "due_at": row.due_at.isoformat(),
                "compensation": str(to_decimal(compensation_micro(row.lease.trade, row.due_at))),
            },
            occurred_at=now,
        )
        for row in rows
        for party_id in (row.lease.provider_id, row.lease.buyer_id)
    )
    return rows
