"""What a settlement batch says, and the hash of exactly that. Pure.

The hash covers content, not row ids: the same charges drawn up twice give the same hash, and a
figure that was changed behind somebody's back gives another.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True, order=True)
class Owed:
    """An obligation: kind, who owes whom by region, the organisation of a payout, how much."""

    kind: str
    debtor_region: str
    creditor_region: str
    organisation: UUID | None
    amount_micro: int
    line_count: int


@dataclass(frozen=True, slots=True, order=True)
class RegionPays:
    """A payment between regions after netting."""

    payer_region: str
    payee_region: str
    amount_micro: int


@dataclass(frozen=True, slots=True, order=True)
class PaysOut:
    """A payout in whole fen, and what is carried to the next period."""

    organisation: UUID
    region: str
    owed_micro: int
    amount_fen: int
    carried_micro: int


@dataclass(frozen=True, slots=True)
class BatchContent:
    """All that two people put their names to. ``charged = paid out + kept``, in micro-yuan."""

    period_date: date
    charged_micro: int
    paid_out_micro: int
    kept_micro: int
    obligations: tuple[Owed, ...]
    region_payments: tuple[RegionPays, ...]
    payouts: tuple[PaysOut, ...]

    def canonical(self) -> bytes:
        """The content as JSON with one spelling: every list sorted, every id a text."""
        told: dict[str, Any] = {
            "period": self.period_date.isoformat(),
            "charged_micro": self.charged_micro,
            "paid_out_micro": self.paid_out_micro,
            "kept_micro": self.kept_micro,
            "obligations": sorted(
                [
                    owed.kind,
                    owed.debtor_region,
                    owed.creditor_region,
                    str(owed.organisation or ""),
                    owed.amount_micro,
                    owed.line_count,
                ]
                for owed in self.obligations
            ),
            "region_payments": sorted(
                [pays.payer_region, pays.payee_region, pays.amount_micro]
                for pays in self.region_payments
            ),
            "payouts": sorted(
                [
                    str(pays.organisation),
                    pays.region,
                    pays.owed_micro,
                    pays.amount_fen,
                    pays.carried_micro,
                ]
                for pays in self.payouts
            ),
        }
        return json.dumps(told, sort_keys=True, separators=(",", ":")).encode()

    def content_hash(self) -> str:
        """SHA-256 of the canonical content, as 64 hexadecimal digits."""
        return sha256(self.canonical()).hexdigest()
