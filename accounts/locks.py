"""Every row lock of accounts, in this order: organisation, then membership, then key."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from accounts.models import ApiKey, Organisation
from core.errors import NotFound


def _inside_transaction() -> None:
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("a row is locked inside a transaction")


def organisation_for_update(organisation_id: UUID) -> Organisation:
    """The organisation, locked; ``NotFound`` where there is none."""
    _inside_transaction()
    found = Organisation.objects.select_for_update().filter(id=organisation_id).first()
    if found is None:
        raise NotFound("There is no such organisation.")
    return found


def key_for_update(key_id: UUID, organisation_id: UUID) -> ApiKey:
    """A key of the organisation, locked; ``NotFound`` where it has no such key."""
    _inside_transaction()
    found = (
        ApiKey.objects.select_for_update()
        .filter(id=key_id, organisation_id=organisation_id)
        .first()
    )
    if found is None:
        raise NotFound("There is no such API key.")
    return found
