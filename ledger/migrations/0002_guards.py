"""What CHECK constraints cannot say, said by triggers over whole statements.

Each function sees all rows of a statement at once (transition tables) when everything that the
statement wrote is in place. Together they hold, for the owner's role too:

- a transfer comes with its entries, in one statement, and never gets another;
- its entries sum to zero in each asset and region;
- an account stands where the last of its entries leaves it, and each entry follows on the one
  before it, so by induction a balance is the sum of its entries, without a gap;
- an account was never recorded later than it is, nor an entry at another time than its account;
- a transfer is booked into a period that still takes it;
- a reversal is the exact opposite of what it reverses;
- an account is never renamed or given another nature, a hold only shrinks, nothing is removed.

Of what most statements write one question is asked first (``doubtful``); only where it leaves a
doubt are the rules asked one by one. Some doubts are none: a transfer between two regions, say.
"""

from django.db import migrations

from core.sql import refuse_change_sql
from ledger.sql import BY_HASH, BY_INDEX, BY_SUBQUERY, PERIOD_LOCK, guard_sql

INSERTED = "NEW TABLE AS written"
UPDATED = "OLD TABLE AS before_it NEW TABLE AS after_it"

NEW_TRANSFERS = guard_sql(
    "ledger_transfer",
    "INSERT",
    declare="open_period int;",
    # Whoever moves a period has this lock alone, so its state cannot change until we have ended.
    before=f"""
        PERFORM pg_advisory_xact_lock_shared({PERIOD_LOCK});
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            -- An old snapshot does not see that a period moved meanwhile: fail on its row. (A key
            -- share would not: no move touches the key.)
            PERFORM 1 FROM ledger_period p
              WHERE p.id IN (SELECT w.period_id FROM written w) FOR SHARE;
        END IF;
        SELECT p.id INTO open_period FROM ledger_period p WHERE p.state = 'open';""",
    # The entries bring each position from 1 to entry_count once: n different powers of two.
    doubtful="""
        SELECT bool_or(n.doubtful) INTO doubtful FROM (
            SELECT w.xid <> pg_current_xact_id() OR w.period_id IS DISTINCT FROM open_period
                   OR w.entry_count > 60
                   OR bit_or(1::int8 << e.position)
                      IS DISTINCT FROM (1::int8 << (w.entry_count + 1)) - 2
                   OR sum(e.amount) <> 0
                   OR COALESCE(min(a.version - e.version), -1) < 0 OR count(a.id) <> count(*)
                   OR min(e.position) <> 1 OR max(e.position) <> w.entry_count
                   OR min(a.region) <> max(a.region) OR min(a.asset) <> max(a.asset)
                   OR bool_or(a.recorded_at IS DISTINCT FROM w.recorded_at)
                   AS doubtful
              FROM written w
              LEFT JOIN ledger_entry e ON e.transfer_id = w.id
              LEFT JOIN ledger_account a ON a.id = e.account_id
             GROUP BY w.id, w.xid, w.period_id, w.entry_count, w.recorded_at) n;""",
    rules=[
        (
            "ledger_transfer_carries_its_transaction",
            "transfer % does not carry the id of its transaction",
            """
        SELECT (array_agg(t.id))[1] INTO bad FROM written t WHERE t.xid <> pg_current_xact_id();""",
        ),
        (
            "ledger_period_takes_no_more",
            "the period of transfer % does not take it any more",
            """
        SELECT (array_agg(t.id))[1] INTO bad FROM written t
         WHERE NOT EXISTS (
               SELECT 1 FROM ledger_period p WHERE p.id = t.period_id
                  AND (p.state = 'open' OR p.state = 'closing' AND t.code = ANY (p.closing_codes)));
            """,
        ),
        (
            "ledger_transfer_has_its_declared_entries",
            "transfer % does not have the entries that it declares",
            """
        SELECT (array_agg(t.id))[1] INTO bad FROM written t
         CROSS JOIN LATERAL (
               SELECT count(*) AS entries, count(DISTINCT e.position) AS positions,
                      min(e.position) AS first, max(e.position) AS last
                 FROM ledger_entry e WHERE e.transfer_id = t.id) n
         WHERE t.entry_count <> n.entries OR n.positions <> n.entries
            OR n.first <> 1 OR n.last <> n.entries;""",
        ),
        (
            "ledger_transfer_balances_by_asset_and_region",
            "transfer % does not balance in each asset and region",
            """
        SELECT (array_agg(b.id))[1] INTO bad
          FROM (SELECT t.id
                  FROM written t
                  JOIN ledger_entry e ON e.transfer_id = t.id
                  LEFT JOIN ledger_account a ON a.id = e.account_id
                 GROUP BY t.id, a.region, a.asset
                HAVING sum(e.amount) <> 0 OR count(a.id) <> count(*)) b;""",
        ),
        (
            # The account is written by the same statement, or it never counts the entry.
            "ledger_entry_is_counted_by_its_account",
            "transfer % has an entry that its account does not count",
            """
        SELECT (array_agg(t.id))[1] INTO bad
          FROM written t
          JOIN ledger_entry e ON e.transfer_id = t.id JOIN ledger_account a ON a.id = e.account_id
         WHERE a.version < e.version;""",
        ),
        (
            # And an account's never falls, so by induction those of its entries do not.
            "ledger_transfer_is_recorded_with_its_accounts",
            "transfer % is recorded at another time than its accounts",
            """
        SELECT (array_agg(t.id))[1] INTO bad
          FROM written t
          JOIN ledger_entry e ON e.transfer_id = t.id JOIN ledger_account a ON a.id = e.account_id
         WHERE a.recorded_at IS DISTINCT FROM t.recorded_at;""",
        ),
    ],
    transition=INSERTED,
    tuning=BY_INDEX,
)

