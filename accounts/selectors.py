"""Reads of accounts. ``visible_to`` is the only door to rows of an organisation."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from accounts import keys
from accounts.actors import Actor, KeyFacts, for_key
from accounts.errors import KeyExpired, KeyRevoked, KeyUnknown
from accounts.models import ApiKey, AuditRow, Membership, Organisation
from core import clock
from core.errors import NotFound

# How exactly ``last_used_at`` is kept: a write for each request would cost more than it tells.
LAST_USED_STEP = clock.passes_in(timedelta(minutes=10))

# Every request asks this. As a query of models it costs a small request a fifth of its time.
_KEY = """
    SELECT k.secret_sha256, k.revoked_at, k.expires_at, k.last_used_at,
           k.id, k.prefix, k.holder_id, k.scopes, k.operator_roles,
           o.id, o.kinds, o.verification = 'verified' AND NOT o.suspended, o.region_code
      FROM accounts_apikey k
      JOIN accounts_organisation o ON o.id = k.organisation_id
     WHERE k.prefix = %s
"""


def actor_of_key(text: str, *, now: datetime) -> Actor:
    """The actor of an API key, by one query. ``KeyUnknown``, ``KeyRevoked`` or ``KeyExpired``."""
    key_text = keys.parse(text)
    if key_text is None:
        raise KeyUnknown("An API key looks like cx_<prefix>_<secret>.")
    with connection.cursor() as cursor:
        cursor.execute(_KEY, [key_text.prefix])
        row = cursor.fetchone()
    if row is None or not key_text.proves(bytes(row[0])):
        raise KeyUnknown("No API key has this prefix and secret.")
    revoked_at, expires_at, last_used_at = row[1:4]
    key = KeyFacts(*row[4:])
    if revoked_at is not None:
        raise KeyRevoked(f"The key cx_{key.prefix} was revoked; issue another one.")
    if expires_at is not None and expires_at <= now:
        raise KeyExpired(f"The key cx_{key.prefix} has expired; issue another one.")
    if last_used_at is None or last_used_at < now - LAST_USED_STEP:
        ApiKey.objects.filter(id=key.id).update(last_used_at=now)
    return for_key(key)


def visible_to(actor: Actor) -> QuerySet[Organisation]:
    """The organisations that ``actor`` may see: its own, or all for the operator."""
    if actor.is_operator():
        return Organisation.objects.order_by("id")
    return Organisation.objects.filter(id=actor.own_id).order_by("id")


def organisation(*, actor: Actor, organisation_id: UUID) -> Organisation:
    """One organisation; ``NotFound`` where there is none or it belongs to another."""
    found = visible_to(actor).filter(id=organisation_id).first()
    if found is None:
        raise NotFound("There is no such organisation.")
    return found


def members_visible_to(actor: Actor) -> QuerySet[Membership]:
    """The members of the actor's own organisation."""
    return (
        Membership.objects.filter(organisation_id=actor.own_id)
        .select_related("user")
        .order_by("id")
    )


def keys_visible_to(actor: Actor) -> QuerySet[ApiKey]:
    """The keys of the actor's own organisation."""
    return ApiKey.objects.filter(organisation_id=actor.own_id).order_by("id")


def audit_visible_to(actor: Actor) -> QuerySet[AuditRow]:
    """The audit rows of the actor's own organisation; all of them for the operator's auditor."""
    if actor.is_operator("auditor"):
        return AuditRow.objects.order_by("id")
    return AuditRow.objects.filter(organisation_id=actor.own_id).order_by("id")


def names_of(organisation_ids: set[UUID]) -> dict[UUID, str]:
    """Names by id, for lists that show organisations of other rooms' rows."""
    return dict(Organisation.objects.filter(id__in=organisation_ids).values_list("id", "name"))
