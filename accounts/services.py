"""The verbs of accounts: organisations and their verification, members, operator roles, sealing.

Each runs in the caller's transaction or opens one, records an audit row, and tells of what others
may wait for through the outbox. Keys have their verbs in ``key_services``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction

from accounts import audit, credit_code, locks
from accounts.actors import Actor, for_user
from accounts.errors import AlreadyMember, CreditCodeTaken, EmailTaken, LastOwner
from accounts.key_services import revoke_keys_of_person, store_key
from accounts.keys import KeyText
from accounts.models import ApiKey, AuditSeal, Membership, OperatorRole, Organisation, User
from accounts.roles import MEMBER_ROLES, OPERATOR_ROLES, ORGANISATION_KINDS, SCOPES
from accounts.states import VERIFICATION
from core import outbox, sealing
from core.errors import Conflict, InvalidInput, NotFound, NotPermitted
from core.models import OutboxEvent
from core.states import next_state

log = structlog.get_logger(__name__)

# What may be registered by anybody; the operator's own organisation is made by a command.
PUBLIC_KINDS = ORGANISATION_KINDS - {"operator"}
# Facts that the operator verified stay as they were verified.
_CONTACT = ("contact_name", "contact_email", "contact_phone")
_FACTS = ("name", "credit_code", "kinds", "region_code")


@dataclass(frozen=True, slots=True)
class Registered:
    """A new organisation, its first member and its first key, whose text is shown only now."""

    organisation: Organisation
    owner: User
    key: ApiKey
    key_text: KeyText


@transaction.atomic
def register_organisation(
    *,
    name: str,
    code: str,
    kinds: Iterable[str],
    region_code: str,
    owner_email: str,
    owner_name: str,
    contact_phone: str = "",
    now: datetime,
) -> Registered:
    """Register an organisation as a draft, with its owner and a key that carries every scope.

    ``InvalidInput``, ``CreditCodeTaken``, ``EmailTaken``.
    """
    kinds = _checked_kinds(kinds, allowed=PUBLIC_KINDS)
    _check_credit_code(code)
    owner_email = owner_email.strip().lower()
    if User.objects.filter(email=owner_email).exists():
        raise EmailTaken("Sign in with that address, or name another person as the first member.")
    organisation = Organisation.objects.create(
        name=name,
        credit_code=code,
        kinds=kinds,
        region_code=region_code,
        contact_name=owner_name,
        contact_email=owner_email,
        contact_phone=contact_phone,
        created_at=now,
    )
    owner = User.objects.create_user(owner_email, name=owner_name, created_at=now)
    Membership.objects.create(user=owner, organisation=organisation, role="owner", created_at=now)
    key, key_text = store_key(
        organisation=organisation,
        holder=owner,
        name="first key",
        scopes=SCOPES - {"operator"},
        operator_roles=(),
        expires_at=None,
        now=now,
    )
    _tell(
        for_user(owner),
        "organisation.register",
        organisation,
        event="organisation.registered",
        after=facts_of(organisation) | {"owner": owner.email, "key": key.prefix},
        now=now,
    )
    return Registered(organisation, owner, key, key_text)


@transaction.atomic
def update_organisation(*, actor: Actor, changes: dict[str, Any], now: datetime) -> Organisation:
    """Change facts of the actor's organisation.

    Contacts always; name, credit code, kinds and region only while it is a draft or was refused,
    for what was verified stays as it was. ``Conflict`` otherwise.
    """
    actor.require_scope("organisation:write")
    organisation = locks.organisation_for_update(actor.own_id)
    facts = sorted(set(changes) - set(_CONTACT))
    if facts and organisation.verification not in ("draft", "refused"):
        raise Conflict(
            f"{', '.join(facts)} cannot change while the organisation is "
            f"{organisation.verification}; contacts can.",
            state=organisation.verification,
        )
    before = facts_of(organisation)
    for name, value in changes.items():
        if name not in (*_CONTACT, *_FACTS):
            raise InvalidInput.of(name, "is not a fact that can change", "Leave it out.")
        setattr(organisation, name, value)
    if "kinds" in changes:
        allowed = PUBLIC_KINDS | set(before["kinds"])
        organisation.kinds = _checked_kinds(changes["kinds"], allowed=allowed)
    if "credit_code" in changes and changes["credit_code"] != before["credit_code"]:
        _check_credit_code(organisation.credit_code)
    organisation.save(update_fields=list(changes))
    _tell(actor, "organisation.update", organisation, before=before, now=now)
    return organisation


@transaction.atomic
def submit(*, actor: Actor, now: datetime) -> Organisation:
    """Hand the actor's organisation to the operator for verification."""
    actor.require_scope("organisation:write")
    organisation = locks.organisation_for_update(actor.own_id)
    return _move(actor, organisation, "submit", reason="", now=now)


