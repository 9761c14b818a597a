"""Raw SQL against each rule of periods and reversals, as the app's role and as the owner."""

from __future__ import annotations

import pytest
from psycopg import errors

from core.ids import new_id
from tests.integration.ledger import raw
from tests.integration.ledger.raw import refused, reverse, reverse_itself, reverse_with_more, write

database, sql = raw.database, raw.sql  # books of this module's own

# How far the books have come before an attack.
CLOSING = (
    "UPDATE ledger_period SET state = 'closing', closing_at = now(), closing_codes = '{late}'"
    " WHERE state = 'open';"
)
CLOSED = CLOSING + "UPDATE ledger_period SET state = 'closed', closed_at = now();"
KEPT = CLOSED + (
    "UPDATE ledger_period SET kept_at = now(), first_effective_at = now(),"
    " last_effective_at = now(), last_recorded_at = now();"
)
NEW_PERIOD = "INSERT INTO ledger_period (name, opened_at, state, closing_codes, {}) VALUES ({})"
SECOND = NEW_PERIOD.format("first_xid", "'second', now(), 'open', '{}', '0'") + ";"
STANDS = {
    "open": "",
    "closing": CLOSING,
    "two closing": CLOSING + SECOND + CLOSING,
    "closed": CLOSED,
    "kept": KEPT,
}

# What stands, what is set in every period (or another statement), and the rule that refuses it.
PERIODS = [
    ("open", "state = 'closing'", "ledger_period_knows_when_it_moved"),
    ("closing", "state = 'closed'", "ledger_period_knows_when_it_moved"),
    ("open", "kept_at = now()", "ledger_period_is_kept_when_closed"),
    ("closed", "last_recorded_at = now()", "ledger_period_is_kept_when_closed"),
    ("open", "name = 'other'", "ledger_period_keeps_its_name"),
    ("open", "opened_at = now()", "ledger_period_keeps_its_name"),
    ("open", "first_xid = '7'", "ledger_period_keeps_its_name"),
    ("open", "id = id + 1", "ledger_period_keeps_its_name"),
    (
        "open",
        "state = 'closed', closing_at = now(), closed_at = now()",
        "ledger_period_only_moves_on",
    ),
    ("closing", "state = 'open', closing_at = null", "ledger_period_only_moves_on"),
    ("closed", "state = 'closing', closed_at = null", "ledger_period_only_moves_on"),
    ("kept", "state = 'open', closing_at = null, closed_at = null", None),
    ("open", "closing_codes = '{raw}'", "ledger_period_keeps_its_codes"),
    ("closing", "closing_codes = '{late,raw}'", "ledger_period_keeps_its_codes"),
    (
        "closing",
        "state = 'closed', closed_at = now(), closing_codes = '{}'",
        "ledger_period_keeps_its_codes",
    ),
    ("closing", "closing_at = closing_at - interval '1 day'", "ledger_period_keeps_its_times"),
    ("closed", "closed_at = closed_at - interval '1 day'", "ledger_period_keeps_its_times"),
    ("kept", "kept_at = kept_at - interval '1 day'", "ledger_period_keeps_its_times"),
    ("kept", "first_effective_at = null", "ledger_period_keeps_its_times"),
    ("kept", "last_effective_at = null", "ledger_period_keeps_its_times"),
    ("kept", "last_recorded_at = '2000-01-01'", "ledger_period_keeps_its_times"),
    (
        "two closing",
        "state = 'closed', closed_at = now() WHERE name = 'second'",
        "ledger_periods_close_in_order",
    ),
    (
        "open",
        NEW_PERIOD.format("first_xid", "'second', now(), 'open', '{}', '0'"),
        "ledger_one_period_is_open",
    ),
    (
        "closing",
        NEW_PERIOD.format("first_xid", "'first', now(), 'open', '{}', '0'"),
        "ledger_period_name_key",
    ),
    (
        "open",
        NEW_PERIOD.format("closing_at", "'second', now(), 'closing', '{}', now()"),
        "ledger_period_is_opened_empty",
    ),
    (
        "closing",
        NEW_PERIOD.format("first_xid", "'second', now(), 'open', '{raw}', '0'"),
        "ledger_period_is_opened_empty",
    ),
    (
        "closing",
        NEW_PERIOD.format("id", "'second', now(), 'open', '{}', 0"),
        "ledger_period_follows_on_the_last",
    ),
    (
        "closing",
        NEW_PERIOD.format("first_xid", "'second', now(), 'open', '{}', '9223372036854775807'"),
        "ledger_period_follows_on_the_last",
    ),
]


def attack_on_periods(attack: str) -> str:
    """The statement of an attack that may only say what it sets."""
    return attack if attack.startswith("INSERT") else f"UPDATE ledger_period SET {attack}"


@pytest.mark.parametrize(("stands", "attack", "constraint"), PERIODS)
def test_a_period_cannot_be_bent(sql, stands, attack, constraint):
    if STANDS[stands]:
        sql.execute(STANDS[stands])
    with refused(sql, constraint):
        sql.execute(attack_on_periods(attack))


def test_a_period_moves_on_and_a_closed_one_takes_nothing(sql):
    with sql.transaction(force_rollback=True):
        sql.execute(CLOSING)
        with refused(sql, "ledger_period_takes_no_more"):
            write(sql)
    sql.execute(CLOSING.replace("late", "raw"))
    write(sql)
    sql.execute("UPDATE ledger_period SET state = 'closed', closed_at = now()")
    with refused(sql, "ledger_period_takes_no_more"):
        write(sql)


def test_no_period_moves_while_somebody_posts(sql, database):
    write(sql)
    with database.connect() as mover:
        mover.execute("SET lock_timeout = '50ms'")
        with pytest.raises(errors.LockNotAvailable):
            mover.execute(CLOSING)


def test_a_reversal_is_the_exact_opposite_and_the_only_one(sql):
    undone = write(sql)
    for wrong in ({"amounts": [9, -9]}, {"amounts": [-10, 10]}):
        with refused(sql, "ledger_reversal_is_the_exact_opposite"):
            reverse(sql, undone, **wrong)
    with refused(sql, "ledger_reversal_is_the_exact_opposite"):
        reverse(sql, new_id())
    with refused(sql, "ledger_reversal_is_the_exact_opposite"):
        reverse_with_more(sql)
    with refused(sql, "ledger_reversal_is_of_another_transfer"):
        reverse_itself(sql)
    reverse(sql, undone)
    with refused(sql, "ledger_reversal_reverses_id_key"):
        reverse(sql, undone)
