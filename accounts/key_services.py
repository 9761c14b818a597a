"""The verbs of API keys: issued once, revoked for ever."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction

from accounts import audit, keys, locks
from accounts.actors import Actor
from accounts.keys import KeyText
from accounts.models import ApiKey, Organisation, User
from accounts.roles import OPERATOR_ROLES, SCOPES
from core.errors import Conflict, InvalidInput, NotPermitted

MAX_KEYS = 100


def store_key(
    *,
    organisation: Organisation,
    holder: User | None,
    name: str,
    scopes: Iterable[str],
    operator_roles: Iterable[str],
    expires_at: datetime | None,
    now: datetime,
) -> tuple[ApiKey, KeyText]:
    """Make and store a key; rights are the caller's business."""
    text = keys.generate()
    key = ApiKey.objects.create(
        organisation=organisation,
        holder=holder,
        name=name,
        prefix=text.prefix,
        secret_sha256=text.secret_sha256,
        scopes=sorted(scopes),
        operator_roles=sorted(operator_roles),
        created_at=now,
        expires_at=expires_at,
    )
    return key, text


@transaction.atomic
def issue_key(
    *,
    actor: Actor,
    name: str,
    scopes: Iterable[str],
    operator_roles: Iterable[str] = (),
    expires_at: datetime | None = None,
    holder: User | None = None,
    now: datetime,
) -> tuple[ApiKey, KeyText]:
    """Issue a key of the actor's organisation; its text is to be shown once and never stored.

    A key gets no more than its issuer has, and operator roles only for the issuer in person:
    otherwise one person could hold both halves of a decision by four eyes.
    """
    actor.require_scope("organisation:write")
    organisation = locks.organisation_for_update(actor.own_id)
    scopes, operator_roles = set(scopes), set(operator_roles)
    _check_rights(actor, scopes, operator_roles, holder)
    if expires_at is not None and expires_at <= now:
        raise InvalidInput.of("expires_at", "lies in the past", "Send an instant to come.")
    live = ApiKey.objects.filter(organisation=organisation, revoked_at=None).count()
    if live >= MAX_KEYS:
        raise Conflict(f"An organisation has at most {MAX_KEYS} keys; revoke one first.")
    if holder is None and actor.person_id is not None:
        holder = User.objects.filter(id=actor.person_id).first()
    key, text = store_key(
        organisation=organisation,
        holder=holder,
        name=name,
        scopes=scopes,
        operator_roles=operator_roles,
        expires_at=expires_at,
        now=now,
    )
    _record(actor, "api_key.issue", key, now=now)
    return key, text


def _check_rights(
    actor: Actor, scopes: set[str], operator_roles: set[str], holder: User | None
) -> None:
    if not scopes <= SCOPES:
        raise InvalidInput.of(
            "scopes", f"{sorted(scopes - SCOPES)} are no scopes", f"Any of {sorted(SCOPES)}."
        )
    if not operator_roles <= OPERATOR_ROLES:
        raise InvalidInput.of(
            "operator_roles", "has a role that does not exist", f"Any of {sorted(OPERATOR_ROLES)}."
        )
    if actor.is_system:
        return
    if not scopes <= actor.scopes or not operator_roles <= actor.operator_roles:
        raise NotPermitted(
            "A key gets no more than its issuer has: "
            f"{sorted(scopes - actor.scopes) + sorted(operator_roles - actor.operator_roles)}."
        )
    if operator_roles and (actor.person_id is None or holder is not None):
        raise NotPermitted("Operator roles go into a key that the issuer holds in person.")


@transaction.atomic
def revoke_key(*, actor: Actor, key_id: UUID, now: datetime) -> ApiKey:
    """Revoke a key of the actor's organisation; once revoked it stays so. ``NotFound``."""
    actor.require_scope("organisation:write")
    key = locks.key_for_update(key_id, actor.own_id)
    if key.revoked_at is None:
        _revoke(actor, key, now=now)
    return key


def revoke_keys_of_person(
    *,
    actor: Actor,
    user: User,
    organisation_id: UUID | None = None,
    operator_role: str | None = None,
    now: datetime,
) -> None:
    """Revoke the keys that a person answers for, in one organisation or with one role."""
    found = ApiKey.objects.select_for_update().filter(holder=user, revoked_at=None)
    if organisation_id is not None:
        found = found.filter(organisation_id=organisation_id)
    if operator_role is not None:
        found = found.filter(operator_roles__contains=[operator_role])
    for key in found.order_by("id"):
        _revoke(actor, key, now=now)


def _revoke(actor: Actor, key: ApiKey, *, now: datetime) -> None:
    key.revoked_at = now
    key.save(update_fields=["revoked_at"])
    _record(actor, "api_key.revoke", key, now=now)


def _record(actor: Actor, action: str, key: ApiKey, *, now: datetime) -> None:
    audit.record(
        actor=actor,
        action=action,
        subject_kind="api_key",
        subject_id=key.id,
        after={
            "prefix": key.prefix,
            "name": key.name,
            "scopes": list(key.scopes),
            "operator_roles": list(key.operator_roles),
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
            "holder": str(key.holder_id) if key.holder_id else None,
        },
        now=now,
        organisation_id=key.organisation_id,
    )