@transaction.atomic
def verify(*, actor: Actor, organisation_id: UUID, now: datetime) -> Organisation:
    """Let the organisation take part. Rooms above open its accounts when they hear of it."""
    actor.require_operator("market")
    organisation = locks.organisation_for_update(organisation_id)
    return _move(actor, organisation, "verify", reason="", now=now)


@transaction.atomic
def refuse(*, actor: Actor, organisation_id: UUID, reason: str, now: datetime) -> Organisation:
    """Refuse the organisation, with the reason that it is told."""
    actor.require_operator("market")
    organisation = locks.organisation_for_update(organisation_id)
    return _move(actor, organisation, "refuse", reason=_reason(reason), now=now)


def _move(
    actor: Actor, organisation: Organisation, event: str, *, reason: str, now: datetime
) -> Organisation:
    before = facts_of(organisation)
    organisation.verification = next_state(
        VERIFICATION, organisation.verification, event, what="An organisation"
    )
    organisation.verification_reason = reason
    if organisation.verification == "verified":
        organisation.verified_at = now
    organisation.save(update_fields=["verification", "verification_reason", "verified_at"])
    _tell(
        actor,
        f"organisation.{event}",
        organisation,
        event=f"organisation.{organisation.verification}",
        before=before,
        now=now,
    )
    return organisation


@transaction.atomic
def suspend(*, actor: Actor, organisation_id: UUID, reason: str, now: datetime) -> Organisation:
    """Keep the organisation from new business; its keys still read. ``Conflict`` if it is so."""
    actor.require_operator("market")
    organisation = locks.organisation_for_update(organisation_id)
    if organisation.suspended:
        raise Conflict("The organisation is suspended already.", state="suspended")
    return _set_suspended(actor, organisation, reason=_reason(reason), now=now)


@transaction.atomic
def reinstate(*, actor: Actor, organisation_id: UUID, now: datetime) -> Organisation:
    """End a suspension. ``Conflict`` where there is none."""
    actor.require_operator("market")
    organisation = locks.organisation_for_update(organisation_id)
    if not organisation.suspended:
        raise Conflict("The organisation is not suspended.", state="not suspended")
    return _set_suspended(actor, organisation, reason="", now=now)


def _set_suspended(
    actor: Actor, organisation: Organisation, *, reason: str, now: datetime
) -> Organisation:
    before = facts_of(organisation)
    organisation.suspended = bool(reason)
    organisation.suspended_reason = reason
    organisation.save(update_fields=["suspended", "suspended_reason"])
    verb = "suspend" if reason else "reinstate"
    _tell(
        actor,
        f"organisation.{verb}",
        organisation,
        event=f"organisation.{verb.removesuffix('e')}ed",
        before=before,
        now=now,
    )
    return organisation


@transaction.atomic
def add_member(*, actor: Actor, email: str, name: str, role: str, now: datetime) -> Membership:
    """Make a person a member; an unknown person is made known. ``AlreadyMember``."""
    actor.require_scope("organisation:write")
    organisation = locks.organisation_for_update(actor.own_id)
    _check_role(role)
    email = email.strip().lower()
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_user(email, name=name, created_at=now)
    if Membership.objects.filter(user=user, organisation=organisation).exists():
        raise AlreadyMember(f"{email} is a member already; change the role instead.")
    member = Membership.objects.create(
        user=user, organisation=organisation, role=role, created_at=now
    )
    _record_member(actor, "member.add", member, before=None, now=now)
    return member


@transaction.atomic
def change_member_role(
    *, actor: Actor, membership_id: UUID, role: str, now: datetime
) -> Membership:
    """Give a member another role. ``LastOwner`` where no owner would be left."""
    actor.require_scope("organisation:write")
    _check_role(role)
    member = _own_member(actor, membership_id)
    before = member.role
    if before == "owner" and role != "owner":
        _keep_an_owner(member)
    member.role = role
    member.save(update_fields=["role"])
    _record_member(actor, "member.change_role", member, before={"role": before}, now=now)
    return member


@transaction.atomic
def remove_member(*, actor: Actor, membership_id: UUID, now: datetime) -> None:
    """End a membership; the keys that the person answers for are revoked with it."""
    actor.require_scope("organisation:write")
    member = _own_member(actor, membership_id)
    if member.role == "owner":
        _keep_an_owner(member)
    if "operator" in member.organisation.kinds:
        OperatorRole.objects.filter(user=member.user).delete()
    revoke_keys_of_person(
        actor=actor, user=member.user, organisation_id=member.organisation_id, now=now
    )
    _record_member(actor, "member.remove", member, before={"role": member.role}, now=now)
    member.delete()


def _own_member(actor: Actor, membership_id: UUID) -> Membership:
    """A member of the actor's organisation, whose row is locked: roles change one at a time."""
    organisation = locks.organisation_for_update(actor.own_id)
    member = (
        Membership.objects.select_related("user", "organisation")
        .filter(id=membership_id, organisation=organisation)
        .first()
    )
    if member is None:
        raise NotFound("There is no such member.")
    return member


