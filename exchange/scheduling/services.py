"""Scheduling's verbs: pull leases from trades, move them along, end them in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.actors import Actor
from core.errors import ExchangeError
from exchange.scheduling.models import Lease


@dataclass(frozen=True, slots=True)
class LeaseMove:
    """One transition asked for: ``event`` is a word of ``states.LEASE_TRANSITIONS``."""

    lease_id: UUID
    event: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class LeaseMoved:
    """What became of a move: the lease's new state, or why it was refused."""

    lease_id: UUID
    state: str | None
    refusal: ExchangeError | None = None


def pull_leases(*, now: datetime, limit: int = 5_000) -> int:
    """Make the leases of trades that have none; returns how many."""
    raise NotImplementedError


def transition_lease(
    *, actor: Actor, lease_id: UUID, event: str, reason: str = "", now: datetime
) -> Lease:
    """Move one lease along; raises what refuses it."""
    raise NotImplementedError


def transition_leases(
    *, actor: Actor, moves: Sequence[LeaseMove], now: datetime
) -> list[LeaseMoved]:
    """Move many leases along, each by itself; an answer for each move in the order given."""
    raise NotImplementedError


def end_due_leases(*, now: datetime, limit: int = 2_000) -> int:
    """End what has come to its end: completed, or failed where it was never activated."""
    raise NotImplementedError


def suspend_and_resume(*, now: datetime, limit: int = 2_000) -> int:
    """Suspend the leases of centres that are out, resume those of centres that are back."""
    raise NotImplementedError


def put_access(
    *, actor: Actor, lease_id: UUID, details: Mapping[str, str], now: datetime
) -> None:
    """Store how the buyer gets in, encrypted; by the lease's provider."""
    raise NotImplementedError
