"""What must hold of all batches: invariants 7 and 8, and that the ledger says the same."""

from __future__ import annotations

from collections.abc import Iterator

from billing.replay import findings
from billing.settlement.drafting import stored_content
from billing.settlement.models import SettlementBatch
from billing.settlement.states import BATCH_OPEN
from core.verify import Finding

_CHECKS: dict[str, tuple[str, str]] = {
    "settlement.identity": (
        "batches pay out and keep what the charges of their period took in",
        """
        SELECT count(*), count(*) FILTER (
               WHERE batch.charged_micro <> batch.paid_out_micro + batch.kept_micro
                  OR batch.charged_micro <> COALESCE(charged.total, 0)
                  OR batch.paid_out_micro <> COALESCE(paid.fen, 0) * 10000)
          FROM billing_settlementbatch batch
          LEFT JOIN (SELECT period_id, sum(amount_micro) AS total FROM billing_charge
                      GROUP BY period_id) charged ON charged.period_id = batch.period_id
          LEFT JOIN (SELECT batch_id, sum(amount_fen) AS fen FROM billing_payout
                      GROUP BY batch_id) paid ON paid.batch_id = batch.id
         WHERE batch.state NOT IN ('rejected', 'failed')
        """,
    ),
    "settlement.netting": (
        "net positions of regions are the same before and after netting",
        """
        SELECT count(*), count(*) FILTER (WHERE owed + paid <> 0) FROM (
            SELECT batch_id, region, sum(owed) AS owed, sum(paid) AS paid FROM (
                SELECT batch_id, debtor_region_id AS region, amount_micro AS owed, 0 AS paid
                  FROM billing_obligation WHERE kind = 'clearing'
                UNION ALL
                SELECT batch_id, creditor_region_id, -amount_micro, 0
                  FROM billing_obligation WHERE kind = 'clearing'
                UNION ALL
                SELECT batch_id, payer_region_id, 0, -amount_micro FROM billing_regionpayment
                UNION ALL
                SELECT batch_id, payee_region_id, 0, amount_micro FROM billing_regionpayment) part
             GROUP BY batch_id, region) positions
        """,
    ),
    "settlement.four_eyes": (
        "batches beyond their submission were approved by another person",
        """
        SELECT count(*), count(*) FILTER (
               WHERE approved_by_id IS NULL OR submitted_by_id IS NULL
                  OR approved_by_id = submitted_by_id)
          FROM billing_settlementbatch WHERE state IN ('approved', 'executing', 'settled')
        """,
    ),
    "settlement.payouts": (
        "payouts of settled batches took exactly their amount from what their party had coming",
        """
        SELECT count(*), count(*) FILTER (
               WHERE payout.state <> 'sent'
                  OR COALESCE(taken.amount, 0) <> payout.amount_fen * 10000)
          FROM billing_payout payout
          JOIN billing_settlementbatch batch ON batch.id = payout.batch_id
          LEFT JOIN LATERAL (
               SELECT sum(entry.amount) AS amount
                 FROM ledger_transfer transfer
                 JOIN ledger_entry entry ON entry.transfer_id = transfer.id
                 JOIN ledger_account account ON account.id = entry.account_id
                WHERE transfer.id = payout.id AND transfer.code = 'settlement.payout'
                  AND account.owner = payout.organisation_id AND account.code = 'payable'
                  AND account.region = payout.region_id) taken ON true
         WHERE batch.state = 'settled'
        """,
    ),
    "settlement.payable": (
        "accounts payable stand at what was earned less what was paid out",
        """
        SELECT count(*), count(*) FILTER (
               WHERE -account.balance <> COALESCE(earned.amount, 0) - COALESCE(paid.amount, 0))
          FROM (SELECT owner, region, sum(balance) AS balance FROM ledger_account
                 WHERE code = 'payable' AND asset = 'CNY'
                   AND owner <> '00000000-0000-0000-0000-000000000001'
                 GROUP BY owner, region) account
          LEFT JOIN (SELECT payee_id, region_id, sum(amount_micro) AS amount
                       FROM billing_chargeline WHERE payee_id IS NOT NULL
                      GROUP BY payee_id, region_id) earned
            ON earned.payee_id = account.owner AND earned.region_id = account.region
          LEFT JOIN (SELECT organisation_id, region_id, sum(amount_fen) * 10000 AS amount
                       FROM billing_payout WHERE state = 'sent'
                      GROUP BY organisation_id, region_id) paid
            ON paid.organisation_id = account.owner AND paid.region_id = account.region
        """,
    ),
    "settlement.top_ups": (
        "top-ups have a transfer of exactly their amount",
        """
        SELECT count(*), count(*) FILTER (WHERE given.amount IS DISTINCT FROM -top_up.amount_micro)
          FROM billing_topup top_up
          LEFT JOIN LATERAL (
               SELECT sum(entry.amount) AS amount
                 FROM ledger_entry entry
                 JOIN ledger_account account ON account.id = entry.account_id
                WHERE entry.transfer_id = top_up.id AND account.owner = top_up.organisation_id
                  AND account.code = 'available') given ON true
        """,
    ),
    "settlement.periods": (
        "periods join without a gap, and closed ones have one settled batch",
        """
        SELECT count(*), count(*) FILTER (
               WHERE starts_at IS DISTINCT FROM COALESCE(previous_end, starts_at)
                  OR (state = 'closed') <> (settled = 1))
          FROM (SELECT period.*, lag(period.ends_at) OVER (ORDER BY period.date) AS previous_end,
                       (SELECT count(*) FROM billing_settlementbatch batch
                         WHERE batch.period_id = period.id AND batch.state = 'settled') AS settled
                  FROM billing_settlementperiod period) judged
        """,
    ),
}


def checks() -> Iterator[Finding]:
    """One finding for each thing that must hold of all batches."""
    yield from findings(_CHECKS)
    looked_at, wrong = 0, []
    for batch in SettlementBatch.objects.filter(state__in=BATCH_OPEN).select_related("period"):
        looked_at += 1
        if stored_content(batch, batch.period.date).content_hash() != batch.content_hash:
            wrong.append(str(batch.pk))
    yield Finding(
        "settlement.content",
        not wrong,
        f"{looked_at} batches say what their hash says; {len(wrong)} do not {' '.join(wrong)}",
    )
