"""Raw SQL against each rule of the books, as the application's role and as the owner of the tables.

The service is not asked here: the database by itself must refuse.
"""

from __future__ import annotations

from contextlib import contextmanager

import psycopg
import pytest
from psycopg import errors

from core.ids import new_id
from tests.databases import clone
from tests.unit.ledger.books import AVAILABLE, BANK, FAR_PAYABLE, NOW, PAYABLE, SPECS, VOUCHER

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
    UPDATE ledger_account a SET balance = n.balance, version = n.version
      FROM unnest(%(accounts)s::int8[], %(balances)s::int8[], %(new_versions)s::int8[])
           AS n (id, balance, version)
     WHERE a.id = n.id
"""


def write(session, debit=AVAILABLE, credit=PAYABLE, **changes):
    """A sound transfer of 10 by raw SQL, but for the ``changes``; returns its id."""
    ids = [account(session, key) for key in (debit, credit)]
    rows = [
        session.execute("SELECT balance, version FROM ledger_account WHERE id = %s", [i]).fetchone()
        for i in ids
    ]
    amounts = changes.get("amounts", [10, -10])
    after = [row[0] + amount for row, amount in zip(rows, amounts, strict=False)]
    versions = [row[1] + 1 for row in rows]
    values = {
        "id": new_id(),
        "now": NOW,
        "xid": None,
        "period": 1,
        "hold": None,
        "entry_count": 2,
        "accounts": ids,
        "amounts": amounts,
        "after": after,
        "versions": versions,
        "positions": [1, 2],
        "balances": after,
        "new_versions": versions,
    } | changes
    session.execute(WRITE, values)
    return values["id"]


def test_the_raw_write_is_sound_by_itself(sql):
    write(sql)


# What a raw write is changed by, and the rule that refuses it.
TRANSFERS = [
    ({"amounts": [10, -9]}, "ledger_transfer_balances_by_asset_and_region"),
    ({"credit": FAR_PAYABLE}, "ledger_transfer_balances_by_asset_and_region"),
    ({"credit": VOUCHER}, "ledger_transfer_balances_by_asset_and_region"),
    ({"amounts": [0, 0]}, "ledger_entry_is_not_zero"),
    ({"entry_count": 3}, "ledger_transfer_has_its_declared_entries"),
    ({"entry_count": 1}, "ledger_transfer_has_two_entries_or_more"),
    ({"positions": [1, 3]}, "ledger_transfer_has_its_declared_entries"),
    ({"positions": [0, 1]}, "ledger_transfer_has_its_declared_entries"),
    ({"positions": [1, 1]}, "ledger_transfer_has_its_declared_entries"),
    ({"positions": [2, 2]}, "ledger_transfer_has_its_declared_entries"),
    # A shift by 65 is a shift by 1.
    ({"positions": [1, 66]}, "ledger_transfer_has_its_declared_entries"),
    ({"after": [0, 0]}, "ledger_balance_after_runs"),
    ({"xid": 3}, "ledger_transfer_carries_its_transaction"),
    ({"period": 99}, "ledger_period_takes_no_more"),
    ({"hold": new_id()}, "ledger_entry_takes_from_a_hold_of_its_account"),
    ({"hold": HOLD}, "ledger_entry_takes_from_a_hold_of_its_account"),  # of one of the two
    ({"balances": [-1000, 0]}, "ledger_balance_is_the_sum_of_entries"),
    ({"versions": [1, 1]}, "ledger_entry_pkey"),
    ({"versions": [7, 7]}, "ledger_balance_after_runs"),
    ({"new_versions": [9, 9]}, "ledger_balance_is_the_sum_of_entries"),
    ({"amounts": [901, -901]}, "ledger_available_never_below_floor"),
]


@pytest.mark.parametrize(("changes", "constraint"), TRANSFERS)
def test_a_transfer_that_breaks_a_rule_is_refused(sql, changes, constraint):
    with refused(sql, constraint):
        write(sql, **changes)


def one_account_twice(session: psycopg.Connection) -> None:
    """Two debits and two credits: ends and sums are right, only the step between is wrong."""
    ids = [account(session, AVAILABLE)] * 2 + [account(session, PAYABLE)] * 2
    write(
        session,
        entry_count=4,
        accounts=ids,
        amounts=[10, 10, -10, -10],
        after=[-991, -980, -10, -20],
        versions=[2, 3, 1, 2],
        positions=[1, 2, 3, 4],
        balances=[-980, -980, -20, -20],
        new_versions=[3, 3, 2, 2],
    )


def test_running_balances_follow_one_another(sql):
    with refused(sql, "ledger_balance_after_runs"):
        one_account_twice(sql)


def test_no_transfer_without_entries(sql):
    with refused(sql, "ledger_transfer_has_its_declared_entries"):
        sql.execute(
            "INSERT INTO ledger_transfer (id, code, reference, effective_at, recorded_at,"
            " entry_count, period_id)"
            " VALUES (gen_random_uuid(), 'raw', gen_random_uuid(), now(), now(), 2, 1)"
        )


def test_no_entry_is_added_later(sql):
    move = write(sql, BANK, AVAILABLE)
    for position in (1, 3):  # a position that is taken, and the next one
        with refused(sql):
            sql.execute(
                "INSERT INTO ledger_entry (transfer_id, account_id, amount, balance_after,"
                " version, position) VALUES (%s, %s, 1, 6, 9, %s)",
                [move, account(sql, BANK), position],
            )
    # Nor a pair that balances by itself and moves its accounts along.
    with refused(sql, "ledger_transfer_has_its_declared_entries"):
        sql.execute(
            """
            WITH e AS (INSERT INTO ledger_entry
                             (transfer_id, account_id, amount, balance_after, version, position)
                       SELECT %(id)s, a.id, n.amount, a.balance + n.amount, a.version + 1,
                              n.position
                         FROM (VALUES (%(one)s::int8, 5, 3::int2), (%(two)s::int8, -5, 4::int2))
                              AS n (id, amount, position) JOIN ledger_account a USING (id))
            UPDATE ledger_account a SET balance = balance + n.amount, version = version + 1
              FROM (VALUES (%(one)s::int8, 5), (%(two)s::int8, -5)) AS n (id, amount)
             WHERE a.id = n.id
            """,
            {"id": move, "one": account(sql, BANK), "two": account(sql, PAYABLE)},
        )


def test_no_entry_of_a_transfer_or_account_that_is_not_there(sql):
    with refused(sql, "ledger_transfer_has_its_declared_entries"):
        sql.execute(
            "INSERT INTO ledger_entry (transfer_id, account_id, amount, balance_after, version,"
            " position) VALUES (gen_random_uuid(), %s, 1, 1, 7, 1)",
            [account(sql, PAYABLE)],
        )
    with refused(sql, "ledger_transfer_balances_by_asset_and_region"):
        write(sql, accounts=[-1, -2])


APPEND_ONLY = {
    "ledger_transfer": "code",
    "ledger_entry": "amount",
    "ledger_seal": "number",
    "ledger_reversal": "reverses_id",
    "ledger_periodbalance": "balance",
    "ledger_periodtotal": "debits",
    "ledger_verification": "seal",
}


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("verb", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_what_is_written_stays_written(sql, table, verb):
    column = APPEND_ONLY[table]
    with pytest.raises((errors.RestrictViolation, errors.InsufficientPrivilege)):
        sql.execute(verb.format(table, column, column))


NEVER_REMOVED = ["ledger_account", "ledger_hold", "ledger_period"]


@pytest.mark.parametrize("table", NEVER_REMOVED)
@pytest.mark.parametrize("verb", ["DELETE FROM {}", "TRUNCATE {}", "TRUNCATE {} CASCADE"])
def test_accounts_and_holds_are_never_removed(sql, table, verb):
    # Periods are referred to from elsewhere: then TRUNCATE fails before any trigger is asked.
    refusals = (errors.RestrictViolation, errors.InsufficientPrivilege, errors.FeatureNotSupported)
    with pytest.raises(refusals):
        sql.execute(verb.format(table))


ACCOUNTS = [
    ("balance = balance - 1", "ledger_balance_is_the_sum_of_entries"),
    ("version = version + 1", "ledger_balance_is_the_sum_of_entries"),
    ("version = 0, balance = 0, held = 0", "ledger_balance_is_the_sum_of_entries"),
    ("held = 1001", "ledger_available_never_below_floor"),
    ("held = -1", "ledger_held_never_negative"),
    ("floor = false", "ledger_account_keeps_its_nature"),
    ("normal_side = 1, held = 0, floor = false", "ledger_account_keeps_its_nature"),
    ("region = 'luoyang'", "ledger_account_keeps_its_nature"),
    ("asset = 'gold'", "ledger_account_keeps_its_nature"),
    ("owner = gen_random_uuid()", "ledger_account_keeps_its_nature"),
    ("normal_side = 3, held = 0, floor = false", "ledger_account_keeps_its_nature"),
    ("stripes = 2", "ledger_account_keeps_its_nature"),
]


@pytest.mark.parametrize(("change", "constraint"), ACCOUNTS)
def test_an_account_cannot_be_bent(sql, change, constraint):
    with refused(sql, constraint):
        sql.execute(f"UPDATE ledger_account SET {change} WHERE id = %s", [account(sql, AVAILABLE)])


NEW_ACCOUNT = (
    "INSERT INTO ledger_account (owner, code, region, asset, normal_side, floor, stripes,"
    " stripe, balance, held, version) VALUES ({}, 'bank', 'zhengzhou', 'CNY', {})"
)
ODD_ACCOUNTS = [
    (
        "gen_random_uuid()",
        "1, false, 1, 0, 5, 0, 0",
        "ledger_account_is_opened_empty",
    ),
    ("gen_random_uuid()", "3, false, 1, 0, 0, 0, 0", "ledger_normal_side_is_known"),
    ("gen_random_uuid()", "1, true, 2, 0, 0, 0, 0", "ledger_striped_account_has_no_floor"),
    ("gen_random_uuid()", "1, false, 2, 2, 0, 0, 0", "ledger_striped_account_has_no_floor"),
    ("gen_random_uuid()", "1, false, 65, 0, 0, 0, 0", "ledger_striped_account_has_no_floor"),
    (
        "'00000000-0000-0000-0000-000000000001'",
        "1, false, 1, 0, 0, 0, 0",
        "ledger_account_is_opened_once",
    ),
]


@pytest.mark.parametrize(("owner", "rest", "constraint"), ODD_ACCOUNTS)
def test_an_account_of_another_kind_is_not_opened(sql, owner, rest, constraint):
    with refused(sql, constraint):
        sql.execute(NEW_ACCOUNT.format(owner, rest))


def reverse(session, undone, **changes):
    """A raw transfer that claims to reverse ``undone``."""
    undo = write(session, PAYABLE, AVAILABLE, **changes)
    session.execute(
        "INSERT INTO ledger_reversal (transfer_id, reverses_id) VALUES (%s, %s)", [undo, undone]
    )


def test_a_reversal_is_the_exact_opposite_and_the_only_one(sql):
    undone = write(sql)
    for wrong in ({"amounts": [9, -9]}, {"amounts": [-10, 10]}):
        with refused(sql, "ledger_reversal_is_the_exact_opposite"):
            reverse(sql, undone, **wrong)
    with refused(sql, "ledger_reversal_is_the_exact_opposite"):
        reverse(sql, new_id())
    reverse(sql, undone)
    with refused(sql, "ledger_reversal_reverses_id_key"):
        reverse(sql, undone)


NEW_PERIOD = (
    "INSERT INTO ledger_period (name, opened_at, closing_at, state, closing_codes)"
    " VALUES ('{}', now(), {}, '{}', '{{}}')"
)
PERIODS = [
    (NEW_PERIOD.format("second", "null", "open"), "ledger_one_period_is_open"),
    (NEW_PERIOD.format("first", "now()", "closing"), "ledger_period_name_key"),
    ("UPDATE ledger_period SET state = 'closed'", "ledger_period_knows_when_it_moved"),
    ("UPDATE ledger_period SET kept_at = now()", "ledger_period_is_kept_when_closed"),
]


@pytest.mark.parametrize(("attack", "constraint"), PERIODS)
def test_a_period_cannot_be_bent(sql, attack, constraint):
    with refused(sql, constraint):
        sql.execute(attack)


def test_a_closed_period_takes_nothing(sql):
    sql.execute("UPDATE ledger_period SET state = 'closing', closing_at = now()")
    with refused(sql, "ledger_period_takes_no_more"):
        write(sql)
    sql.execute("UPDATE ledger_period SET closing_codes = '{raw}'")
    write(sql)
    sql.execute("UPDATE ledger_period SET state = 'closed', closed_at = now()")
    with refused(sql, "ledger_period_takes_no_more"):
        write(sql)


HOLDS = [
    ("amount = 200", "ledger_hold_only_shrinks"),
    ("account_id = account_id + 1", "ledger_hold_only_shrinks"),
    ("code = 'other'", "ledger_hold_only_shrinks"),
    ("posted = 101", "ledger_hold_never_overdrawn"),
    ("posted = -1", "ledger_hold_never_overdrawn"),
    ("released = 100", "ledger_hold_resolves_when_nothing_rests"),
    ("resolved_at = now()", "ledger_hold_resolves_when_nothing_rests"),
    ("resolution = 'posted'", "ledger_hold_resolves_when_nothing_rests"),
]


@pytest.mark.parametrize(("change", "constraint"), HOLDS)
def test_a_hold_cannot_be_bent(sql, change, constraint):
    with refused(sql, constraint):
        sql.execute(f"UPDATE ledger_hold SET {change}")


def test_a_hold_never_grows_back(sql):
    sql.execute(
        "UPDATE ledger_hold SET released = 100, resolved_at = now(), resolution = 'released'"
    )
    for change in (
        "released = 0, resolved_at = null, resolution = null",
        "released = 50, posted = 50",
        "resolution = 'expired'",
    ):
        with refused(sql, "ledger_hold_only_shrinks"):
            sql.execute(f"UPDATE ledger_hold SET {change}")


def test_a_hold_stands_on_an_account(sql):
    with refused(sql, "ledger_hold_stands_on_an_account"):
        sql.execute(
            "INSERT INTO ledger_hold (id, account_id, amount, code, reference, created_at, posted,"
            " released) VALUES (gen_random_uuid(), -1, 5, 'raw', gen_random_uuid(), now(), 0, 0)"
        )


def test_the_app_role_owns_nothing_and_disables_nothing(database):
    with database.connect(autocommit=True) as session:
        for attack in (
            "ALTER TABLE ledger_entry DISABLE TRIGGER ALL",
            "DROP TRIGGER ledger_entry_is_append_only ON ledger_entry",
            "ALTER TABLE ledger_account DROP CONSTRAINT ledger_available_never_below_floor",
            "SET session_replication_role = replica",
            "DROP TABLE ledger_entry",
            """CREATE OR REPLACE FUNCTION ledger_entry_guard_insert() RETURNS trigger
               LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'""",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                session.execute(attack)
