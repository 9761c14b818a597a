"""Slots: whole hours of delivery, numbered from the Unix epoch and aligned to UTC.

Slot ``n`` covers the half-open instant range ``[n * 3600 s, (n + 1) * 3600 s)`` since the epoch.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

SECONDS_PER_SLOT = 3600
SLOTS_PER_DAY = 24
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SLOT = timedelta(seconds=SECONDS_PER_SLOT)


def slot_of(at: datetime) -> int:
    """The slot that contains the instant ``at``."""
    return (at - _EPOCH) // _SLOT


def slot_at_or_after(at: datetime) -> int:
    """The first slot that starts at ``at`` or later."""
    return -((_EPOCH - at) // _SLOT)


def slot_start_at(slot: int) -> datetime:
    """The instant at which ``slot`` starts."""
    return _EPOCH + slot * _SLOT


def is_slot_boundary(at: datetime) -> bool:
    """Whether ``at`` is the very start of a slot."""
    return not (at - _EPOCH) % _SLOT
