"""The SQL of posting: what is known of the ids, and the one statement that writes everything.

Columns go over as arrays, so a statement's text does not depend on the number of rows and is
prepared once a connection. Transfers and entries are written by one statement, because the guard
triggers look at both at its end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from ledger.operations import AccountKey, Leg, PeriodTerms, PostTransfer
from ledger.posting import AccountState, HoldState, Posting

_KNOWN_TRANSFERS = """
    SELECT t.id, t.code, t.reference, t.effective_at, t.period_id, r.reverses_id, e.hold_id,
           a.owner, a.code, a.region, a.asset, e.amount
      FROM ledger_transfer t
      JOIN ledger_entry e ON e.transfer_id = t.id
      JOIN ledger_account a ON a.id = e.account_id
      LEFT JOIN ledger_reversal r ON r.transfer_id = t.id
     WHERE t.id = ANY (%s::uuid[])
     ORDER BY e.transfer_id, e.position
"""

_KNOWN_HOLDS = """
    SELECT a.owner, a.code, a.region, a.asset,
           h.id, h.account_id, h.amount, h.code, h.reference, h.created_at, h.expires_at,
           h.posted, h.released, h.resolution, h.resolved_at
      FROM ledger_hold h
      JOIN ledger_account a ON a.id = h.account_id
     WHERE h.id = ANY (%s::uuid[])
"""

_REVERSED = "SELECT r.reverses_id FROM ledger_reversal r WHERE r.reverses_id = ANY (%s::uuid[])"

_PERIODS = """
    SELECT p.id, p.state, p.closing_codes FROM ledger_period p
     WHERE p.state <> 'closed' OR p.id = ANY (%s::int[])
"""

_NEW_TRANSFERS = """
    INSERT INTO ledger_transfer
           (id, code, reference, effective_at, recorded_at, period_id, entry_count)
    SELECT id, code, reference, effective_at, %s::timestamptz, period_id, entry_count
      FROM unnest(%s::uuid[], %s::text[], %s::uuid[], %s::timestamptz[], %s::int4[], %s::int2[])
           AS t (id, code, reference, effective_at, period_id, entry_count)
"""

_NEW_ENTRIES = """
    INSERT INTO ledger_entry (transfer_id, position, account_id, amount, balance_after, version,
                              hold_id)
    SELECT * FROM unnest(
           %s::uuid[], %s::int2[], %s::int4[], %s::int8[], %s::int8[], %s::int8[], %s::uuid[])
"""

_NEW_REVERSALS = """
    INSERT INTO ledger_reversal (transfer_id, reverses_id)
    SELECT * FROM unnest(%s::uuid[], %s::uuid[])
"""

_NEW_HOLDS = """
    INSERT INTO ledger_hold (id, account_id, amount, code, reference, created_at, expires_at,
                             posted, released, resolution, resolved_at)
    SELECT * FROM unnest(
           %s::uuid[], %s::int4[], %s::int8[], %s::text[], %s::uuid[], %s::timestamptz[],
           %s::timestamptz[], %s::int8[], %s::int8[], %s::text[], %s::timestamptz[])
"""

_CHANGED_HOLDS = """
    UPDATE ledger_hold h
       SET expires_at = n.expires_at, posted = n.posted, released = n.released,
           resolution = n.resolution, resolved_at = n.resolved_at
      FROM unnest(%s::uuid[], %s::timestamptz[], %s::int8[], %s::int8[], %s::text[],
                  %s::timestamptz[])
           AS n (id, expires_at, posted, released, resolution, resolved_at)
     WHERE h.id = n.id
"""

_CHANGED_ACCOUNTS = """
    UPDATE ledger_account a
       SET balance = n.balance, held = n.held, version = n.version, recorded_at = n.recorded_at
      FROM unnest(%s::int4[], %s::int8[], %s::int8[], %s::int8[], %s::timestamptz[])
           AS n (id, balance, held, version, recorded_at)
     WHERE a.id = n.id
