"""What the ledger's hash chain covers: every transfer together with its entries.

The chain itself is ``core.sealing``: batches of whole transactions below the oldest running one,
each seal over the one before, so that no writer waits for it. Here a row's hash takes the
transfer's entries in, in the order of their positions: SHA-256 over the JSON array of the
transfer's columns and of an array of its entries. Its text is that of ``jsonb``, made by ``json``,
which does not build a tree first and takes half the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from core.sealing import GENESIS, SealedTable

_HASH = """sha256(convert_to(json_build_array(
                t.id, t.code, t.reference, t.period_id, t.entry_count,
                t.effective_at AT TIME ZONE 'UTC', t.recorded_at AT TIME ZONE 'UTC',
                json_agg(json_build_array(e.account_id, e.amount, e.balance_after, e.version,
                                          e.hold_id) ORDER BY e.position))::text, 'UTF8'))"""

# Whether a transfer lacks entries or does not balance; place by place where it has several. Of each
# position there is one: n different powers of two, as far as 64 bits go.
_WRONG = """count(a.id) <> t.entry_count OR count(e.transfer_id) <> t.entry_count
            OR min(e.position) <> 1 OR max(e.position) <> t.entry_count
            OR CASE WHEN t.entry_count <= 60
                    THEN bit_or(1::int8 << e.position) <> (1::int8 << (t.entry_count + 1)) - 2
                    ELSE EXISTS (SELECT 1 FROM ledger_entry o WHERE o.transfer_id = t.id
                                  GROUP BY o.position HAVING count(*) > 1) END
            OR CASE WHEN min(a.region) = max(a.region) AND min(a.asset) = max(a.asset)
                    THEN sum(e.amount) <> 0
                    ELSE EXISTS (SELECT 1
                                   FROM ledger_entry o JOIN ledger_account p ON p.id = o.account_id
                                  WHERE o.transfer_id = t.id
                                  GROUP BY p.region, p.asset HAVING sum(o.amount) <> 0) END"""


@dataclass(frozen=True, slots=True)
class _SealedTransfers(SealedTable):
    def rows_sql(self, *, judged: bool) -> str:
        """SQL of transfers with their entries; one is wrong that is not whole or not balanced."""
        wrong, accounts = "false", ""
        if judged:
            wrong, accounts = _WRONG, "LEFT JOIN ledger_account a ON a.id = e.account_id"
        # OFFSET 0: by the index, a transfer at a time; a page of them is no reason to scan it all.
        return f"""
            SELECT t.id AS key, t.xid, {_HASH} AS hash, {wrong} AS wrong
              FROM ledger_transfer t
              LEFT JOIN LATERAL (SELECT o.* FROM ledger_entry o
                                  WHERE o.transfer_id = t.id OFFSET 0) e ON true
              {accounts}
             WHERE t.xid >= %(xid_from)s::text::xid8 AND t.xid < %(xid_to)s::text::xid8
             GROUP BY t.id
        """  # noqa: S608 - the ledger's own constants


SEALED = _SealedTransfers(
    name="ledger",
    table="ledger_transfer",
    seals="ledger_seal",
    key="id",
    columns=("id", "code", "reference", "period_id", "entry_count"),
    instants=("effective_at", "recorded_at"),
)


def head() -> dict[str, Any]:
    """The last seal, in words for another system; seal 0 where there is none yet.

    ``count`` is how many transfers the chain covers up to it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number, hash, sealed_at, (SELECT sum(row_count)::int8 FROM ledger_seal)"
            " FROM ledger_seal ORDER BY number DESC LIMIT 1"
        )
        number, own, sealed_at, count = cursor.fetchone() or (0, GENESIS, None, 0)
    return {
        "number": number,
        "hash": bytes(own).hex(),
        "sealed_at": sealed_at.isoformat() if sealed_at else None,
        "count": count,
    }
