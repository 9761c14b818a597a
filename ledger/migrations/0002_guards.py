"""What CHECK constraints cannot say, said by triggers over whole statements.

Each function sees all rows of a statement at once (transition tables) when everything that the
statement wrote is in place. Together they hold, for the owner's role too:

- a transfer comes with its entries, in one statement, and never gets another;
- its entries sum to zero in each asset and region;
- an account's balance and version are those of its entries, and the entries' running balances
  and versions follow one another without a gap;
- an account is never renamed or given another nature, a hold only shrinks, nothing is removed.
"""

from django.db import migrations

from core.sql import refuse_change_sql

# The rows to look at are those of the statement; the tables are large and grow while a session
# keeps its plan, which may have been made for a single row. So look-ups into tables are pinned to
# their indexes (BY_INDEX), and the two sides of an update are hashed (BY_HASH). No LIMIT: it would
# talk the planner into a plan that is quick only where something is wrong.
BY_INDEX = """SET enable_seqscan = off SET enable_bitmapscan = off
        SET enable_hashjoin = off SET enable_mergejoin = off SET enable_material = off"""
BY_HASH = """SET enable_seqscan = off SET enable_bitmapscan = off
        SET enable_nestloop = off SET enable_mergejoin = off"""


def guard(table, event, checks, *, transition, tuning, kind="uuid"):
    """Forward and reverse SQL of one after-statement trigger.

    ``checks``: (name of the broken rule, sentence, query of the first offender or null).
    """
    name = f"{table}_guard_{event.lower()}"
    body = "\n".join(
        f"""
        {query}
        IF bad IS NOT NULL THEN
            RAISE EXCEPTION '{sentence}', bad
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = '{rule}';
        END IF;"""
        for rule, sentence, query in checks
    )
    return (
        f"""
    CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql
        {tuning} AS $$
    DECLARE bad {kind};
    BEGIN
        {body}
        RETURN NULL;
    END $$;
    CREATE TRIGGER {name} AFTER {event} ON {table} REFERENCING {transition}
        FOR EACH STATEMENT EXECUTE FUNCTION {name}();
    """,  # noqa: S608 - built from the constants of this file
        f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}();",
    )


INSERTED = "NEW TABLE AS written"
UPDATED = "OLD TABLE AS before_it NEW TABLE AS after_it"

NEW_TRANSFERS = guard(
    "ledger_transfer",
    "INSERT",
    [
        (
            # One entry is enough to look for: the guard of entries lets none in without the rest.
            "ledger_transfer_comes_with_its_entries",
            "transfer % comes without its entries",
            """
        SELECT (array_agg(t.id))[1] INTO bad FROM written t
          LEFT JOIN ledger_entry e ON e.transfer_id = t.id AND e.position = 1
         WHERE e.transfer_id IS NULL;""",
        ),
        (
            "ledger_transfer_carries_its_transaction",
            "transfer % does not carry the id of its transaction",
            """
        SELECT (array_agg(t.id))[1] INTO bad FROM written t WHERE t.xid <> pg_current_xact_id();""",
        ),
    ],
    transition=INSERTED,
    tuning=BY_INDEX,
)

NEW_ENTRIES = guard(
    "ledger_entry",
    "INSERT",
    [
        (
            # With the key (transfer, position): exactly 1 to entry_count, once and for all.
            "ledger_transfer_has_its_declared_entries",
            "transfer % does not have the entries that it declares",
            """
        SELECT (array_agg(n.transfer_id))[1] INTO bad
          FROM (SELECT e.transfer_id, count(*) AS entries, min(e.position) AS first,
                       max(e.position) AS last
                  FROM written e GROUP BY e.transfer_id) n
          LEFT JOIN ledger_transfer t ON t.id = n.transfer_id
         WHERE t.entry_count IS DISTINCT FROM n.entries OR n.first <> 1 OR n.last <> n.entries;""",
        ),
        (
            "ledger_transfer_balances_by_asset_and_region",
            "transfer % does not balance in each asset and region",
            """
        SELECT (array_agg(b.transfer_id))[1] INTO bad
          FROM (SELECT e.transfer_id
                  FROM written e LEFT JOIN ledger_account a ON a.id = e.account_id
                 GROUP BY e.transfer_id, a.region, a.asset
                HAVING sum(e.amount) <> 0 OR count(a.id) <> count(*)) b;""",
        ),
        (
            # The account is written by the same statement, or it never counts the entry.
            "ledger_entry_is_counted_by_its_account",
            "transfer % has an entry that its account does not count or does not end at",
            """
        SELECT (array_agg(e.transfer_id))[1] INTO bad
          FROM written e JOIN ledger_account a ON a.id = e.account_id
         WHERE a.version < e.version OR (a.version = e.version AND a.balance <> e.balance_after);""",
        ),
        (
            "ledger_balance_after_runs",
            "transfer % has an entry that does not follow on the one before it",
            """
        SELECT (array_agg(r.transfer_id))[1] INTO bad
          FROM (SELECT w.transfer_id, w.balance_after - w.amount AS balance_before,
                       lag(w.balance_after) OVER by_version AS balance_left
                  FROM written w
                WINDOW by_version AS (PARTITION BY w.account_id ORDER BY w.version)) r
         WHERE r.balance_before <> r.balance_left;""",
        ),
    ],
    transition=INSERTED,
    tuning=BY_INDEX,
)

