"""What must hold of all charges: invariant 6, and that the ledger says the same."""

from __future__ import annotations

from collections.abc import Iterator

from billing.replay import findings
from core.verify import Finding

_CHECKS: dict[str, tuple[str, str]] = {
    "rating.lines": (
        "charges equal the sum of their lines",
        """
        SELECT count(*), count(*) FILTER (WHERE charge.amount_micro <> COALESCE(line.total, 0))
          FROM billing_charge charge
          LEFT JOIN (SELECT charge_id, sum(amount_micro) AS total FROM billing_chargeline
                      GROUP BY charge_id) line ON line.charge_id = charge.id
        """,
    ),
    "rating.cumulative": (
        "charges of a lease follow one another without a gap, each by its record",
        """
        SELECT count(*), count(*) FILTER (
               WHERE unit_seconds_before <> expected
                  OR unit_seconds_after - unit_seconds_before <> active_unit_seconds)
          FROM (SELECT charge.*, usage.active_unit_seconds,
                       lag(charge.unit_seconds_after, 1, 0::bigint) OVER (
                           PARTITION BY charge.lease_id
                           ORDER BY charge.unit_seconds_after, charge.unit_seconds_before,
                                    charge.id) AS expected
                  FROM billing_charge charge
                  JOIN billing_usagerecord usage ON usage.id = charge.usage_record_id) judged
        """,
    ),
    "rating.within_trade": (
        "leases are charged no more than their trades cost, and all of it at full delivery",
        """
        SELECT count(*), count(*) FILTER (
               WHERE charged.compute > trade.compute_micro
                  OR charged.transport > trade.transport_micro
                  OR (charged.reached
                      = trunc(trade.units * extract(epoch FROM trade.ends_at - trade.starts_at))
                      AND (charged.compute <> trade.compute_micro
                           OR charged.transport <> trade.transport_micro)))
          FROM (SELECT lease_id, sum(compute_micro) AS compute, sum(transport_micro) AS transport,
                       max(unit_seconds_after) AS reached
                  FROM billing_charge GROUP BY lease_id) charged
          JOIN exchange_trade trade ON trade.id = charged.lease_id
        """,
    ),
    "rating.ledger": (
        "charges above zero have a transfer that takes exactly their amount from the buyer",
        """
        SELECT count(*), count(*) FILTER (WHERE taken.amount IS DISTINCT FROM charge.amount_micro)
          FROM billing_charge charge
          LEFT JOIN LATERAL (
               SELECT sum(entry.amount) AS amount
                 FROM ledger_transfer transfer
                 JOIN ledger_entry entry ON entry.transfer_id = transfer.id
                 JOIN ledger_account account ON account.id = entry.account_id
                WHERE transfer.id = charge.id AND transfer.code = 'charge.usage'
                  AND entry.hold_id = charge.lease_id
                  AND account.owner = charge.buyer_id AND account.code = 'available') taken ON true
         WHERE charge.amount_micro > 0
        """,
    ),
    "rating.transfers": (
        "transfers of charges have their charge",
        """
        SELECT count(*), count(*) FILTER (WHERE charge.id IS NULL)
          FROM ledger_transfer transfer LEFT JOIN billing_charge charge ON charge.id = transfer.id
         WHERE transfer.code = 'charge.usage'
        """,
    ),
}


def checks() -> Iterator[Finding]:
    """One finding for each thing that must hold of all charges."""
    yield from findings(_CHECKS)
