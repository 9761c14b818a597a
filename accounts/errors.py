"""What accounts refuses.

NotAuthenticated
├── KeyMissing
├── KeyUnknown
├── KeyExpired
└── KeyRevoked
NotPermitted
├── ScopeMissing
├── OperatorRoleMissing
└── OrganisationNotReady      not of the kind needed, not verified, or suspended
Conflict
├── CreditCodeTaken
├── EmailTaken
├── AlreadyMember
└── LastOwner
"""

from __future__ import annotations

from core.errors import Conflict, NotAuthenticated, NotPermitted


class KeyMissing(NotAuthenticated):
    slug = "key-missing"
    title = "This needs an API key"


class KeyUnknown(NotAuthenticated):
    slug = "key-unknown"
    title = "There is no such API key"


class KeyExpired(NotAuthenticated):
    slug = "key-expired"
    title = "The API key has expired"


class KeyRevoked(NotAuthenticated):
    slug = "key-revoked"
    title = "The API key was revoked"


class ScopeMissing(NotPermitted):
    slug = "scope-missing"
    title = "The key lacks a scope"


class OperatorRoleMissing(NotPermitted):
    slug = "operator-role-missing"
    title = "Only the operator may do this"


class OrganisationNotReady(NotPermitted):
    slug = "organisation-not-ready"
    title = "The organisation may not do this, or not yet"


class CreditCodeTaken(Conflict):
    slug = "credit-code-taken"
    title = "An organisation with this credit code is registered already"


class EmailTaken(Conflict):
    slug = "email-taken"
    title = "A person with this e-mail address is registered already"


class AlreadyMember(Conflict):
    slug = "already-member"
    title = "The person is a member already"


class LastOwner(Conflict):
    slug = "last-owner"
    title = "An organisation keeps at least one owner"
