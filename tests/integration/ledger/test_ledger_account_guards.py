"""Raw SQL against each rule of accounts and holds, as the application's role and as the owner."""

from __future__ import annotations

import pytest

from tests.integration.ledger import raw
from tests.integration.ledger.raw import account, refused, to_the_lowest
from tests.unit.ledger.books import AVAILABLE

database, sql = raw.database, raw.sql  # books of this module's own

ACCOUNTS = [
    ("balance = balance - 1", "ledger_balance_is_the_sum_of_entries"),
    ("version = version + 1", "ledger_balance_is_the_sum_of_entries"),
    ("version = 0, balance = 0, held = 0", "ledger_balance_is_the_sum_of_entries"),
    ("recorded_at = recorded_at - interval '1 day'", "ledger_recorded_at_never_falls"),
    ("recorded_at = null", "ledger_recorded_at_never_falls"),
    ("recorded_at = recorded_at + interval '1 day'", "ledger_recorded_at_never_falls"),
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


def test_an_account_never_stands_where_the_other_side_cannot(sql):
    with refused(sql, "ledger_balance_has_an_opposite"):
        to_the_lowest(sql)


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
