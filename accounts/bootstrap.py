"""The operator's own organisation and staff: the first thing that a new installation needs."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts import actors, audit, credit_code, keys, services
from accounts.key_services import store_key
from accounts.models import ApiKey, Membership, Organisation, User
from accounts.roles import SCOPES
from core.errors import InvalidInput

ACTOR = actors.system("bootstrap_operator")

_READS = frozenset(scope for scope in SCOPES if scope.endswith(":read")) | {"operator"}


@dataclass(frozen=True, slots=True)
class Post:
    """A person of the operator: the name in addresses and variables, and what they may do."""

    name: str
    title: str
    member_role: str
    operator_roles: tuple[str, ...]
    key_scopes: frozenset[str]


POSTS = (
    Post("admin", "Administrator", "owner", (), frozenset()),
    Post("market", "Market desk", "engineer", ("market",), SCOPES - {"organisation:write"}),
    Post("clerk", "Settlement clerk", "finance", ("settlement_clerk",), _READS),
    Post("approver", "Settlement approver", "finance", ("settlement_approver",), _READS),
    Post("auditor", "Auditor", "finance", ("auditor",), _READS),
)


@dataclass(frozen=True, slots=True)
class Issued:
    """A person's address, and the password and key where they were made just now."""

    post: str
    email: str
    password: str | None
    key: str | None


@transaction.atomic
def bootstrap_operator(
    *, name: str, code: str, region_code: str, domain: str, now: datetime
) -> list[Issued]:
    """Make the operator and its staff where they are missing; what exists is left as it is.

    ``OPERATOR_<POST>_PASSWORD`` and ``OPERATOR_<POST>_KEY`` in the environment are taken instead of
    making new secrets (posts: ADMIN, MARKET, CLERK, APPROVER, AUDITOR).
    """
    organisation = Organisation.objects.filter(kinds__contains=["operator"]).order_by("id").first()
    if organisation is None:
        organisation = _make_organisation(name, code, region_code, now)
    return [_staff(post, organisation, domain, now) for post in POSTS]


def _make_organisation(name: str, code: str, region_code: str, now: datetime) -> Organisation:
    rule = credit_code.problem_with(code)
    if rule is not None:
        raise InvalidInput.of("credit_code", rule, "Set OPERATOR_CREDIT_CODE.")
    organisation = Organisation.objects.create(
        name=name,
        credit_code=code,
        kinds=["operator"],
        region_code=region_code,
        verification="verified",
        created_at=now,
        verified_at=now,
    )
    audit.record(
        actor=ACTOR,
        action="organisation.register",
        subject_kind="organisation",
        subject_id=organisation.id,
        after=services.facts_of(organisation),
        now=now,
        organisation_id=organisation.id,
    )
    return organisation


def _staff(post: Post, organisation: Organisation, domain: str, now: datetime) -> Issued:
    email = f"{post.name}@{domain}"
    user = User.objects.filter(email=email).first()
    password = None
    if user is None:
        given = os.environ.get(f"OPERATOR_{post.name.upper()}_PASSWORD", "")
        password = given or secrets.token_urlsafe(12)
        user = User.objects.create_user(
            email,
            password,
            name=post.title,
            is_staff=True,
            is_superuser=post.name == "admin",
            created_at=now,
        )
    Membership.objects.get_or_create(
        user=user,
        organisation=organisation,
        defaults={"role": post.member_role, "created_at": now},
    )
    for role in post.operator_roles:
        services.grant_operator_role(actor=ACTOR, user=user, role=role, now=now)
    return Issued(post.name, email, password, _key(post, user, organisation, now))


def _key(post: Post, user: User, organisation: Organisation, now: datetime) -> str | None:
    """A key for the post where it has none that lives; None where it has one, or needs none."""
    if not post.key_scopes or ApiKey.objects.filter(holder=user, revoked_at=None).exists():
        return None
    given = os.environ.get(f"OPERATOR_{post.name.upper()}_KEY", "")
    key, text = store_key(
        organisation=organisation,
        holder=user,
        name=f"{post.title}, first key",
        scopes=post.key_scopes,
        operator_roles=post.operator_roles,
        expires_at=None,
        now=now,
    )
    if given:
        text = _take(key, given)
    audit.record(
        actor=ACTOR,
        action="api_key.issue",
        subject_kind="api_key",
        subject_id=key.id,
        after={"prefix": key.prefix, "holder": user.email, "operator_roles": post.operator_roles},
        now=now,
        organisation_id=organisation.id,
    )
    return str(text)


def _take(key: ApiKey, given: str) -> keys.KeyText:
    """Let the key be the one that the environment gives."""
    text = keys.parse(given)
    if text is None:
        raise InvalidInput("A key in the environment must look like cx_<8 characters>_<secret>.")
    key.prefix, key.secret_sha256 = text.prefix, text.secret_sha256
    key.save(update_fields=["prefix", "secret_sha256"])
    return text
