"""The ledger's row locks. There is one kind, and one order.

Whatever changes balances, holds or entries of an account first locks the account's row
(``FOR NO KEY UPDATE``), all accounts of a call in the order of their ids. A hold is covered by the
lock of its account and is read after it, so it has no lock of its own and no order to get wrong.

Before the accounts a call shares the lock of periods (``sql.PERIOD_LOCK``), which whoever opens or
closes one has alone: so the period that a transfer is judged by is the one it is written into.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from ledger.operations import AccountKey
from ledger.posting import AccountState
from ledger.sql import PERIOD_LOCK
from ledger.statements import prepared

# The ids come from an array, which is computed once: in a semi-join PostgreSQL drops a row that
# another transaction changed while this one waited for it.
_LOCK = f"""
    SELECT a.owner, a.code, a.region, a.asset,
           a.id, a.normal_side, a.floor, a.stripes > 1, a.balance, a.held, a.version, a.recorded_at
      FROM ledger_account a
     WHERE (SELECT pg_advisory_xact_lock_shared({PERIOD_LOCK})) IS NOT NULL
       AND a.id = ANY (ARRAY(
           SELECT k.id
             FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[])
                  AS wanted (owner, code, region, asset)
             JOIN ledger_account k USING (owner, code, region, asset)
            WHERE k.stripe = pg_backend_pid() %% k.stripes
           UNION ALL
           SELECT h.account_id FROM ledger_hold h WHERE h.id = ANY (%s::uuid[])))
     ORDER BY a.id
       FOR NO KEY UPDATE OF a
"""  # noqa: S608 - a constant of the ledger


def lock_accounts(
    *, keys: Collection[AccountKey], holds: Collection[UUID]
) -> dict[AccountKey, AccountState]:
    """Lock the named accounts and those of the named holds; of a striped one this session's stripe.

    Accounts that were never opened are missing from the answer. Must run in a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("accounts are locked inside a transaction")
    columns: list[list[Any]] = [list(column) for column in zip(*keys, strict=True)] or [[]] * 4
    rows = prepared(_LOCK, [*columns, list(holds)])
    return {AccountKey(*row[:4]): AccountState(*row[4:]) for row in rows}


def lock_periods() -> None:
    """Have the lock of periods alone: waits for the calls that post, and lets none begin."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("periods are locked inside a transaction")
    prepared("SELECT pg_advisory_xact_lock(%s)", [PERIOD_LOCK])
