"""The verbs of capacity: register, change and report centres and pools.

Whatever changes what a matcher sees (units, health, state of a pool) is written to the inbox of
the pool's book in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts import audit
from accounts.actors import Actor
from core.errors import FieldProblem, InvalidInput
from core.slots import slot_of, slot_start_at
from core.states import next_state
from exchange.capacity import inbox, locks, rules, selectors
from exchange.capacity.errors import CodeTaken, UnitsSold
from exchange.capacity.models import (
    Centre,
    CentreHour,
    Grade,
    Pool,
    PoolHealth,
)
from exchange.capacity.states import POOL_TRANSITIONS
from exchange.topology.models import Region

MAX_HOURS = 24 * 62


@dataclass(frozen=True, slots=True)
class HourTerms:
    """Power price and share of green power of one slot."""

    slot: int
    power_price_per_kwh: Decimal
    green_share: Decimal


@dataclass(frozen=True, slots=True)
class PoolReport:
    """What a heartbeat says of one pool, by the provider's own code for it."""

    code: str
    health: str
    available_units: int | None = None


@dataclass(frozen=True, slots=True)
class HeartbeatResult:
    """Whether the centre had been given up, and the pools that the heartbeat changed."""

    was_unreachable: bool
    changed: tuple[Pool, ...]


@transaction.atomic
def register_centre(*, actor: Actor, centre: rules.CentreTerms, now: datetime) -> Centre:
    """Register a centre of the actor's organisation.

    ``InvalidInput`` names each bad field, ``CodeTaken`` a code that the provider uses already.
    """
    actor.require_scope("capacity:write")
    actor.require_kind("provider")
    _refuse(rules.problems_of_centre(centre, regions=_cities([centre.region])))
    row = rules.centre_row(centre, provider_id=_organisation(actor), now=now)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise CodeTaken(
            f"A centre with the code '{centre.code}' is registered already.", code=centre.code
        ) from error
    _record(actor, "centre.register", row, after=rules.facts_of_centre(row), now=now)
    return row


@transaction.atomic
def change_centre(
    *, actor: Actor, centre_id: UUID, changes: dict[str, Any], now: datetime
) -> Centre:
    """Change name, racks, PUE or green share of a centre; its code and region are for good.

    Its pools enter their books again, since a matcher looks at PUE and green share.
    """
    actor.require_scope("capacity:write")
    centre = locks.centre_for_update(actor, centre_id)
    before = rules.facts_of_centre(centre)
    for name in ("name", "standard_racks", "pue", "green_share"):
        if name in changes:
            setattr(centre, name, changes[name])
    terms = rules.terms_of_centre(centre)
    _refuse(rules.problems_of_centre(terms, regions={terms.region}))
    centre.save(update_fields=["name", "standard_racks", "pue", "green_share"])
    _record(
        actor, "centre.change", centre, before=before, after=rules.facts_of_centre(centre), now=now
    )
    if {"pue", "green_share"} & changes.keys():
        _tell_books(locks.pools_of_centres_for_update([centre.id]), {centre.id: centre}, now)
    return centre


@transaction.atomic
def set_centre_hours(
    *, actor: Actor, centre_id: UUID, hours: Sequence[HourTerms], now: datetime
) -> int:
    """Set power price and green share of some slots, each once; returns how many.

    At most ``MAX_HOURS`` slots at a time. What is past may be corrected: forecast becomes actual.
    """
    actor.require_scope("capacity:write")
    centre = locks.centre_for_update(actor, centre_id)
    _refuse(_problems_of_hours(hours))
    CentreHour.objects.bulk_create(
        [
            CentreHour(
                centre=centre,
                slot=hour.slot,
                power_price_per_kwh=hour.power_price_per_kwh,
                green_share=hour.green_share,
            )
            for hour in hours
        ],
        update_conflicts=True,
        unique_fields=["centre", "slot"],
        update_fields=["power_price_per_kwh", "green_share"],
    )
    slots = [hour.slot for hour in hours]
    after = {
        "from": slot_start_at(min(slots)).isoformat(),
        "to": slot_start_at(max(slots) + 1).isoformat(),
        "hours": len(hours),
    }
    _record(actor, "centre.set_hours", centre, after=after, now=now)
    return len(hours)


