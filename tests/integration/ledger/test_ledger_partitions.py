"""The ledger in partitions: what it does, and what it refuses through the parent and past it."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timedelta
from io import StringIO
from threading import Thread

import psycopg
import pytest
from django.core.management import CommandError, call_command
from psycopg import errors

from core import clock
from core.ids import derived_id, new_id
from ledger import verify
from ledger.models import Entry, Transfer
from ledger.partitions import months_after
from ledger.periods import close_period, open_next_period
from ledger.selectors import balance_at, balances, statement
from ledger.services import post, reversal_of, seal_transfers
from tests.unit.ledger.books import AVAILABLE, NOW, PAYABLE, fund, hold, open_books, transfer

DAY = timedelta(days=1)
TABLES = ("ledger_transfer", "ledger_entry")


def partition(*arguments: str) -> str:
    out = StringIO()
    call_command("ledger_partition", *arguments, stdout=out)
    return out.getvalue()


def a_month_on(months: int) -> datetime:
    """The middle of a month to come."""
    return months_after(clock.now(), months)[-1] + 14 * DAY


def moved(amount: int, *, months: int, **options):
    """A transfer with an id of a later month."""
    id_ = derived_id(a_month_on(months), amount)
    return transfer(AVAILABLE, PAYABLE, amount, transfer_id=id_, **options)


def ok(*operations, now: datetime = NOW) -> None:
    assert [r.code for r in post([operations], now=now)] == ["ok"]


@pytest.fixture
def books(fresh_database):
    """1,000 before the first cut, 10 and 20 in the next two months, and an empty last one."""
    open_books()
    fund(AVAILABLE, 1000)
    partition("--months", "3")
    ok(moved(10, months=1))
    ok(moved(20, months=2))
    return fresh_database


def partitions(session: psycopg.Connection, table: str) -> list[str]:
    rows = session.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = %s::regclass ORDER BY c.relname = %s DESC, c.relname",
        [table, f"{table}_first"],
    )
    return [row[0] for row in rows]


def test_the_books_go_on_in_partitions(books, owner_connection) -> None:
    set_aside = hold(AVAILABLE, 100)
    ok(set_aside)
    paid = moved(40, months=3, hold=set_aside.id)
    ok(paid)
    ok(reversal_of(paid, transfer_id=new_id(), code="test.undo", effective_at=NOW))
    assert [r.code for r in post([(paid,)], now=NOW)] == ["exists"]
    closing, _ = open_next_period(name="second", now=NOW + DAY)
    close_period(closing.id, now=NOW + DAY)
    ok(moved(5, months=1), now=NOW + 2 * DAY)

    counts = [
        owner_connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        for name in partitions(owner_connection, "ledger_transfer")
    ]
    assert counts == [2, 2, 1, 1]
    assert balances([AVAILABLE])[AVAILABLE].balance == 965
    assert balance_at(AVAILABLE, NOW + DAY, by="recorded") == 970
    assert [line.number for line in statement(AVAILABLE)] == [1, 2, 3, 4, 5, 6]
    seal_transfers(now=NOW)
    assert [finding for finding in verify.checks() if not finding.ok] == []


def test_each_partition_has_what_the_table_had(books, owner_connection) -> None:
    for table in TABLES:
        first, *later = partitions(owner_connection, table)
        assert len(later) == 3
        looks = [_looks(owner_connection, name) for name in (first, *later)]
        assert all(look == looks[0] for look in looks)
        assert {"is_append_only", "guard_insert"} <= set(looks[0]["triggers"])
        assert any("fillfactor" in options for _, options in looks[0]["indexes"])


def _looks(session: psycopg.Connection, name: str) -> dict[str, list]:
    table = next(t for t in TABLES if name.startswith(t))

    def rows(sql: str) -> list:
        return session.execute(sql, [name]).fetchall()

    return {
        "columns": rows(
            "SELECT attname, atttypid, attnum, attnotnull FROM pg_attribute"
            " WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum"
        ),
        "triggers": [
            row[0].removeprefix(f"{table}_")
            for row in rows(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass ORDER BY tgname"
            )
        ],
        "indexes": rows(
            "SELECT substring(pg_get_indexdef(i.indexrelid) FROM 'USING.*'), c.reloptions::text"
            "  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE i.indrelid = %s::regclass ORDER BY 1"
        ),
        "checks": rows(
            "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'"
            " ORDER BY 1"
        ),
        "rights": rows(
            "SELECT grantee FROM information_schema.role_table_grants"
            " WHERE table_name = %s AND grantee <> 'exchange_owner'"
        ),
    }


def test_the_app_role_reaches_no_partition(books, app_connection) -> None:
    call_command("grant_app_role", stdout=StringIO())
    for name in (n for table in TABLES for n in partitions(app_connection, table)):
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"):
            held = "SELECT has_table_privilege(%s, %s)"
            assert app_connection.execute(held, [name, right]).fetchone() == (False,), name


@contextmanager
def refused(session, constraint: str | None = None, error=errors.IntegrityError):
    with pytest.raises(error) as refusal, session.transaction():
        yield
    assert constraint is None or refusal.value.diag.constraint_name == constraint


# A transfer from AVAILABLE to PAYABLE into two given relations, whatever its versions.
WRITE = """
    WITH n AS (SELECT a.id, a.balance, n.*
                 FROM (VALUES (%(debit)s::uuid, 'available', %(amount)s::int8,
                               %(debit_version)s::int8, 1::int2),
                              (%(credit)s::uuid, 'payable', - %(other)s::int8,
                               %(credit_version)s::int8, 2::int2))
                      AS n (owner, code, amount, version, position)
                 JOIN ledger_account a USING (owner, code) WHERE a.region = 'zhengzhou'),
         t AS (INSERT INTO {transfers} (id, code, reference, effective_at, recorded_at, entry_count,
                                        period_id)
               VALUES (%(id)s, 'raw', %(id)s, %(now)s, %(now)s, 2, 1)),
         e AS (INSERT INTO {entries} (transfer_id, account_id, amount, balance_after, version,
                                      position)
               SELECT %(id)s, id, amount, balance + amount, version, position FROM n)
    UPDATE ledger_account a SET balance = n.balance + n.amount, version = n.version
      FROM n WHERE a.id = n.id AND %(counted)s
