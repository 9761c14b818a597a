"""The ledger replayed: everything that must hold over all rows, each with its own finding."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection, transaction

from core.sealing import verify_chain
from core.verify import Finding
from ledger.sealing import SEALED

# Each query answers how many rows it looked at and how many of them are wrong.
_CHECKS: dict[str, tuple[str, str]] = {
    "ledger.transfers": (
        "transfers have their declared entries and balance in each asset and region",
        """
        SELECT count(*), count(*) FILTER (WHERE wrong) FROM (
            SELECT COALESCE(bool_or(places.total <> 0), false)
                   OR COALESCE(sum(places.entries), 0) <> t.entry_count AS wrong
              FROM ledger_transfer t
              LEFT JOIN (SELECT e.transfer_id, a.region, a.asset,
                                sum(e.amount) AS total, count(*) AS entries
                           FROM ledger_entry e JOIN ledger_account a ON a.id = e.account_id
                          GROUP BY e.transfer_id, a.region, a.asset) places
                ON places.transfer_id = t.id
             GROUP BY t.id, t.entry_count) judged
        """,
    ),
    "ledger.entries": (
        "entries have a transfer and an account, versions without a gap, running balances",
        """
        SELECT count(*), count(*) FILTER (WHERE wrong) FROM (
            SELECT a.id IS NULL OR t.id IS NULL
                   OR e.version <> row_number() OVER by_version
                   OR e.balance_after <> sum(e.amount) OVER by_version AS wrong
              FROM ledger_entry e
              LEFT JOIN ledger_account a ON a.id = e.account_id
              LEFT JOIN ledger_transfer t ON t.id = e.transfer_id
            WINDOW by_version AS (PARTITION BY e.account_id ORDER BY e.version)) judged
        """,
    ),
    "ledger.balances": (
        "accounts stand where their entries leave them",
        """
        SELECT count(*), count(*) FILTER (WHERE a.balance <> COALESCE(e.balance, 0)
                                             OR a.version <> COALESCE(e.entries, 0))
          FROM ledger_account a
          LEFT JOIN (SELECT account_id, sum(amount) AS balance, count(*) AS entries
                       FROM ledger_entry GROUP BY account_id) e ON e.account_id = a.id
        """,
    ),
    "ledger.floors": (
        "accounts with a floor have nothing below it",
        """
        SELECT count(*), count(*) FILTER (WHERE balance * normal_side < held)
          FROM ledger_account WHERE floor
        """,
    ),
    "ledger.held": (
        "accounts hold what rests on their open holds",
        """
        SELECT count(*), count(*) FILTER (WHERE a.held <> COALESCE(h.rest, 0))
          FROM ledger_account a
          LEFT JOIN (SELECT account_id, sum(amount - posted - released) AS rest
                       FROM ledger_hold GROUP BY account_id) h ON h.account_id = a.id
        """,
    ),
    "ledger.holds": (
        "holds are posted by what their transfers took",
        """
        SELECT count(*), count(*) FILTER (WHERE h.posted <> COALESCE(t.taken, 0))
          FROM ledger_hold h
          LEFT JOIN (SELECT e.hold_id, sum(-e.amount * a.normal_side) AS taken
                       FROM ledger_entry e JOIN ledger_account a ON a.id = e.account_id
                      WHERE e.hold_id IS NOT NULL GROUP BY e.hold_id) t ON t.hold_id = h.id
        """,
    ),
    "ledger.clearing": (
        "clearing accounts and their mirrors sum to zero",
        """
        SELECT count(*), count(*) FILTER (WHERE total <> 0) FROM (
            SELECT sum(balance) AS total FROM (
                SELECT owner, asset, balance, region, substr(code, 10) AS other
                  FROM ledger_account WHERE code LIKE 'clearing:%') c
             GROUP BY owner, asset, least(region, other), greatest(region, other)) pairs
        """,
    ),
    "ledger.trial_balance": (
        "books of a region and asset sum to zero",
        """
        SELECT count(*), count(*) FILTER (WHERE total <> 0) FROM (
            SELECT sum(balance) AS total FROM ledger_account GROUP BY region, asset) books
        """,
    ),
}


def checks() -> Iterator[Finding]:
    """Replay the ledger from its entries and follow its chain; runs beside the writers.

    All of it sees one snapshot, except inside a transaction of the caller's.
    """
    joined = connection.in_atomic_block
    with transaction.atomic():
        if not joined:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for name, (sentence, sql) in _CHECKS.items():
            with connection.cursor() as cursor:
                cursor.execute(sql)
                looked_at, wrong = cursor.fetchone()
            yield Finding(name, wrong == 0, f"{looked_at} {sentence}; {wrong} do not")
        yield from verify_chain(SEALED)