NEW_ENTRIES = guard_sql(
    "ledger_entry",
    "INSERT",
    doubtful="""
        SELECT bool_or(n.of_a_hold
                       OR n.entries <> (SELECT count(*) FROM ledger_entry e
                                         WHERE e.transfer_id = n.transfer_id)
                       OR n.entries IS DISTINCT FROM (SELECT t.entry_count FROM ledger_transfer t
                                                       WHERE t.id = n.transfer_id))
          INTO doubtful
          FROM (SELECT w.transfer_id, count(*) AS entries, count(w.hold_id) > 0 AS of_a_hold
                  FROM written w GROUP BY w.transfer_id) n;""",
    rules=[
        (
            # What the table holds of the transfer is what this statement brought: all of it, once.
            "ledger_transfer_has_its_declared_entries",
            "transfer % does not have the entries that it declares",
            """
        SELECT (array_agg(n.transfer_id))[1] INTO bad
          FROM (SELECT w.transfer_id, count(*) AS entries FROM written w GROUP BY w.transfer_id) n
         WHERE n.entries <> (SELECT count(*) FROM ledger_entry e
                              WHERE e.transfer_id = n.transfer_id)
            OR NOT EXISTS (SELECT 1 FROM ledger_transfer t
                            WHERE t.id = n.transfer_id AND t.entry_count = n.entries OFFSET 0);""",
        ),
        (
            "ledger_entry_takes_from_a_hold_of_its_account",
            "transfer % takes from a hold of another account",
            """
        SELECT (array_agg(w.transfer_id))[1] INTO bad FROM written w
         WHERE w.hold_id IS NOT NULL AND NOT EXISTS (
               SELECT 1 FROM ledger_hold h
                WHERE h.id = w.hold_id AND h.account_id = w.account_id OFFSET 0);""",
        ),
    ],
    transition=INSERTED,
    tuning=BY_SUBQUERY,
)