def _keep_an_owner(member: Membership) -> None:
    others = Membership.objects.filter(organisation_id=member.organisation_id, role="owner")
    if not others.exclude(id=member.id).exists():
        raise LastOwner("Make somebody else an owner first.")


@transaction.atomic
def grant_operator_role(*, actor: Actor, user: User, role: str, now: datetime) -> OperatorRole:
    """Let a person of the operator decide for the market. Nobody grants a role to themselves."""
    if not actor.is_system:
        actor.require_scope("organisation:write")
        actor.require_operator()
        if actor.principal_id == user.id:
            raise NotPermitted("Another person must grant you a role.")
    if role not in OPERATOR_ROLES:
        raise InvalidInput.of("role", "is not an operator role", f"One of {sorted(OPERATOR_ROLES)}")
    if not user.memberships.filter(organisation__kinds__contains=["operator"]).exists():
        raise NotPermitted("Only members of the operator take operator roles.")
    granted, made = OperatorRole.objects.get_or_create(
        user=user, role=role, defaults={"created_at": now}
    )
    if made:
        audit.record(
            actor=actor,
            action="operator_role.grant",
            subject_kind="user",
            subject_id=user.id,
            after={"role": role, "email": user.email},
            now=now,
        )
    return granted


@transaction.atomic
def revoke_operator_role(*, actor: Actor, user: User, role: str, now: datetime) -> None:
    """Take a role away, and revoke the person's keys that carry it."""
    if not actor.is_system:
        actor.require_scope("organisation:write")
        actor.require_operator()
    removed, _ = OperatorRole.objects.filter(user=user, role=role).delete()
    if not removed:
        raise NotFound("The person does not hold this role.")
    revoke_keys_of_person(actor=actor, user=user, operator_role=role, now=now)
    audit.record(
        actor=actor,
        action="operator_role.revoke",
        subject_kind="user",
        subject_id=user.id,
        before={"role": role, "email": user.email},
        now=now,
    )


def seal_audit(*, now: datetime) -> int:
    """Seal the audit rows that no running transaction can add to; returns how many."""
    rows = sealing.seal(audit.AUDIT_CHAIN, now=now)
    if rows:
        # Outside of the database this line is what a cut chain can be held against.
        head = AuditSeal.objects.latest("number")
        log.info("audit sealed", seal=head.number, rows=rows, hash=bytes(head.hash).hex())
    return rows


def facts_of(organisation: Organisation) -> dict[str, Any]:
    """What the audit chain keeps of an organisation."""
    kept = (*_FACTS, *_CONTACT, "verification", "verification_reason")
    facts: dict[str, Any] = {name: getattr(organisation, name) for name in kept}
    return facts | {
        "kinds": list(organisation.kinds),
        "suspended": organisation.suspended,
        "suspended_reason": organisation.suspended_reason,
    }


def _tell(
    actor: Actor,
    action: str,
    organisation: Organisation,
    *,
    event: str | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    now: datetime,
) -> None:
    audit.record(
        actor=actor,
        action=action,
        subject_kind="organisation",
        subject_id=organisation.id,
        before=before,
        after=after or facts_of(organisation),
        now=now,
        organisation_id=organisation.id,
    )
    if event is not None:
        told = OutboxEvent(
            kind=event,
            organisation_id=organisation.id,
            subject_id=organisation.id,
            payload={
                "verification": organisation.verification,
                "suspended": organisation.suspended,
            },
            occurred_at=now,
        )
        outbox.emit_many([told])


def _record_member(
    actor: Actor, action: str, member: Membership, *, before: dict[str, Any] | None, now: datetime
) -> None:
    audit.record(
        actor=actor,
        action=action,
        subject_kind="membership",
        subject_id=member.id,
        before=before,
        after=None
        if action == "member.remove"
        else {"role": member.role, "email": member.user.email},
        now=now,
    )


def _checked_kinds(kinds: Iterable[str], *, allowed: Iterable[str]) -> list[str]:
    found = sorted(set(kinds))
    if not found or not set(found) <= set(allowed):
        raise InvalidInput.of(
            "kinds", "has a kind that cannot be registered", f"Any of {', '.join(sorted(allowed))}."
        )
    return found


def _check_credit_code(code: str) -> None:
    rule = credit_code.problem_with(code)
    if rule is not None:
        raise InvalidInput.of("credit_code", rule, "Send the code as the business licence has it.")
    if Organisation.objects.filter(credit_code=code).exists():
        raise CreditCodeTaken("Ask the organisation's owner to add you as a member.")


def _check_role(role: str) -> None:
    if role not in MEMBER_ROLES:
        raise InvalidInput.of("role", "is not a role", f"One of {', '.join(sorted(MEMBER_ROLES))}.")


def _reason(reason: str) -> str:
    if not reason.strip():
        raise InvalidInput.of(
            "reason", "must not be empty", "Say why, in words for the other side."
        )
    return reason.strip()
