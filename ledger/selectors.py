"""What the ledger can be asked. Amounts are in the account's normal side unless a name says other.

The ledger does not know who asks: whoever calls judges that an actor may see the account.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F

from ledger.models import Account, Hold
from ledger.operations import AccountKey, Balance, PostTransfer
from ledger.past import Clock, balance_at, trial_balance_rows
from ledger.statements import known_transfers

__all__ = [
    "Clock",
    "HoldView",
    "StatementLine",
    "TrialBalance",
    "balance_at",
    "balances",
    "holds",
    "open_holds",
    "statement",
    "transfers",
    "trial_balance",
]

_KEYS = """unnest(%s::uuid[], %s::text[], %s::text[], %s::text[])
           AS wanted (owner, code, region, asset)"""

_BALANCES = f"""
    SELECT a.owner, a.code, a.region, a.asset, sum(a.balance * a.normal_side), sum(a.held)
      FROM {_KEYS} JOIN ledger_account a USING (owner, code, region, asset)
     GROUP BY a.owner, a.code, a.region, a.asset
"""  # noqa: S608 - constants of this file

_STATEMENT = """
    SELECT e.version, t.id, t.code, t.reference, t.effective_at, t.recorded_at,
           e.amount * a.normal_side, e.balance_after * a.normal_side
      FROM ledger_account a
      JOIN ledger_entry e ON e.account_id = a.id
      JOIN ledger_transfer t ON t.id = e.transfer_id
     WHERE (a.owner, a.code, a.region, a.asset) = (%s, %s, %s, %s)
       AND a.stripe = 0 AND e.version > %s
     ORDER BY e.version LIMIT %s
"""

# The stripes of an account each count by themselves; together they run in the order of recording.
_STRIPED_STATEMENT = """
    SELECT * FROM (
           SELECT row_number() OVER in_order, t.id, t.code, t.reference, t.effective_at,
                  t.recorded_at, e.amount * a.normal_side,
                  sum(e.amount * a.normal_side) OVER in_order
             FROM ledger_account a
             JOIN ledger_entry e ON e.account_id = a.id
             JOIN ledger_transfer t ON t.id = e.transfer_id
            WHERE (a.owner, a.code, a.region, a.asset) = (%s, %s, %s, %s)
           WINDOW in_order AS (ORDER BY t.recorded_at, t.id, e.position)) line
     WHERE line.row_number > %s
     ORDER BY line.row_number LIMIT %s
"""

_TRIAL_BALANCE_NOW = """
    SELECT a.region, a.asset, a.code,
           COALESCE(sum(a.balance) FILTER (WHERE a.balance > 0), 0),
           COALESCE(-sum(a.balance) FILTER (WHERE a.balance < 0), 0)
      FROM ledger_account a
     GROUP BY a.region, a.asset, a.code ORDER BY a.region, a.asset, a.code
"""

_TRIAL_BALANCE_KEPT = """
    SELECT region, asset, code, debits, credits FROM ledger_periodtotal
     WHERE period_id = %s ORDER BY region, asset, code
"""


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One entry of an account. ``number`` counts from 1 and is the cursor of the next page."""

    number: int
    transfer: UUID
    code: str
    reference: UUID
    effective_at: datetime
    recorded_at: datetime
    amount: int
    balance_after: int


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """One region's books in one asset; they balance where ``debits == credits``.

    ``by_code``: debits less credits of all accounts of a code.
    """

    region: str
    asset: str
    debits: int
    credits: int
    by_code: dict[str, int]


@dataclass(frozen=True, slots=True)
class HoldView:
    """A hold as it stands; what ``rest``s may still be posted or released."""

    id: UUID
    account: AccountKey
    amount: int
    posted: int
    released: int
    rest: int
    code: str
    reference: UUID
    created_at: datetime
    expires_at: datetime | None
    resolution: str | None
    resolved_at: datetime | None


def balances(keys: Iterable[AccountKey]) -> dict[AccountKey, Balance]:
    """Balance, held and available of each account now; one that was never opened stands at zero."""
    wanted = dict.fromkeys(keys, Balance(0, 0))
    if wanted:
        columns = [list(column) for column in zip(*wanted, strict=True)]
        for *key, balance, held in _rows(_BALANCES, columns):
            wanted[AccountKey(*key)] = Balance(int(balance), int(held))
    return wanted


def statement(key: AccountKey, *, after: int = 0, limit: int = 100) -> list[StatementLine]:
    """The account's entries in the order of booking, from the one after number ``after``.

    Of a striped account the order is that of recording, and the numbers hold for this reading.
    """
    striped = Account.objects.filter(
        owner=key.owner, code=key.code, region=key.region, asset=key.asset, stripes__gt=1
    ).exists()
    sql = _STRIPED_STATEMENT if striped else _STATEMENT
    return [
        StatementLine(*[*line[:-1], int(line[-1])])  # of several stripes a sum, and numeric
        for line in _rows(sql, [*key, after, limit])
    ]


def trial_balance(
    as_of: datetime | None = None, *, by: Clock = "effective", period: int | None = None
) -> list[TrialBalance]:
    """The books of each region and asset: now, of the entries up to and including ``as_of``, or at
    the end of a closed ``period`` (from the balances kept at its close)."""
    if period is not None:
        rows = _rows(_TRIAL_BALANCE_KEPT, [period])
    elif as_of is not None:
        rows = trial_balance_rows(as_of, by=by)
    else:
        rows = _rows(_TRIAL_BALANCE_NOW, [])
    books: dict[tuple[str, str], dict[str, tuple[int, int]]] = {}
    for region, asset, code, debits, credits_ in rows:
        books.setdefault((region, asset), {})[code] = (int(debits), int(credits_))
    return [
        TrialBalance(
            region,
            asset,
            debits=sum(debits for debits, _ in codes.values()),
            credits=sum(credits_ for _, credits_ in codes.values()),
            by_code={code: debits - credits_ for code, (debits, credits_) in codes.items()},
        )
        for (region, asset), codes in books.items()
    ]


def transfers(ids: Collection[UUID]) -> dict[UUID, PostTransfer]:
    """Those of ``ids`` that are posted, as they were asked for."""
    return known_transfers(ids)


def holds(ids: Collection[UUID]) -> dict[UUID, HoldView]:
    """Those of ``ids`` that exist."""
    return {hold.id: hold for hold in _hold_views(id__in=list(ids))}


def open_holds(key: AccountKey) -> list[HoldView]:
    """The account's holds on which something rests, the oldest first."""
    return list(
        _hold_views(
            resolved_at=None,
            account__owner=key.owner,
            account__code=key.code,
            account__region=key.region,
            account__asset=key.asset,
        )
    )


def _hold_views(**conditions: Any) -> Iterator[HoldView]:
    rows = (
        Hold.objects.filter(**conditions)
        .order_by("created_at", "id")
        .annotate(rest=F("amount") - F("posted") - F("released"))
        .select_related("account")
    )
    for hold in rows:
        account = hold.account
        yield HoldView(
            id=hold.id,
            account=AccountKey(account.owner, account.code, account.region, account.asset),
            amount=hold.amount,
            posted=hold.posted,
            released=hold.released,
            rest=hold.rest,
            code=hold.code,
            reference=hold.reference,
            created_at=hold.created_at,
            expires_at=hold.expires_at,
            resolution=hold.resolution,
            resolved_at=hold.resolved_at,
        )


def _rows(sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
