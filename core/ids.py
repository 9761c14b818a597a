"""Identifiers: UUIDv7 (RFC 9562), so that keys rise with time and indexes stay dense."""

from uuid import UUID

from uuid_utils.compat import uuid7

__all__ = ["UUID", "new_id"]


def new_id() -> UUID:
    """A new time-ordered identifier."""
    return uuid7()