# From where it stood, so by induction from the opening: of the entries that came since, as many as
# the version says, each follows on the one before it, the first on where the account stood.
FOLLOWS = """
        CROSS JOIN LATERAL (
               SELECT count(*) AS entries, sum(e.amount) AS amount,
                      bool_or(e.balance_after - e.amount IS DISTINCT FROM
                              CASE e.version WHEN o.version + 1 THEN o.balance
                              ELSE (SELECT p.balance_after FROM ledger_entry p
                                     WHERE p.account_id = e.account_id
                                       AND p.version = e.version - 1) END) AS broken
                 FROM ledger_entry e WHERE e.account_id = o.id AND e.version > o.version) e"""

CHANGED_ACCOUNTS = guard_sql(
    "ledger_account",
    "UPDATE",
    doubtful=f"""
        SELECT bool_or(e.entries <> n.version - o.version
                       OR o.balance + e.amount <> n.balance OR e.broken
                       OR COALESCE(n.recorded_at < o.recorded_at, o.recorded_at IS NOT NULL)
                       OR e.entries = 0 AND (n.balance, n.recorded_at)
                                            IS DISTINCT FROM (o.balance, o.recorded_at))
          INTO doubtful
          FROM before_it o JOIN after_it n ON n.id = o.id {FOLLOWS};""",
    rules=[
        (
            "ledger_balance_is_the_sum_of_entries",
            "account % does not stand where its entries leave it",
            f"""
        SELECT min(n.id) INTO bad FROM before_it o JOIN after_it n ON n.id = o.id {FOLLOWS}
         WHERE e.entries <> n.version - o.version
            OR o.balance + COALESCE(e.amount, 0) <> n.balance;""",
        ),
        (
            "ledger_balance_after_runs",
            "account % has an entry that does not follow on the one before it",
            f"SELECT min(o.id) INTO bad FROM before_it o {FOLLOWS} WHERE e.broken;",
        ),
        (
            "ledger_recorded_at_never_falls",
            "account % was last recorded earlier than before, or moved on without an entry",
            f"""
        SELECT min(n.id) INTO bad FROM before_it o JOIN after_it n ON n.id = o.id {FOLLOWS}
         WHERE COALESCE(n.recorded_at < o.recorded_at, o.recorded_at IS NOT NULL)
            OR e.entries = 0 AND n.recorded_at IS DISTINCT FROM o.recorded_at;""",
        ),
    ],
    transition=UPDATED,
    tuning=BY_HASH,
    kind="bigint",
)

# A statement that names one of these columns is refused, whatever it would write.
KEEPS_ITS_NATURE = (
    """
    CREATE FUNCTION ledger_account_keeps_its_nature() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'an account is opened once, for good'
            USING ERRCODE = 'integrity_constraint_violation',
                  CONSTRAINT = 'ledger_account_keeps_its_nature';
    END $$;
    CREATE TRIGGER ledger_account_keeps_its_nature
        BEFORE UPDATE OF id, owner, code, region, asset, normal_side, floor, stripe, stripes
        ON ledger_account FOR EACH STATEMENT EXECUTE FUNCTION ledger_account_keeps_its_nature();
    """,
    """
    DROP TRIGGER ledger_account_keeps_its_nature ON ledger_account;
    DROP FUNCTION ledger_account_keeps_its_nature();
    """,
)

NEW_ACCOUNTS = guard_sql(
    "ledger_account",
    "INSERT",
    rules=[
        (
            "ledger_account_is_opened_empty",
            "account % is not opened empty",
            """
        SELECT min(n.id) INTO bad FROM written n
         WHERE (n.balance, n.held, n.version) <> (0, 0, 0) OR n.recorded_at IS NOT NULL;""",
        ),
        (
            "ledger_normal_side_is_known",
            "account % has no normal side",
            """
        SELECT min(n.id) INTO bad FROM written n WHERE n.normal_side NOT IN (1, -1);""",
        ),
        (
            "ledger_striped_account_has_no_floor",
            "account % has stripes and a floor, or a stripe that is none of them",
            """
        SELECT min(n.id) INTO bad FROM written n
         WHERE n.stripes NOT BETWEEN 1 AND 64 OR n.stripe NOT BETWEEN 0 AND n.stripes - 1
            OR n.stripes > 1 AND n.floor;""",
        ),
    ],
    transition=INSERTED,
    tuning="",
    kind="bigint",
)

