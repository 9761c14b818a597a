"""Balances as of a past moment, by index.

By the time of *recording* an account's entries are in order, so the last one of a moment is found
by halving its versions. By the *effective* time, which is the callers' word, they are not: there
the balance kept at the close of a period is the base, and only periods that reach across the moment
are read again, those of which balances are not kept yet among them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.db import connection

from ledger.operations import AccountKey

Clock = Literal["effective", "recorded"]

_ACCOUNTS = """
    SELECT a.id, a.normal_side, a.version FROM ledger_account a
     WHERE (a.owner, a.code, a.region, a.asset) = (%s, %s, %s, %s)
"""

_RECORDED = """
    SELECT t.recorded_at <= %s, e.balance_after
      FROM ledger_entry e JOIN ledger_transfer t ON t.id = e.transfer_id
     WHERE e.account_id = %s AND e.version = %s
"""

# The last period of which everything, and everything before it, was in effect at the moment.
_BASE = """
    SELECT COALESCE(max(p.id), 0) FROM ledger_period p
     WHERE p.kept_at IS NOT NULL AND p.last_{clock}_at <= %(at)s
"""

_EFFECTIVE = """
    SELECT COALESCE((SELECT b.balance FROM ledger_periodbalance b
                      WHERE b.account_id = %(account)s AND b.period_id <= %(base)s
                      ORDER BY b.period_id DESC LIMIT 1), 0)
         + COALESCE((SELECT sum(e.amount)
              FROM ledger_period p
              JOIN ledger_periodbalance b ON b.account_id = %(account)s AND b.period_id = p.id
              JOIN ledger_entry e ON e.account_id = b.account_id
                                 AND e.version BETWEEN b.version_first AND b.version_last
              JOIN ledger_transfer t ON t.id = e.transfer_id
             WHERE p.id > %(base)s AND p.kept_at IS NOT NULL AND p.first_effective_at <= %(at)s
               AND t.period_id = p.id AND t.effective_at <= %(at)s), 0)
         + COALESCE((SELECT sum(e.amount)
              FROM ledger_entry e JOIN ledger_transfer t ON t.id = e.transfer_id
             WHERE e.account_id = %(account)s
               AND e.version >= COALESCE((SELECT b.version_next FROM ledger_periodbalance b
                                           WHERE b.account_id = %(account)s
                                           ORDER BY b.period_id DESC LIMIT 1), 0)
               AND t.effective_at <= %(at)s
               AND (SELECT p.kept_at FROM ledger_period p WHERE p.id = t.period_id) IS NULL), 0)
"""

# Each account from its base, with what was booked into later periods and counts at the moment.
_TRIAL_BALANCE = """
    WITH later AS (
        SELECT e.account_id, sum(e.amount) AS amount
          FROM ledger_transfer t JOIN ledger_entry e ON e.transfer_id = t.id
         WHERE t.period_id > %(base)s AND t.{clock}_at <= %(at)s
           AND t.xid >= COALESCE((SELECT p.first_xid FROM ledger_period p WHERE p.id > %(base)s
                                   ORDER BY p.id LIMIT 1), '0')
         GROUP BY e.account_id),
    stood AS (
        SELECT a.region, a.asset, a.code,
               COALESCE(b.balance, 0) + COALESCE(l.amount, 0) AS balance
          FROM ledger_account a
          LEFT JOIN later l ON l.account_id = a.id
          LEFT JOIN LATERAL (
               SELECT b.balance FROM ledger_periodbalance b
                WHERE b.account_id = a.id AND b.period_id <= %(base)s
                ORDER BY b.period_id DESC LIMIT 1) b ON true
         WHERE b.balance IS NOT NULL OR l.amount IS NOT NULL)
    SELECT region, asset, code, COALESCE(sum(balance) FILTER (WHERE balance > 0), 0),
           COALESCE(-sum(balance) FILTER (WHERE balance < 0), 0)
      FROM stood GROUP BY region, asset, code ORDER BY region, asset, code
"""


def balance_at(key: AccountKey, at: datetime, *, by: Clock = "effective") -> int:
    """The balance of the entries effective (or recorded) up to and including ``at``."""
    _known(by)
    total = 0
    with connection.cursor() as cursor:
        cursor.execute(_ACCOUNTS, list(key))
        for account, side, version in cursor.fetchall():
            if by == "recorded":
                total += side * _recorded_balance(cursor, account, version, at)
            else:
                total += side * _effective_balance(cursor, account, at)
    return total


def trial_balance_rows(at: datetime, *, by: Clock) -> list[tuple[Any, ...]]:
    """(region, asset, code, debits, credits) of the entries up to and including ``at``."""
    _known(by)
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"at": at, "base": _base(cursor, at, by)}
        cursor.execute(_TRIAL_BALANCE.format(clock=by), values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _recorded_balance(cursor: Any, account: int, version: int, at: datetime) -> int:
    """Halve the versions 1 … ``version``: the last of them that was recorded by ``at``."""
    known, balance = 0, 0
    while known < version:
        middle = (known + version + 1) // 2
        cursor.execute(_RECORDED, [at, account, middle])
        is_in, balance_after = cursor.fetchone()
        if is_in:
            known, balance = middle, balance_after
        else:
            version = middle - 1
    return int(balance)


def _effective_balance(cursor: Any, account: int, at: datetime) -> int:
    base = _base(cursor, at, "effective")
    values: dict[str, Any] = {"account": account, "at": at, "base": base}
    cursor.execute(_EFFECTIVE, values)
    return int(cursor.fetchone()[0])


def _base(cursor: Any, at: datetime, by: Clock) -> int:
    cursor.execute(_BASE.format(clock=by), {"at": at})
    return int(cursor.fetchone()[0])


def _known(by: Clock) -> None:
    if by not in ("effective", "recorded"):
        raise ValueError("a moment is 'effective' or 'recorded'")
