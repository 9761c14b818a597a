"""The payment file of an approved batch: one line for each payout."""

from __future__ import annotations

import csv
from io import StringIO

from billing.settlement.errors import NotApprovedYet
from billing.settlement.models import BatchState, SettlementBatch
from core.money import CNY

COLUMNS = (
    "end_to_end_id",
    "period_date",
    "payee_name",
    "payee_credit_code",
    "paying_region",
    "amount",
    "currency",
    "remittance_information",
)
_FILED = (BatchState.APPROVED, BatchState.EXECUTING, BatchState.SETTLED)


def payment_file(batch: SettlementBatch) -> str:
    """The payouts above zero as CSV (RFC 4180), amounts in yuan with two places.

    ``NotApprovedYet`` before the second person has approved. A name that a spreadsheet would take
    for a formula is preceded by an apostrophe.
    """
    if batch.state not in _FILED:
        raise NotApprovedYet(f"Batch {batch.pk} is {batch.state}; its file follows its approval.")
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    payouts = (
        batch.payouts.filter(amount_fen__gt=0)
        .select_related("organisation")
        .order_by("organisation__credit_code", "region_id", "id")
    )
    for payout in payouts:
        yuan, fen = divmod(payout.amount_fen, 100)
        writer.writerow(
            (
                payout.end_to_end_id,
                batch.period.date.isoformat(),
                _harmless(payout.organisation.name),
                payout.organisation.credit_code,
                payout.region_id,
                f"{yuan}.{fen:02}",
                CNY,
                f"Compute exchange, settlement of {batch.period.date.isoformat()}",
            )
        )
    return text.getvalue()


def _harmless(name: str) -> str:
    return f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name