NEW_HOLDS = guard_sql(
    "ledger_hold",
    "INSERT",
    rules=[
        (
            "ledger_hold_stands_on_an_account",
            "hold % stands on no account that can carry it",
            """
        SELECT (array_agg(h.id))[1] INTO bad FROM written h
         WHERE NOT EXISTS (SELECT 1 FROM ledger_account a
                            WHERE a.id = h.account_id AND a.stripes = 1 OFFSET 0);""",
        ),
    ],
    transition=INSERTED,
    tuning=BY_SUBQUERY,
)

CHANGED_HOLDS = guard_sql(
    "ledger_hold",
    "UPDATE",
    rules=[
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

NEW_REVERSALS = guard_sql(
    "ledger_reversal",
    "INSERT",
    rules=[
        (
            "ledger_reversal_is_the_exact_opposite",
            "transfer % is not the exact opposite of what it reverses",
            """
        SELECT (array_agg(w.transfer_id))[1] INTO bad FROM written w
         WHERE NOT EXISTS (SELECT 1 FROM ledger_entry e WHERE e.transfer_id = w.transfer_id)
            OR EXISTS (
               SELECT 1
                 FROM (VALUES (w.transfer_id, 1), (w.reverses_id, -1)) AS s (transfer_id, sign)
                 JOIN ledger_entry e ON e.transfer_id = s.transfer_id
                 JOIN ledger_account a ON a.id = e.account_id
                GROUP BY a.owner, a.code, a.region, a.asset, e.amount::numeric * s.sign
               HAVING sum(s.sign) <> 0);""",
        ),
    ],
    transition=INSERTED,
    tuning=BY_INDEX,
)

REFUSE_REMOVAL = tuple(
    (
        f"""CREATE TRIGGER {table}_is_never_removed BEFORE DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
        f"DROP TRIGGER {table}_is_never_removed ON {table}",
    )
    for table in ("ledger_account", "ledger_hold", "ledger_period")
)

# Balances change all the time and no index covers them: room on the page keeps the new version
# beside the old one, so that no index grows. Few rows: vacuum them soon. What is only ever
# appended, in the order of its ids, fills its index pages to the brim.
STORAGE = (
    """
    ALTER TABLE ledger_account SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02,
                                    autovacuum_vacuum_threshold = 500);
    ALTER TABLE ledger_hold SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
    ALTER INDEX ledger_transfer_pkey SET (fillfactor = 100);
    ALTER INDEX ledger_entry_pkey SET (fillfactor = 100);
    ALTER INDEX ledger_entry_of_transfer SET (fillfactor = 100);
    """,
    """
    ALTER TABLE ledger_account RESET (fillfactor, autovacuum_vacuum_scale_factor,
                                      autovacuum_vacuum_threshold);
    ALTER TABLE ledger_hold RESET (fillfactor, autovacuum_vacuum_scale_factor);
    ALTER INDEX ledger_transfer_pkey RESET (fillfactor);
    ALTER INDEX ledger_entry_pkey RESET (fillfactor);
    ALTER INDEX ledger_entry_of_transfer RESET (fillfactor);
    """,
)

FIRST_PERIOD = (
    """
    INSERT INTO ledger_period (name, opened_at, state, closing_codes, first_xid)
    VALUES ('first', now(), 'open', '{}', '0')
    """,
    migrations.RunSQL.noop,
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
            KEEPS_ITS_NATURE,
            NEW_HOLDS,
            CHANGED_HOLDS,
            NEW_REVERSALS,
            *(
                refuse_change_sql(table)
                for table in (
                    "ledger_transfer",
                    "ledger_entry",
                    "ledger_seal",
                    "ledger_reversal",
                    "ledger_periodbalance",
                    "ledger_periodtotal",
                )
            ),
            *REFUSE_REMOVAL,
            STORAGE,
            FIRST_PERIOD,
        )
    ]
