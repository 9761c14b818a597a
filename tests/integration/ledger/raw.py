"""Books to attack by raw SQL: what ``services.post`` would write, with every column open to abuse.

A module of tests takes the fixtures by name: ``database, sql = raw.database, raw.sql``.
"""

from __future__ import annotations

from contextlib import contextmanager
from uuid import UUID

import psycopg
import pytest
from psycopg import errors

from core.ids import new_id
from tests.databases import clone
from tests.unit.ledger.books import AVAILABLE, BANK, CLEARING, NOW, PAYABLE, SPECS

HOLD = new_id()


@pytest.fixture(scope="module")
def database():
    """Books with 1,000 available, of which 100 are held."""
    database = clone("guards")
    with database.connect() as session:
        for spec in SPECS:
            side = {"debit": 1, "credit": -1}[spec.normal_side]
            session.execute(
                "INSERT INTO ledger_account (owner, code, region, asset, normal_side, floor,"
                " stripes, stripe, balance, held, version)"
                " VALUES (%s, %s, %s, %s, %s, %s, 1, 0, 0, 0, 0)",
                [*spec.key, side, spec.floor],
            )
        write(session, BANK, AVAILABLE, amounts=[1000, -1000])
        session.execute(
            "INSERT INTO ledger_hold (id, account_id, amount, code, reference, created_at, posted,"
            " released) VALUES (%s, %s, 100, 'raw', %s, %s, 0, 0)",
            [HOLD, account(session, AVAILABLE), HOLD, NOW],
        )
        session.execute(
            "UPDATE ledger_account SET held = 100 WHERE id = %s", [account(session, AVAILABLE)]
        )
    yield database
    database.drop()


@pytest.fixture(params=["app", "owner"])
def sql(request, database):
    """A session of either role; nothing of it stays."""
    with database.connect(owner=request.param == "owner") as session:
        yield session
        session.rollback()


@contextmanager
def refused(session, constraint=None):
    """What is done inside must be refused, by the named rule."""
    with pytest.raises(errors.IntegrityError) as refusal, session.transaction():
        yield
    if constraint:
        assert refusal.value.diag.constraint_name == constraint


def account(session: psycopg.Connection, key) -> int:
    row = session.execute(
        "SELECT id FROM ledger_account WHERE (owner, code, region, asset) = (%s, %s, %s, %s)",
        list(key),
    ).fetchone()
    return row[0]


# What `services.post` writes, with every column open to abuse.
WRITE = """
    WITH t AS (INSERT INTO ledger_transfer
                      (id, code, reference, effective_at, recorded_at, entry_count, period_id, xid)
               VALUES (%(id)s, 'raw', %(id)s, %(now)s, %(now)s, %(entry_count)s, %(period)s,
                       COALESCE(%(xid)s::text::xid8, pg_current_xact_id()))),
         e AS (INSERT INTO ledger_entry
                      (transfer_id, hold_id, account_id, amount, balance_after, version, position)
               SELECT %(id)s, %(hold)s, * FROM unnest(%(accounts)s::int4[], %(amounts)s::int8[],
                      %(after)s::int8[], %(versions)s::int8[], %(positions)s::int2[]))
    UPDATE ledger_account a
       SET balance = n.balance, version = n.version, recorded_at = %(recorded)s
      FROM unnest(%(accounts)s::int8[], %(balances)s::int8[], %(new_versions)s::int8[])
           AS n (id, balance, version)
     WHERE a.id = n.id
"""


def write(session, debit=AVAILABLE, credit=PAYABLE, *, amounts=(10, -10), **changes):
    """A sound transfer of 10 by raw SQL, but for the ``changes``; returns its id."""
    return write_legs(session, *zip((debit, credit), amounts, strict=True), **changes)


def write_legs(session: psycopg.Connection, *legs, **changes) -> UUID:
    """A transfer of any legs (account, amount) by raw SQL, sound but for the ``changes``."""
    stands: dict[int, tuple[int, int]] = {}
    entries = []
    for key, amount in legs:
        id_ = account(session, key)
        balance, version = (
            stands.get(id_)
            or session.execute(
                "SELECT balance, version FROM ledger_account WHERE id = %s", [id_]
            ).fetchone()
        )
        stands[id_] = balance + amount, version + 1
        entries.append((id_, amount, *stands[id_]))
    ids, amounts, after, versions = (list(column) for column in zip(*entries, strict=True))
    values = {
        "id": new_id(),
        "now": NOW,
        "recorded": NOW,
        "xid": None,
        "period": 1,
        "hold": None,
        "entry_count": len(legs),
        "accounts": ids,
        "amounts": amounts,
        "after": after,
        "versions": versions,
        "positions": list(range(1, len(legs) + 1)),
        "balances": [stands[id_][0] for id_ in ids],
        "new_versions": [stands[id_][1] for id_ in ids],
    } | changes
    session.execute(WRITE, values)
    return values["id"]


def one_account_twice(session: psycopg.Connection) -> None:
    """Two debits and two credits: ends and sums are right, only the step between is wrong."""
    legs = (AVAILABLE, 10), (AVAILABLE, 10), (PAYABLE, -10), (PAYABLE, -10)
    write_legs(session, *legs, after=[-991, -980, -10, -20])


def second_set(session: psycopg.Connection) -> None:
    """Two more entries for a transfer that has its own; they balance and move their accounts."""
    session.execute(
        """
        WITH e AS (INSERT INTO ledger_entry
                         (transfer_id, account_id, amount, balance_after, version, position)
                   SELECT %(id)s, a.id, n.amount, a.balance + n.amount, a.version + 1, n.position
                     FROM (VALUES (%(one)s::int4, 5, 3::int2), (%(two)s::int4, -5, 4::int2))
                          AS n (id, amount, position) JOIN ledger_account a USING (id))
        UPDATE ledger_account a SET balance = balance + n.amount, version = version + 1
          FROM (VALUES (%(one)s::int4, 5), (%(two)s::int4, -5)) AS n (id, amount)
         WHERE a.id = n.id
        """,
        {
            "id": write(session, BANK, AVAILABLE),
            "one": account(session, BANK),
            "two": account(session, PAYABLE),
        },
    )


def reverse(session, undone, *more, **changes):
    """A raw transfer that claims to reverse ``undone``: its opposite, with ``more`` legs."""
    amounts = changes.pop("amounts", (10, -10))
    legs = zip((PAYABLE, AVAILABLE), amounts, strict=True)
    undo = write_legs(session, *legs, *more, **changes)
    session.execute(REVERSE, [undo, undone])


REVERSE = "INSERT INTO ledger_reversal (transfer_id, reverses_id) VALUES (%s, %s)"


def reverse_with_more(session: psycopg.Connection) -> None:
    """A reversal that moves more to and fro than what it reverses."""
    reverse(session, write(session), (PAYABLE, 7), (PAYABLE, -7))


def reverse_itself(session: psycopg.Connection) -> None:
    """A transfer that goes to and fro is its own opposite, entry by entry."""
    legs = (AVAILABLE, 10), (PAYABLE, -10), (PAYABLE, 10), (AVAILABLE, -10)
    both_ways = write_legs(session, *legs)
    session.execute(REVERSE, [both_ways, both_ways])


def to_the_lowest(session: psycopg.Connection) -> None:
    """Bring an account to the lowest of 64 bits, in one balanced transfer."""
    write_legs(session, (PAYABLE, -(2**63)), (CLEARING, 2**63 - 1), (BANK, 1))
