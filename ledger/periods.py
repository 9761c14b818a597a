"""Periods of the books: open → closing → closed, and the balances kept of a closed one.

A transfer is booked into the open period whatever its own time is: a late event keeps its time
(``effective_at``) and comes into the period that is open when it comes. A closing period takes only
the codes that closing needs, a closed one nothing. Whoever moves a period has the lock of periods
alone, so that no call that posts is half in one and half in the next.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from ledger.errors import PeriodMoveRefused
from ledger.locks import lock_periods
from ledger.models import Period, PeriodState

# What closing may still post where the caller names no codes: nothing.
_NO_CODES: tuple[str, ...] = ()

_KEEP_BALANCES = """
    INSERT INTO ledger_periodbalance
           (account_id, period_id, balance, turnover, version_first, version_last, version_next)
    SELECT moved.account_id, %(period)s, COALESCE(before.balance, 0) + moved.turnover,
           moved.turnover, moved.version_first, moved.version_last,
           COALESCE(later.version, moved.version_last + 1)
      FROM (SELECT e.account_id, sum(e.amount) AS turnover,
                   min(e.version) AS version_first, max(e.version) AS version_last
              FROM ledger_transfer t JOIN ledger_entry e ON e.transfer_id = t.id
             WHERE t.period_id = %(period)s
               AND t.xid >= (SELECT p.first_xid FROM ledger_period p WHERE p.id = %(period)s)
             GROUP BY e.account_id) moved
      LEFT JOIN LATERAL (
           SELECT b.balance, b.version_next FROM ledger_periodbalance b
            WHERE b.account_id = moved.account_id AND b.period_id < %(period)s
            ORDER BY b.period_id DESC LIMIT 1) before ON true
      CROSS JOIN LATERAL (
           SELECT min(e.version) AS version
             FROM ledger_entry e JOIN ledger_transfer t ON t.id = e.transfer_id
            WHERE e.account_id = moved.account_id AND t.period_id > %(period)s
              AND e.version BETWEEN COALESCE(before.version_next, 1) AND moved.version_last) later
"""

# The balance of an account that did not move stands with an earlier period.
_KEEP_TOTALS = """
    INSERT INTO ledger_periodtotal (period_id, region, asset, code, debits, credits)
    SELECT %(period)s, a.region, a.asset, a.code,
           COALESCE(sum(b.balance) FILTER (WHERE b.balance > 0), 0),
           COALESCE(-sum(b.balance) FILTER (WHERE b.balance < 0), 0)
      FROM ledger_account a
      CROSS JOIN LATERAL (
           SELECT b.balance FROM ledger_periodbalance b
            WHERE b.account_id = a.id AND b.period_id <= %(period)s
            ORDER BY b.period_id DESC LIMIT 1) b
     GROUP BY a.region, a.asset, a.code
"""

_KEEP_SPAN = """
    UPDATE ledger_period p
       SET kept_at = %(now)s, first_effective_at = s.first_effective,
           last_effective_at = GREATEST(s.last_effective, before.last_effective_at),
           last_recorded_at = GREATEST(s.last_recorded, before.last_recorded_at)
      FROM (SELECT min(t.effective_at) AS first_effective, max(t.effective_at) AS last_effective,
                   max(t.recorded_at) AS last_recorded
              FROM ledger_transfer t
             WHERE t.period_id = %(period)s
               AND t.xid >= (SELECT p.first_xid FROM ledger_period p WHERE p.id = %(period)s)) s
      LEFT JOIN LATERAL (
           SELECT b.last_effective_at, b.last_recorded_at FROM ledger_period b
            WHERE b.id < %(period)s ORDER BY b.id DESC LIMIT 1) before ON true
     WHERE p.id = %(period)s
"""


def open_period() -> Period:
    """The open period."""
    return Period.objects.get(state=PeriodState.OPEN)


def closing_periods(*, up_to: int) -> list[int]:
    """The ids of the periods up to and including one that are closing, in their order."""
    return list(
        Period.objects.filter(state=PeriodState.CLOSING, id__lte=up_to)
        .order_by("id")
        .values_list("id", flat=True)
    )


def hold_still() -> None:
    """Let nobody else post or move a period until the caller's transaction ends.

    For a transaction that posts before it moves a period: it must ask for this before it posts.
    """
    lock_periods()


def open_next_period(
    *, name: str, now: datetime, closing_codes: Collection[str] = _NO_CODES
) -> tuple[Period, Period]:
    """Set the open period to closing and open the next, ``name``; business goes on.

    ``closing_codes`` are what the closing one still takes. Returns (closing, opened), in one
    transaction that waits for the calls that are posting and lets none begin meanwhile.
    """
    with transaction.atomic():
        lock_periods()
        closing = Period.objects.get(state=PeriodState.OPEN)
        closing.state = PeriodState.CLOSING
        closing.closing_at = now
        closing.closing_codes = sorted(closing_codes)
        closing.save(update_fields=["state", "closing_at", "closing_codes"])
        opened = Period.objects.create(name=name, opened_at=now)
    return closing, opened


def close_period(period_id: int, *, now: datetime) -> Period:
    """Close a closing period for good, and keep its balances.

    Periods close in their order: ``PeriodMoveRefused`` where an earlier one is not closed, or this
    one is not closing. Keeping reads what the period holds; nobody waits for that, since nothing
    can come any more.
    """
    with transaction.atomic():
        lock_periods()
        period = Period.objects.filter(id=period_id).first()
        if period is None or period.state != PeriodState.CLOSING:
            raise PeriodMoveRefused(f"period {period_id} is not closing")
        if Period.objects.filter(id__lt=period_id).exclude(state=PeriodState.CLOSED).exists():
            raise PeriodMoveRefused(f"an earlier period than {period_id} is not closed")
        period.state = PeriodState.CLOSED
        period.closed_at = now
        period.save(update_fields=["state", "closed_at"])
    keep_balances(now=now)
    return Period.objects.get(id=period_id)


def keep_balances(*, now: datetime) -> int:
    """Keep the balances of the closed periods of which they are not kept yet; how many periods.

    Repeating it is safe: where a close was cut short between its two steps, the next one does this.
    """
    kept = 0
    while True:
        with transaction.atomic():
            period = (
                Period.objects.select_for_update()
                .filter(state=PeriodState.CLOSED, kept_at=None)
                .order_by("id")
                .first()
            )
            if period is None:
                return kept
            _keep(period.id, now=now)
            kept += 1


def _keep(period_id: int, *, now: datetime) -> None:
    values: dict[str, Any] = {"period": period_id, "now": now}
    with connection.cursor() as cursor:
        cursor.execute(_KEEP_BALANCES, values)
        cursor.execute(_KEEP_TOTALS, values)
        cursor.execute(_KEEP_SPAN, values)
