"""Prepaid funds of buyers: what came from the bank, and what is there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.actors import Actor
from billing.settlement.models import TopUp


@dataclass(frozen=True, slots=True)
class Funds:
    """Prepaid funds in micro-yuan: ``available_micro`` is balance less what is held."""

    region_code: str
    balance_micro: int
    held_micro: int
    available_micro: int


def record_top_up(
    *, actor: Actor, organisation_id: UUID, amount_micro: int, bank_reference: str, now: datetime
) -> TopUp:
    """Credit a buyer with money that arrived at the bank; by a settlement clerk."""
    raise NotImplementedError


def funds_of(organisation_id: UUID, region_code: str) -> Funds:
    """A buyer's prepaid funds."""
    raise NotImplementedError
