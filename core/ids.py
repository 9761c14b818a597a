"""Identifiers: UUIDv7 (RFC 9562), so that keys rise with time and indexes stay dense."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from uuid import UUID

from uuid_utils.compat import uuid7

__all__ = ["UUID", "derived_id", "new_id"]


def new_id() -> UUID:
    """A new time-ordered identifier."""
    return uuid7()


def derived_id(at: datetime, *parts: object) -> UUID:
    """The one UUIDv7 of an instant and a name: the same parts always give the same identifier.

    What is made twice (by a worker and by the one that takes over from it) gets one id, so that
    the second writing is recognised. The random bits of RFC 9562 are taken from a hash.
    """
    digest = int.from_bytes(sha256("\0".join(map(str, parts)).encode()).digest()[:10])
    milliseconds = int(at.timestamp() * 1000)
    random_a, random_b = digest >> 68, digest & ((1 << 62) - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b)
