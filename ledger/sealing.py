"""What the ledger's hash chain covers: every transfer together with its entries.

The chain itself is ``core.sealing``: batches of whole transactions below the oldest running one,
each seal over the one before, so that no writer waits for it. Here a row's hash takes the
transfer's entries in, in the order of their positions.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.sealing import SealedTable


@dataclass(frozen=True, slots=True)
class _SealedTransfers(SealedTable):
    def row_hash_sql(self, alias: str) -> str:
        """SQL of the hash of one transfer and its entries."""
        instants = ", ".join(
            f"to_jsonb({alias}.{column} AT TIME ZONE 'UTC')" for column in self.instants
        )
        return f"""sha256(convert_to(jsonb_build_array(
            {alias}.id, {alias}.code, {alias}.reference, {alias}.period_id, {alias}.entry_count,
            {instants},
            (SELECT jsonb_agg(jsonb_build_array(e.account_id, e.amount, e.balance_after, e.version,
                                                e.hold_id)
                              ORDER BY e.position)
               FROM ledger_entry e WHERE e.transfer_id = {alias}.id))::text, 'UTF8'))"""  # noqa: S608 - the alias is core.sealing's


SEALED = _SealedTransfers(
    name="ledger",
    table="ledger_transfer",
    seals="ledger_seal",
    key="id",
    columns=("id", "code", "reference", "period_id", "entry_count"),
    instants=("effective_at", "recorded_at"),
)
