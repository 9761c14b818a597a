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

# The rows to look at are those of the statement, few; the tables are large and grow while a
# session keeps its plan. So the look-ups into them are pinned to their indexes.
BY_INDEX = "SET enable_seqscan = off SET enable_bitmapscan = off"

CHECK_TRANSFERS = (
    f"""
    CREATE FUNCTION ledger_check_transfers() RETURNS trigger LANGUAGE plpgsql {BY_INDEX}
        SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    DECLARE bad uuid;
    BEGIN
        -- One entry is enough to look for: ledger_check_entries lets none in without the rest.
        SELECT t.id INTO bad FROM written t
          LEFT JOIN ledger_entry e ON e.transfer_id = t.id AND e.position = 1
         WHERE e.transfer_id IS NULL LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'transfer % comes without its entries', bad
                USING ERRCODE = 'integrity_constraint_violation',
                      CONSTRAINT = 'ledger_transfer_comes_with_its_entries';
        END IF;
        SELECT t.id INTO bad FROM written t WHERE t.xid <> pg_current_xact_id() LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'transfer % does not carry the id of its transaction', bad
                USING ERRCODE = 'integrity_constraint_violation',
                      CONSTRAINT = 'ledger_transfer_carries_its_transaction';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER ledger_transfer_is_whole AFTER INSERT ON ledger_transfer
        REFERENCING NEW TABLE AS written
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_transfers();
    """,
    """
    DROP TRIGGER ledger_transfer_is_whole ON ledger_transfer;
    DROP FUNCTION ledger_check_transfers();
    """,
)

CHECK_ENTRIES = (
    f"""
    CREATE FUNCTION ledger_check_entries() RETURNS trigger LANGUAGE plpgsql {BY_INDEX}
        SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    DECLARE bad uuid;
    BEGIN
        -- With the key (transfer, position): exactly positions 1 to entry_count, once and for all.
        SELECT n.transfer_id INTO bad
          FROM (SELECT e.transfer_id, count(*) AS entries, min(e.position) AS first,
                       max(e.position) AS last
                  FROM written e GROUP BY e.transfer_id) n
          LEFT JOIN ledger_transfer t ON t.id = n.transfer_id
         WHERE t.entry_count IS DISTINCT FROM n.entries OR n.first <> 1 OR n.last <> n.entries
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'transfer % does not have the entries that it declares', bad
                USING ERRCODE = 'integrity_constraint_violation',
                      CONSTRAINT = 'ledger_transfer_has_its_declared_entries';
        END IF;
        -- An entry that its account has not counted yet will not be: the account is written by
        -- the same statement (ledger_check_accounts compares the two).
        SELECT e.transfer_id INTO bad
          FROM written e LEFT JOIN ledger_account a ON a.id = e.account_id
         GROUP BY e.transfer_id, a.region, a.asset
        HAVING sum(e.amount) <> 0 OR count(a.id) <> count(*)
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'transfer % does not balance in each asset and region', bad
                USING ERRCODE = 'integrity_constraint_violation',
                      CONSTRAINT = 'ledger_transfer_balances_by_asset_and_region';
        END IF;
        SELECT e.transfer_id INTO bad
          FROM (SELECT w.account_id, max(w.version) AS version,
                       (array_agg(w.transfer_id))[1] AS transfer_id
                  FROM written w GROUP BY w.account_id) e
          JOIN ledger_account a ON a.id = e.account_id
         WHERE a.version < e.version
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'transfer % has an entry that its account does not count', bad
                USING ERRCODE = 'integrity_constraint_violation',
                      CONSTRAINT = 'ledger_entry_is_counted_by_its_account';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER ledger_entry_balances AFTER INSERT ON ledger_entry
        REFERENCING NEW TABLE AS written
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_entries();
    """,
    """
    DROP TRIGGER ledger_entry_balances ON ledger_entry;
    DROP FUNCTION ledger_check_entries();
    """,
)