"""


def known_transfers(ids: Collection[UUID]) -> dict[UUID, PostTransfer]:
    """Those of ``ids`` that are posted already, as the caller once asked for them."""
    if not ids:
        return {}
    legs: dict[UUID, list[Leg]] = {}
    holds: dict[UUID, UUID] = {}
    heads: dict[UUID, tuple[str, UUID, datetime, int, UUID | None]] = {}
    for id_, code, reference, effective_at, period, reverses, hold, *key, amount in prepared(
        _KNOWN_TRANSFERS, [list(ids)]
    ):
        heads[id_] = (code, reference, effective_at, period, reverses)
        legs.setdefault(id_, []).append(Leg(AccountKey(*key), amount))
        if hold is not None:
            holds[id_] = hold
    return {
        id_: PostTransfer(
            id_,
            code,
            reference,
            effective_at,
            tuple(legs[id_]),
            hold=holds.get(id_),
            reverses=reverses,
            period=period,
        )
        for id_, (code, reference, effective_at, period, reverses) in heads.items()
    }


def reversed_of(ids: Collection[UUID]) -> set[UUID]:
    """Those of ``ids`` that are reversed already."""
    return {row[0] for row in prepared(_REVERSED, [list(ids)])} if ids else set()


def known_periods(ids: Collection[int]) -> dict[int, PeriodTerms]:
    """What each period takes that is not closed, or is one of ``ids``."""
    return {
        id_: PeriodTerms(state, frozenset(codes))
        for id_, state, codes in prepared(_PERIODS, [list(ids)])
    }


def known_holds(
    ids: Collection[UUID], *, accounts: dict[AccountKey, AccountState]
) -> dict[UUID, HoldState]:
    """Those of ``ids`` that exist and whose account is among the locked ``accounts``.

    A hold that was committed after the accounts were locked may stand on another account; to this
    call it does not exist yet.
    """
    found: dict[UUID, HoldState] = {}
    if not ids:
        return found
    for owner, code, region, asset, id_, account_id, *rest in prepared(_KNOWN_HOLDS, [list(ids)]):
        key = AccountKey(owner, code, region, asset)
        account = accounts.get(key)
        if account is not None and account.id == account_id:
            found[id_] = HoldState(id_, account, key, *rest)
    return found


def write(posting: Posting) -> None:
    """Write what the posting came to, in one statement."""
    parts: list[str] = []
    values: list[Any] = []
    if posting.new_transfers:
        parts += [_NEW_TRANSFERS, _NEW_ENTRIES]
        values += [posting.recorded_at, *_transfer_columns(posting.new_transfers)]
        values += _columns(posting.new_entries)
    if posting.new_holds:
        parts.append(_NEW_HOLDS)
        values += _columns(_hold_row(h) for h in posting.new_holds.values())
    if posting.changed_holds:
        parts.append(_CHANGED_HOLDS)
        values += _columns(
            (h.id, h.expires_at, h.posted, h.released, h.resolution, h.resolved_at)
            for h in posting.changed_holds.values()
        )
    if posting.changed_accounts:
        parts.append(_CHANGED_ACCOUNTS)
        values += _columns(
            (a.id, a.balance, a.held, a.version, a.recorded_at)
            for a in posting.changed_accounts.values()
        )
    if parts:
        steps = ", ".join(f"step_{n} AS ({part})" for n, part in enumerate(parts))
        prepared(f"WITH {steps} SELECT", values)
    # After the transfers: the guard compares them with what they reverse.
    reversals = [(t.id, t.reverses) for t, _ in posting.new_transfers if t.reverses is not None]
    if reversals:
        prepared(f"WITH step AS ({_NEW_REVERSALS}) SELECT", _columns(reversals))


def _transfer_columns(transfers: list[tuple[PostTransfer, int]]) -> list[list[Any]]:
    return _columns(
        (t.id, t.code, t.reference, t.effective_at, period, len(t.legs)) for t, period in transfers
    )


def _hold_row(h: HoldState) -> tuple[Any, ...]:
    head = (h.id, h.account.id, h.amount, h.code, h.reference, h.created_at, h.expires_at)
    return (*head, h.posted, h.released, h.resolution, h.resolved_at)


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def prepared(sql: str, values: list[Any]) -> list[tuple[Any, ...]]:
    """Run a statement that is prepared once a connection; its rows, where it has any.

    Planning is half the time of a small statement, and Django's own cursor cannot ask for this.
    """
    with connection.wrap_database_errors, connection.cursor() as cursor:
        cursor.cursor.execute(sql, values, prepare=True)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