CHANGED_ACCOUNTS = guard(
    "ledger_account",
    "UPDATE",
    [
        (
            "ledger_account_keeps_its_nature",
            "account % is opened once, for good",
            """
        SELECT min(n.id) INTO bad FROM after_it n LEFT JOIN before_it o ON o.id = n.id
         WHERE (o.owner, o.code, o.region, o.asset, o.normal_side, o.floor, o.stripe, o.stripes)
               IS DISTINCT FROM
               (n.owner, n.code, n.region, n.asset, n.normal_side, n.floor, n.stripe, n.stripes);""",
        ),
        (
            # Versions and sums forward from where it stood, so by induction from the opening.
            "ledger_balance_is_the_sum_of_entries",
            "account % does not stand where its entries leave it",
            """
        SELECT min(n.id) INTO bad FROM after_it n JOIN before_it o ON o.id = n.id
         WHERE (n.version <> o.version OR n.balance <> o.balance)
           AND (SELECT count(*) <> n.version - o.version
                       OR COALESCE(sum(e.amount), 0) <> n.balance - o.balance
                  FROM ledger_entry e
                 WHERE e.account_id = n.id AND e.version > o.version);""",
        ),
    ],
    transition=UPDATED,
    tuning=BY_HASH,
    kind="bigint",
)

NEW_ACCOUNTS = guard(
    "ledger_account",
    "INSERT",
    [
        (
            "ledger_account_is_opened_empty",
            "account % is not opened empty",
            """
        SELECT min(n.id) INTO bad FROM written n WHERE (n.balance, n.held, n.version) <> (0, 0, 0);""",
        ),
    ],
    transition=INSERTED,
    tuning="",
    kind="bigint",
)

NEW_HOLDS = guard(
    "ledger_hold",
    "INSERT",
    [
        (
            "ledger_hold_stands_on_an_account",
            "hold % stands on no account",
            """
        SELECT (array_agg(h.id))[1] INTO bad FROM written h
          LEFT JOIN ledger_account a ON a.id = h.account_id
         WHERE a.id IS NULL;""",
        ),
    ],
    transition=INSERTED,
    tuning=BY_INDEX,
)

CHANGED_HOLDS = guard(
    "ledger_hold",
    "UPDATE",
    [
        (
            "ledger_hold_only_shrinks",
            "hold % only shrinks, and resolves once",
            """
        SELECT (array_agg(n.id))[1] INTO bad FROM after_it n LEFT JOIN before_it o ON o.id = n.id
         WHERE (o.account_id, o.amount, o.code, o.reference, o.created_at)
               IS DISTINCT FROM (n.account_id, n.amount, n.code, n.reference, n.created_at)
            OR n.posted < o.posted OR n.released < o.released
            OR (o.resolved_at IS NOT NULL AND
                (o.resolution, o.resolved_at) IS DISTINCT FROM (n.resolution, n.resolved_at));""",
        ),
    ],
    transition=UPDATED,
    tuning=BY_HASH,
)

REFUSE_REMOVAL = tuple(
    (
        f"""CREATE TRIGGER {table}_is_never_removed BEFORE DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
        f"DROP TRIGGER {table}_is_never_removed ON {table}",
    )
    for table in ("ledger_account", "ledger_hold")
)

# Balances change all the time and no index covers them: room on the page keeps the new version
# beside the old one, so that no index grows. Few rows: vacuum them soon.
STORAGE = (
    """
    ALTER TABLE ledger_account SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02,
                                    autovacuum_vacuum_threshold = 500);
    ALTER TABLE ledger_hold SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
    """,
    """
    ALTER TABLE ledger_account RESET (fillfactor, autovacuum_vacuum_scale_factor,
                                      autovacuum_vacuum_threshold);
    ALTER TABLE ledger_hold RESET (fillfactor, autovacuum_vacuum_scale_factor);
    """,
)


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial"), ("core", "0002_guards")]

    operations = [
        migrations.RunSQL(*sql)
        for sql in (
            NEW_TRANSFERS,
            NEW_ENTRIES,
            NEW_ACCOUNTS,
            CHANGED_ACCOUNTS,
            NEW_HOLDS,
            CHANGED_HOLDS,
            refuse_change_sql("ledger_transfer"),
            refuse_change_sql("ledger_entry"),
            refuse_change_sql("ledger_seal"),
            *REFUSE_REMOVAL,
            STORAGE,
        )
    ]