CHECK_ACCOUNTS = (
    f"""
    CREATE FUNCTION ledger_check_accounts() RETURNS trigger LANGUAGE plpgsql {BY_INDEX} AS $$
    DECLARE bad bigint;
    BEGIN
        SELECT n.id INTO bad FROM after_it n LEFT JOIN before_it o ON o.id = n.id
         WHERE (o.owner, o.code, o.region, o.asset, o.normal_side, o.floor, o.stripe, o.stripes)
               IS DISTINCT FROM
               (n.owner, n.code, n.region, n.asset, n.normal_side, n.floor, n.stripe, n.stripes)
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'account % is opened once, for good', bad
                USING ERRCODE = 'integrity_constraint_violation',
                      CONSTRAINT = 'ledger_account_keeps_its_nature';
        END IF;
        SELECT n.id INTO bad
          FROM after_it n
          JOIN before_it o ON o.id = n.id
          CROSS JOIN LATERAL (
               SELECT count(*) AS entries, COALESCE(sum(r.amount), 0) AS amount,
                      COALESCE(bool_and(r.balance_after = o.balance + r.running), true) AS runs
                 FROM (SELECT e.amount, e.balance_after, sum(e.amount) OVER (ORDER BY e.version)
                              AS running
                         FROM ledger_entry e
                        WHERE e.account_id = n.id AND e.version > o.version) r) e
         WHERE (n.version, n.balance) IS DISTINCT FROM (o.version, o.balance)
           AND (n.version <> o.version + e.entries OR n.balance <> o.balance + e.amount
                OR NOT e.runs)
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'account % does not stand where its entries leave it', bad
                USING ERRCODE = 'integrity_constraint_violation',
                      CONSTRAINT = 'ledger_balance_is_the_sum_of_entries';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER ledger_account_follows_its_entries AFTER UPDATE ON ledger_account
        REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_accounts();

    CREATE FUNCTION ledger_check_opening() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE bad bigint;
    BEGIN
        SELECT n.id INTO bad FROM opened n
         WHERE (n.balance, n.held, n.version) <> (0, 0, 0) LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'account % is not opened empty', bad
                USING ERRCODE = 'integrity_constraint_violation',
                      CONSTRAINT = 'ledger_account_is_opened_empty';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER ledger_account_is_opened_empty AFTER INSERT ON ledger_account
        REFERENCING NEW TABLE AS opened
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_opening();
    """,
    """
    DROP TRIGGER ledger_account_is_opened_empty ON ledger_account;
    DROP FUNCTION ledger_check_opening();
    DROP TRIGGER ledger_account_follows_its_entries ON ledger_account;
    DROP FUNCTION ledger_check_accounts();
    """,
)

CHECK_HOLDS = (
    f"""
    CREATE FUNCTION ledger_check_new_holds() RETURNS trigger LANGUAGE plpgsql {BY_INDEX}
        SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    DECLARE bad uuid;
    BEGIN
        SELECT h.id INTO bad FROM written h
          LEFT JOIN ledger_account a ON a.id = h.account_id
         WHERE a.id IS NULL LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'hold % stands on no account', bad
                USING ERRCODE = 'integrity_constraint_violation',
                      CONSTRAINT = 'ledger_hold_stands_on_an_account';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER ledger_hold_stands_on_an_account AFTER INSERT ON ledger_hold
        REFERENCING NEW TABLE AS written
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_new_holds();

    CREATE FUNCTION ledger_check_holds() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE bad uuid;
    BEGIN
        SELECT n.id INTO bad FROM after_it n LEFT JOIN before_it o ON o.id = n.id
         WHERE (o.account_id, o.amount, o.code, o.reference, o.created_at)
               IS DISTINCT FROM (n.account_id, n.amount, n.code, n.reference, n.created_at)
            OR n.posted < o.posted OR n.released < o.released
            OR (o.resolved_at IS NOT NULL AND
                (o.resolution, o.resolved_at) IS DISTINCT FROM (n.resolution, n.resolved_at))
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'hold % only shrinks, and resolves once', bad
                USING ERRCODE = 'integrity_constraint_violation',
                      CONSTRAINT = 'ledger_hold_only_shrinks';
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER ledger_hold_only_shrinks AFTER UPDATE ON ledger_hold
        REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_check_holds();
    """,
    """
    DROP TRIGGER ledger_hold_only_shrinks ON ledger_hold;
    DROP FUNCTION ledger_check_holds();
    DROP TRIGGER ledger_hold_stands_on_an_account ON ledger_hold;
    DROP FUNCTION ledger_check_new_holds();
    """,
)

REFUSE_REMOVAL = tuple(
    (
        f'CREATE TRIGGER "{table}_is_never_removed" BEFORE DELETE OR TRUNCATE ON "{table}" '
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
        f'DROP TRIGGER "{table}_is_never_removed" ON "{table}"',
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
            CHECK_TRANSFERS,
            CHECK_ENTRIES,
            CHECK_ACCOUNTS,
            CHECK_HOLDS,
            refuse_change_sql("ledger_transfer"),
            refuse_change_sql("ledger_entry"),
            refuse_change_sql("ledger_seal"),
            *REFUSE_REMOVAL,
            STORAGE,
        )
    ]
