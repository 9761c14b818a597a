"""Periods only move on, each after the one before it, and keep what they were opened with.

What a closed period holds is summed up once and for good, and every balance of a past moment rests
on that. So nothing of a period may be said twice: not its name, nor when it moved, nor what its
closing still takes.
"""

from django.db import migrations

from ledger.sql import PERIOD_LOCK, guard_sql

BOTH = "FROM after_it n LEFT JOIN before_it o ON o.id = n.id"

NEW_PERIODS = guard_sql(
    "ledger_period",
    "INSERT",
    rules=[
        (
            "ledger_period_is_opened_empty",
            "period % is not opened as one that takes everything",
            """
        SELECT min(n.id) INTO bad FROM written n WHERE n.state <> 'open' OR n.closing_codes <> '{}';
            """,
        ),
        (
            # Keeping its balances looks at no transaction below first_xid; those that still run
            # may post into it.
            "ledger_period_follows_on_the_last",
            "period % does not come after all others, or leaves out transactions that still run",
            """
        SELECT min(n.id) INTO bad FROM written n
         WHERE n.id < (SELECT max(p.id) FROM ledger_period p)
            OR n.first_xid > pg_snapshot_xmin(pg_current_snapshot());""",
        ),
    ],
    transition="NEW TABLE AS written",
    tuning="",
    kind="bigint",
)

CHANGED_PERIODS = guard_sql(
    "ledger_period",
    "UPDATE",
    # Whoever posts shares this lock, so nobody is in the middle of it when a period moves.
    before=f"""
        IF EXISTS (SELECT 1 {BOTH} WHERE n.state IS DISTINCT FROM o.state) THEN
            PERFORM pg_advisory_xact_lock({PERIOD_LOCK});
        END IF;""",
    rules=[
        (
            "ledger_period_keeps_its_name",
            "period % is known by another name or beginning",
            f"""
        SELECT min(n.id) INTO bad {BOTH}
         WHERE (n.name, n.opened_at, n.first_xid)
               IS DISTINCT FROM (o.name, o.opened_at, o.first_xid);""",
        ),
        (
            "ledger_period_only_moves_on",
            "period % only moves on, from open to closing to closed",
            f"""
        SELECT min(n.id) INTO bad {BOTH}
         WHERE n.state <> o.state AND (o.state, n.state) <> ('open', 'closing')
           AND (o.state, n.state) <> ('closing', 'closed');""",
        ),
        (
            "ledger_period_keeps_its_codes",
            "period % takes the codes that were named when it began to close",
            f"""
        SELECT min(n.id) INTO bad {BOTH}
         WHERE n.closing_codes <> o.closing_codes
           AND (o.state, n.state) <> ('open', 'closing');""",
        ),
        (
            # When each is set for the first time, a CHECK says.
            "ledger_period_keeps_its_times",
            "period % moved once and is kept once",
            f"""
        SELECT min(n.id) INTO bad {BOTH}
         WHERE n.closing_at IS DISTINCT FROM o.closing_at AND o.closing_at IS NOT NULL
            OR n.closed_at IS DISTINCT FROM o.closed_at AND o.closed_at IS NOT NULL
            OR o.kept_at IS NOT NULL AND
               (n.kept_at, n.first_effective_at, n.last_effective_at, n.last_recorded_at)
               IS DISTINCT FROM
               (o.kept_at, o.first_effective_at, o.last_effective_at, o.last_recorded_at);""",
        ),
        (
            "ledger_periods_close_in_order",
            "period % is closed before an earlier one",
            """
        SELECT min(n.id) INTO bad FROM after_it n JOIN ledger_period p ON p.id < n.id
         WHERE n.state = 'closed' AND p.state <> 'closed';""",
        ),
    ],
    transition="OLD TABLE AS before_it NEW TABLE AS after_it",
    tuning="",
    kind="bigint",
)


class Migration(migrations.Migration):
    dependencies = [("ledger", "0004_verification")]

    operations = [migrations.RunSQL(*NEW_PERIODS), migrations.RunSQL(*CHANGED_PERIODS)]
