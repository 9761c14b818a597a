"""Raw SQL against each rule of periods and reversals, as the app's role and as the owner."""

from __future__ import annotations

import pytest

from core.ids import new_id
from tests.integration.ledger import raw
from tests.integration.ledger.raw import refused, reverse, write

NEW_PERIOD = (
    "INSERT INTO ledger_period (name, opened_at, closing_at, state, closing_codes)"
    " VALUES ('{}', now(), {}, '{}', '{{}}')"
)

database, sql = raw.database, raw.sql  # books of this module's own
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
