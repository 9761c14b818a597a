"""Raw SQL against each rule of transfers and entries, as the application's role and as the owner.

The service is not asked here: the database by itself must refuse.
"""

from __future__ import annotations

import pytest
from psycopg import errors

from core.ids import new_id
from tests.integration.ledger import raw
from tests.integration.ledger.raw import (
    HOLD,
    account,
    one_account_twice,
    refused,
    second_set,
    write,
)
from tests.unit.ledger.books import AVAILABLE, BANK, FAR_PAYABLE, HOUR, NOW, PAYABLE, VOUCHER

database, sql = raw.database, raw.sql  # books of this module's own


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
    ({"now": NOW - HOUR, "recorded": NOW - HOUR}, "ledger_recorded_at_never_falls"),
    ({"recorded": None}, "ledger_recorded_at_never_falls"),
    ({"now": NOW - HOUR}, "ledger_transfer_is_recorded_with_its_accounts"),
    ({"recorded": NOW + HOUR}, "ledger_transfer_is_recorded_with_its_accounts"),
]


@pytest.mark.parametrize(("changes", "constraint"), TRANSFERS)
def test_a_transfer_that_breaks_a_rule_is_refused(sql, changes, constraint):
    with refused(sql, constraint):
        write(sql, **changes)


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
    with refused(sql, "ledger_transfer_has_its_declared_entries"):
        second_set(sql)


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
