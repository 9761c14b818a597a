"""What executing a batch moves in the ledger. The ids follow from the batch, so that executing it
again, after a crash or beside another, finds its own postings.

In each region, the clearing accounts are brought down by what the period's obligations put on them,
against the payments that netting left, which move the region's bank account:

    clearing[r→o]  debit what r owes o, credit what o owes r        (for each o)
    bank[r]        credit what r pays, debit what r receives

A payout takes from what its party has coming, and from the bank of that region.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from billing.settlement.models import ObligationKind, Payout, SettlementBatch
from core.ids import derived_id
from core.money import MICRO_PER_FEN
from exchange.pricing.chart import BANK, PAYABLE, PLATFORM, account, clearing
from ledger.services import AccountKey, Leg, PostTransfer

SETTLEMENT_CLEARING = "settlement.clearing"
SETTLEMENT_PAYOUT = "settlement.payout"
# What a period that is being settled still takes.
CLOSING_CODES = (SETTLEMENT_CLEARING, SETTLEMENT_PAYOUT)


def batch_transfers(batch: SettlementBatch, *, effective_at: datetime) -> list[PostTransfer]:
    """Every transfer of a batch, in a fixed order; all go into the books of its period."""
    moved = [
        *_clearing_transfers(batch, effective_at=effective_at),
        *_payout_transfers(batch.payouts.order_by("id"), effective_at=effective_at),
    ]
    return [replace(each, period=batch.period.ledger_period_id) for each in moved]


def _clearing_transfers(
    batch: SettlementBatch, *, effective_at: datetime
) -> Iterable[PostTransfer]:
    moved: dict[str, dict[AccountKey, int]] = defaultdict(lambda: defaultdict(int))
    owed = batch.obligations.filter(kind=ObligationKind.CLEARING).values_list(
        "debtor_region_id", "creditor_region_id", "amount_micro"
    )
    for debtor, creditor, amount in owed:
        moved[debtor][clearing(debtor, creditor)] += amount
        moved[creditor][clearing(creditor, debtor)] -= amount
    payments = batch.region_payments.values_list(
        "payer_region_id", "payee_region_id", "amount_micro"
    )
    for payer, payee, amount in payments:
        moved[payer][account(PLATFORM, BANK, payer)] -= amount
        moved[payee][account(PLATFORM, BANK, payee)] += amount
    for region in sorted(moved):
        legs = tuple(Leg(key, amount) for key, amount in sorted(moved[region].items()) if amount)
        if legs:
            yield PostTransfer(
                id=derived_id(batch.created_at, SETTLEMENT_CLEARING, batch.pk, region),
                code=SETTLEMENT_CLEARING,
                reference=batch.pk,
                effective_at=effective_at,
                legs=legs,
            )


def _payout_transfers(
    payouts: Iterable[Payout], *, effective_at: datetime
) -> Iterable[PostTransfer]:
    for payout in payouts:
        if payout.amount_fen:
            amount = payout.amount_fen * MICRO_PER_FEN
            yield PostTransfer(
                id=payout.pk,
                code=SETTLEMENT_PAYOUT,
                reference=payout.batch_id,
                effective_at=effective_at,
                legs=(
                    Leg(account(payout.organisation_id, PAYABLE, payout.region_id), amount),
                    Leg(account(PLATFORM, BANK, payout.region_id), -amount),
                ),
            )
