"""Who acts: a person, a key or the system itself, with all that a check of rights needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from accounts.errors import OperatorRoleMissing, OrganisationNotReady, ScopeMissing
from accounts.models import Organisation, User
from accounts.roles import MEMBER_ROLES, OPERATOR_ROLES, SCOPES

_NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Actor:
    """The one who asks for something. Services take it; nobody else decides what it may do."""

    kind: str  # "person", "key" or "system"
    id: UUID | None
    label: str  # e-mail address, key prefix or the task's name
    organisation_id: UUID | None
    organisation_kinds: frozenset[str]
    organisation_verified: bool  # verified and not suspended
    region_code: str | None
    scopes: frozenset[str]
    operator_roles: frozenset[str]
    # The person behind it: of a key its holder. Four eyes compare this, never keys.
    person_id: UUID | None = None

    @property
    def principal_id(self) -> UUID | None:
        """The person where one is known, else the key: what four eyes compare."""
        return self.person_id or self.id

    @property
    def own_id(self) -> UUID:
        """Its organisation, for look-ups; an id that nobody has where it has none."""
        return self.organisation_id or _NOBODY

    @property
    def is_system(self) -> bool:
        """Whether the platform itself acts."""
        return self.kind == "system"

    def require_scope(self, scope: str) -> None:
        """``ScopeMissing`` where the key or role does not carry ``scope``."""
        if scope not in self.scopes:
            raise ScopeMissing(
                f"This needs the scope '{scope}'; the key carries "
                f"{', '.join(sorted(self.scopes)) or 'none'}.",
                scope=scope,
            )

    def require_kind(self, *kinds: str) -> None:
        """``OrganisationNotReady`` unless it is of one of ``kinds``, verified and not suspended."""
        if self.is_system:
            return
        if not self.organisation_kinds.intersection(kinds):
            raise OrganisationNotReady(f"Only a {' or '.join(kinds)} may do this.", needs="kind")
        if not self.organisation_verified:
            raise OrganisationNotReady(
                "The organisation is not verified, or is suspended; see GET /api/v1/organisation.",
                needs="verification",
            )

    def require_operator(self, *roles: str) -> None:
        """``OperatorRoleMissing`` unless it holds one of ``roles`` (any where none is given)."""
        if self.is_system:
            return
        if not self.operator_roles.intersection(roles or OPERATOR_ROLES):
            raise OperatorRoleMissing(
                f"This needs the operator role {' or '.join(roles) or 'of any kind'}."
            )

    def is_operator(self, *roles: str) -> bool:
        """Whether it holds one of ``roles`` (any role where none is given)."""
        return self.is_system or bool(self.operator_roles.intersection(roles or OPERATOR_ROLES))


def system(label: str) -> Actor:
    """The platform itself, named by the task that acts."""
    return Actor(
        kind="system",
        id=None,
        label=label,
        organisation_id=None,
        organisation_kinds=frozenset({"operator"}),
        organisation_verified=True,
        region_code=None,
        scopes=SCOPES,
        operator_roles=OPERATOR_ROLES,
    )


SYSTEM = system("system")


def _ready(organisation: Organisation | None) -> bool:
    return (
        organisation is not None
        and organisation.verification == "verified"
        and not organisation.suspended
    )


class KeyFacts(NamedTuple):
    """What a key and its organisation say of who asks."""

    id: UUID
    prefix: str
    holder_id: UUID | None
    scopes: list[str]
    operator_roles: list[str]
    organisation_id: UUID
    organisation_kinds: list[str]
    organisation_ready: bool  # verified and not suspended
    region_code: str


def for_key(key: KeyFacts) -> Actor:
    """The actor of a key."""
    operates = key.organisation_ready and "operator" in key.organisation_kinds
    return Actor(
        kind="key",
        id=key.id,
        label=f"cx_{key.prefix}",
        organisation_id=key.organisation_id,
        organisation_kinds=frozenset(key.organisation_kinds),
        organisation_verified=key.organisation_ready,
        region_code=key.region_code,
        scopes=frozenset(key.scopes),
        operator_roles=frozenset(key.operator_roles) if operates else frozenset(),
        person_id=key.holder_id,
    )


def for_user(user: User, organisation_id: UUID | None = None) -> Actor:
    """The actor of a logged-in person, in one of their organisations (the first by default)."""
    memberships = user.memberships.select_related("organisation").order_by("id")
    if organisation_id is not None:
        memberships = memberships.filter(organisation_id=organisation_id)
    membership = memberships.first()
    organisation = membership.organisation if membership else None
    operates = (
        organisation is not None and _ready(organisation) and "operator" in organisation.kinds
    )
    roles = frozenset(user.operator_roles.values_list("role", flat=True)) if operates else None
    scopes = MEMBER_ROLES[membership.role] if membership else frozenset()
    return Actor(
        kind="person",
        id=user.id,
        label=user.email,
        organisation_id=organisation.id if organisation else None,
        organisation_kinds=frozenset(organisation.kinds if organisation else ()),
        organisation_verified=_ready(organisation),
        region_code=organisation.region_code if organisation else None,
        scopes=scopes | {"operator"} if roles else scopes,
        operator_roles=roles or frozenset(),
        person_id=user.id,
    )