"""


def write(session, *, months: int, partition: str | None = None, **changes):
    """A sound transfer by raw SQL, but for the changes."""
    values = {
        "id": derived_id(a_month_on(months), new_id()),
        "now": NOW,
        "debit": AVAILABLE.owner,
        "credit": PAYABLE.owner,
        "amount": 1,
        "other": 1,
        "debit_version": 4,
        "credit_version": 3,
        "counted": True,
    } | changes
    into = {name: f"{name}_from_{partition}" if partition else name for name in TABLES}
    session.execute(
        WRITE.format(transfers=into["ledger_transfer"], entries=into["ledger_entry"]), values
    )
    return values["id"]


def changes(table: str, name: str) -> list[str]:
    column = {"ledger_transfer": "code", "ledger_entry": "amount"}[table]
    return [f"UPDATE {name} SET {column} = {column}", f"DELETE FROM {name}", f"TRUNCATE {name}"]


def month(number: int) -> str:
    return f"{months_after(clock.now(), number)[-1]:%Y%m%d}"


@pytest.fixture(params=["app", "owner"])
def sql(request, books):
    """A session of either role; nothing of it stays."""
    with books.connect(owner=request.param == "owner") as session:
        yield session
        session.rollback()


def test_raw_sql_through_the_parent_is_refused_as_before(sql) -> None:
    write(sql, months=1)
    sql.rollback()
    with refused(sql, "ledger_transfer_balances_by_asset_and_region"):
        write(sql, months=1, other=2)
    with refused(sql, "ledger_entry_is_counted_by_its_account"):
        write(sql, months=1, counted=False)
    with refused(sql, "ledger_balance_is_the_sum_of_entries"):
        write(sql, months=1, debit_version=5)
    for table in TABLES:
        for change in changes(table, table):
            with refused(sql, error=(errors.RestrictViolation, errors.InsufficientPrivilege)):
                sql.execute(change)


def test_naming_a_partition_is_no_way_past_the_guards(books) -> None:
    here = month(2)
    with books.connect() as app, refused(app, error=errors.InsufficientPrivilege):
        write(app, months=2, partition=here)
    with books.connect(owner=True) as owner:
        write(owner, months=2, partition=here)
        owner.rollback()
        with refused(owner, "ledger_transfer_balances_by_asset_and_region"):
            write(owner, months=2, partition=here, other=2)
        with refused(owner, "ledger_entry_is_counted_by_its_account"):
            write(owner, months=2, partition=here, counted=False)
        with refused(owner, "ledger_balance_is_the_sum_of_entries"):
            write(owner, months=2, partition=here, debit_version=5)
        with refused(owner, error=errors.CheckViolation):
            write(owner, months=1, partition=here)
        for table in TABLES:
            for name in partitions(owner, table):
                for change in changes(table, name):
                    with refused(owner, error=errors.RestrictViolation):
                        owner.execute(change)


def test_no_version_of_an_account_comes_twice(books) -> None:
    """In one partition the key says so, across two the guard, to the owner as well."""
    repeated = {"debit_version": 2, "credit_version": 1, "counted": False}
    for owner in (False, True):
        with books.connect(owner=owner) as session:
            with refused(session):
                write(session, months=1, **repeated)
            with refused(session, "ledger_entry_stands_once"):
                write(session, months=3, **repeated)
    with books.connect(owner=True) as session, refused(session, "ledger_entry_stands_once"):
        write(session, months=3, partition=month(3), **repeated)


def test_two_sessions_do_not_bring_one_version(books) -> None:
    """The second waits for the accounts, finds them where it would leave them, and is refused."""
    found: list[Exception] = []

    def second() -> None:
        with books.connect() as session:
            try:
                write(session, months=2)
            except psycopg.Error as error:
                found.append(error)

    with books.connect() as session, books.connect(owner=True) as watch:
        write(session, months=3)
        waiting = Thread(target=second)
        waiting.start()
        for _ in range(1000):
            row = watch.execute(
                "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                " WHERE NOT l.granted AND a.datname = current_database()"
            ).fetchone()
            if row[0]:
                break
        session.commit()
        waiting.join()
    assert found[0].diag.constraint_name == "ledger_entry_stands_once"
    assert Transfer.objects.filter(code="raw").count() == 1
    assert Entry.objects.filter(account__owner=AVAILABLE.owner).count() == 4


def test_the_command_cuts_further_and_refuses_what_it_cannot(books, owner_connection) -> None:
    assert partition("--months", "3") == "cut so far ahead already\n"
    ok(moved(30, months=3))
    before = partitions(owner_connection, "ledger_entry")
    dry = partition("--months", "4", "--dry-run")
    assert "DETACH PARTITION ledger_entry_from_" in dry
    assert partitions(owner_connection, "ledger_entry") == before
    owner_connection.rollback()

    partition("--months", "5")
    after = partitions(owner_connection, "ledger_entry")
    owner_connection.rollback()
    assert len(after) == 6
    assert after[:4] == before
    ok(moved(7, months=5))
    assert balances([AVAILABLE])[AVAILABLE].balance == 933
    assert [finding for finding in verify.checks() if not finding.ok] == []

    for moment, sentence in (
        ("2026-01-01", "in the future"),
        (f"{a_month_on(2):%Y-%m-%d}", "after the last one"),
        (f"{a_month_on(5) - DAY:%Y-%m-%d}", "already at or after"),
    ):
        with pytest.raises(CommandError, match=sentence):
            partition("--at", moment)
    ok(moved(8, months=6))


def test_who_reads_for_long_is_not_waited_for(books) -> None:
    with books.connect() as reader:
        reader.execute("SELECT 1 FROM ledger_entry LIMIT 1")
        with pytest.raises(CommandError, match="run it again"):
            partition("--months", "4")
    ok(moved(9, months=5))
    partition("--at", f"{a_month_on(7):%Y-%m-%d}")