@transaction.atomic
def register_pool(*, actor: Actor, centre_id: UUID, pool: rules.PoolTerms, now: datetime) -> Pool:
    """Register a pool in one of the actor's centres; it enters its grade's book at once."""
    actor.require_scope("capacity:write")
    actor.require_kind("provider")
    centre = locks.centre_for_update(actor, centre_id)
    found = {grade.code: grade for grade in Grade.objects.filter(code=pool.grade)}
    _refuse(rules.problems_of_pool(pool, grades=found))
    row = rules.pool_row(pool, centre_id=centre.id, grade=found[pool.grade], now=now)
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise CodeTaken(
            f"The centre has a pool with the code '{pool.code}' already.", code=pool.code
        ) from error
    _record(actor, "pool.register", row, after=rules.facts_of_pool(row), now=now)
    _tell_books([row], {centre.id: centre}, now)
    return row


@transaction.atomic
def change_pool(
    *,
    actor: Actor,
    pool_id: UUID,
    units: int | None = None,
    available_units: int | None = None,
    health: str | None = None,
    now: datetime,
) -> Pool:
    """Change registered units, units available for sale, or health of a pool.

    Registered units never go below what is sold from now on: ``UnitsSold`` names the highest
    slot in the way. Lower availability is always allowed and limits new sales only. Where
    ``units`` alone is given, availability moves with it.
    """
    actor.require_scope("capacity:write")
    pool = locks.pool_for_update(actor, pool_id)
    before = rules.facts_of_pool(pool)
    if units is not None:
        _refuse_below_sold(pool, units, now)
        missing = pool.units - pool.available_units
        pool.units, pool.units_stated_at = units, now
        pool.available_units = max(0, units - missing)
    if available_units is not None:
        pool.available_units = available_units
    if health is not None:
        pool.health = health
    _refuse(rules.problems_of_change(pool, health=health))
    pool.save(update_fields=["units", "units_stated_at", "available_units", "health"])
    _record(actor, "pool.change", pool, before=before, after=rules.facts_of_pool(pool), now=now)
    _tell_books([pool], {pool.centre_id: pool.centre}, now)
    return pool


def pause_pool(*, actor: Actor, pool_id: UUID, now: datetime) -> Pool:
    """Sell nothing new of the pool; what is sold is delivered."""
    return _move_pool(actor, pool_id, "pause", now)


def resume_pool(*, actor: Actor, pool_id: UUID, now: datetime) -> Pool:
    """Sell from a paused pool again."""
    return _move_pool(actor, pool_id, "resume", now)


def withdraw_pool(*, actor: Actor, pool_id: UUID, now: datetime) -> Pool:
    """Take the pool out of the market for good; what is sold is still delivered."""
    return _move_pool(actor, pool_id, "withdraw", now)


@transaction.atomic
def heartbeat(
    *, actor: Actor, centre_id: UUID, reports: Sequence[PoolReport] = (), now: datetime
) -> HeartbeatResult:
    """Say that a centre is alive, and how its pools are. Cheap: statements do not grow with pools.

    A pool that was unreachable and is not reported is healthy again. A row in the audit chain is
    written only where something changed. ``InvalidInput`` names each bad report.
    """
    actor.require_scope("capacity:write")
    centre = locks.centre_for_update(actor, centre_id)
    was_unreachable = not centre.is_reachable
    pools = list(selectors.live_pools_of(centre))
    _refuse(rules.problems_of_reports(reports, pools))
    centre.last_heartbeat_at = max(centre.last_heartbeat_at or now, now)
    centre.is_reachable = True
    centre.save(update_fields=["last_heartbeat_at", "is_reachable"])
    changed = _apply_reports(pools, reports)
    if changed or was_unreachable:  # only then is it worth holding up who sells from the pools
        pools = locks.pools_of_centres_for_update([centre.id])
        _refuse(rules.problems_of_reports(reports, pools))
        changed = _apply_reports(pools, reports)
        Pool.objects.bulk_update(changed, ["health", "available_units"])
    concerned = pools if was_unreachable else changed
    if concerned:
        _tell_books(concerned, {centre.id: centre}, now)
    if concerned or was_unreachable:
        after = {"pools": {pool.code: pool.health for pool in concerned}}
        _record(
            actor,
            "centre.heartbeat",
            centre,
            before={"is_reachable": not was_unreachable},
            after=after,
            now=now,
        )
    return HeartbeatResult(was_unreachable, tuple(concerned))


@transaction.atomic
def give_up_silent_centres(*, now: datetime, silence: timedelta, limit: int = 500) -> list[UUID]:
    """Mark centres as unreachable whose last heartbeat is older than ``silence``, their pools too.

    A centre that never sent one is not watched. Returns the centres; scheduling suspends their
    leases from ``Centre.is_reachable``.
    """
    silent = {
        centre.id: centre
        for centre in Centre.objects.select_for_update(skip_locked=True, no_key=True)
        .filter(is_reachable=True, last_heartbeat_at__lt=now - silence)
        .order_by("id")[:limit]
    }
    if not silent:
        return []
    Centre.objects.filter(id__in=silent).update(is_reachable=False)
    for centre in silent.values():
        centre.is_reachable = False
    pools = locks.pools_of_centres_for_update(list(silent))
    out = [pool for pool in pools if pool.health != PoolHealth.MAINTENANCE]
    for pool in out:
        pool.health = PoolHealth.UNREACHABLE
    Pool.objects.bulk_update(out, ["health"])
    _tell_books(pools, silent, now)
    return list(silent)


@transaction.atomic
def _move_pool(actor: Actor, pool_id: UUID, event: str, now: datetime) -> Pool:
    actor.require_scope("capacity:write")
    pool = locks.pool_for_update(actor, pool_id)
    before = rules.facts_of_pool(pool)
    pool.state = next_state(POOL_TRANSITIONS, pool.state, event, what=f"pool {pool.code}")
    pool.save(update_fields=["state"])
    _record(actor, f"pool.{event}", pool, before=before, after=rules.facts_of_pool(pool), now=now)
    _tell_books([pool], {pool.centre_id: pool.centre}, now)
    return pool


def _apply_reports(pools: Sequence[Pool], reports: Sequence[PoolReport]) -> list[Pool]:
    told = {report.code: report for report in reports}
    changed = []
    for pool in pools:
        report = told.get(pool.code)
        health, available = pool.health, pool.available_units
        if report is not None:
            health = report.health
            available = available if report.available_units is None else report.available_units
        elif health == PoolHealth.UNREACHABLE:
            health = PoolHealth.HEALTHY
        if (health, available) != (pool.health, pool.available_units):
            pool.health, pool.available_units = health, available
            changed.append(pool)
    return changed


def _tell_books(pools: Iterable[Pool], centres: dict[UUID, Centre], now: datetime) -> None:
    """Tell the pools' books; the centres are as this transaction has them."""
    told = list(pools)
    for pool in told:
        pool.centre = centres[pool.centre_id]
    inbox.pools_changed(pools=told, now=now)


def _refuse_below_sold(pool: Pool, units: int, now: datetime) -> None:
    sold, slot = selectors.highest_sold([pool.id], from_slot=slot_of(now)).get(pool.id, (0, 0))
    if units < sold:
        raise UnitsSold(
            f"{sold} units are sold in the hour from {slot_start_at(slot).isoformat()}; "
            f"{units} would not cover them. Lower available_units to stop new sales instead.",
            sold_units=sold,
            slot_start_at=slot_start_at(slot).isoformat().replace("+00:00", "Z"),
        )


def _problems_of_hours(hours: Sequence[HourTerms]) -> list[FieldProblem]:
    if not 0 < len(hours) <= MAX_HOURS:
        return [FieldProblem("hours", f"has 1 to {MAX_HOURS} entries", "send fewer at a time")]
    problems = []
    seen: set[int] = set()
    for position, hour in enumerate(hours):
        where = f"hours.{position}"
        if hour.slot in seen:
            problems.append(
                FieldProblem(f"{where}.start_at", "stands once", "leave the repeated hour out")
            )
        seen.add(hour.slot)
        if not 0 <= hour.green_share <= 1:
            problems.append(
                FieldProblem(f"{where}.green_share", "is between 0 and 1", "give a share")
            )
        if abs(hour.power_price_per_kwh) >= rules.MAX_PRICE:
            problems.append(
                FieldProblem(
                    f"{where}.power_price_per_kwh",
                    f"is less than {rules.MAX_PRICE} either way",
                    "give yuan per kWh",
                )
            )
    return problems


def _cities(codes: Iterable[str]) -> set[str]:
    return set(Region.objects.filter(code__in=codes, kind="city").values_list("code", flat=True))


def _organisation(actor: Actor) -> UUID:
    if actor.organisation_id is None:
        raise InvalidInput("This needs an organisation to act for.")
    return actor.organisation_id


def _refuse(problems: Sequence[FieldProblem]) -> None:
    if problems:
        raise InvalidInput(
            f"{len(problems)} value(s) break a rule: {problems[0].field}: {problems[0].rule}",
            fields=list(problems),
        )


def _record(
    actor: Actor,
    action: str,
    row: Centre | Pool,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    now: datetime,
) -> None:
    audit.record(
        actor=actor,
        action=action,
        subject_kind="centre" if isinstance(row, Centre) else "pool",
        subject_id=row.id,
        before=before,
        after=after,
        now=now,
    )
