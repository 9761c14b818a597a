"""What the ledger's migrations and statements share in SQL."""

from __future__ import annotations

from collections.abc import Sequence

# Who posts shares this advisory lock, who moves a period has it alone. A lock on the period's row
# would say the same at the price of a write to that one row, and a shared mark on it, for each
# transfer.
PERIOD_LOCK = 7_305_118

# The rows to look at are those of the statement; the tables are large and grow while a session
# keeps its plan, which may have been made for a single row. So look-ups into tables are pinned to
# their indexes, a row at a time (in a sub-query OFFSET 0 does that too, and costs no setting), and
# the two sides of an update are hashed.
BY_INDEX = "SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off"
BY_SUBQUERY = "SET enable_seqscan = off"
BY_HASH = """SET enable_seqscan = off SET enable_bitmapscan = off
        SET enable_nestloop = off SET enable_mergejoin = off"""

Rule = tuple[str, str, str]


def guard_sql(
    table: str,
    event: str,
    *,
    rules: Sequence[Rule],
    transition: str,
    tuning: str,
    kind: str = "uuid",
    declare: str = "",
    before: str = "",
    doubtful: str = "",
) -> tuple[str, str]:
    """Forward and reverse SQL of one after-statement trigger.

    ``rules``: (name of the broken rule, sentence, statement that selects the first offender, or
    null, INTO bad). ``doubtful``: a statement that selects INTO doubtful whether any of the rules
    may be broken; where it says no, none of them is asked. It is what a single transfer pays for.
    """
    name = f"{table}_guard_{event.lower()}"
    body = "\n".join(
        f"""
        {query}
        IF bad IS NOT NULL THEN
            RAISE EXCEPTION '{sentence}', bad
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = '{rule}';
        END IF;"""
        for rule, sentence, query in rules
    )
    shortcut = f"{doubtful} IF doubtful IS NOT TRUE THEN RETURN NULL; END IF;" if doubtful else ""
    return (
        f"""
    CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql
        {tuning} AS $$
    DECLARE bad {kind}; doubtful boolean; {declare}
    BEGIN
        {before}
        {shortcut}
        {body}
        RETURN NULL;
    END $$;
    CREATE TRIGGER {name} AFTER {event} ON {table} REFERENCING {transition}
        FOR EACH STATEMENT EXECUTE FUNCTION {name}();
    """,
        f"DROP TRIGGER {name} ON {table}; DROP FUNCTION {name}();",
    )


# The fast path of a single transfer between two accounts: the same as below, for one.
POST_PAIR = (
    f"""
    CREATE FUNCTION ledger_post_pair(
        transfer_id uuid, transfer_code text, reference uuid, effective_at timestamptz,
        first_owner uuid, first_code text, first_region text, first_asset text,
        second_owner uuid, second_code text, second_region text, second_asset text,
        amount int8, at timestamptz)
    RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off AS $$
    #variable_conflict use_column
    DECLARE
        first int; first_row tid; first_side int2; first_balance int8; first_version int8;
        first_least int8;
        second int; second_row tid; second_side int2; second_balance int8; second_version int8;
        second_least int8;
        first_recorded timestamptz; second_recorded timestamptz; recorded timestamptz;
        open_period int;
    BEGIN
        PERFORM pg_advisory_xact_lock_shared({PERIOD_LOCK});
        SELECT a.id INTO first FROM ledger_account a
         WHERE a.owner = first_owner AND a.code = first_code AND a.region = first_region
           AND a.asset = first_asset AND a.stripe = pg_backend_pid() % a.stripes;
        SELECT a.id INTO second FROM ledger_account a
         WHERE a.owner = second_owner AND a.code = second_code AND a.region = second_region
           AND a.asset = second_asset AND a.stripe = pg_backend_pid() % a.stripes;
        IF first IS NULL OR second IS NULL OR first = second
           OR first_region <> second_region OR first_asset <> second_asset THEN
            RETURN false;
        END IF;

        IF first < second THEN
            {{lock_first}}
            {{lock_second}}
        ELSE
            {{lock_second}}
            {{lock_first}}
        END IF;
        first_balance := first_balance + amount;
        second_balance := second_balance - amount;
        IF first_balance * first_side < first_least OR second_balance * second_side < second_least
        THEN
            RETURN false;
        END IF;
        SELECT p.id INTO open_period FROM ledger_period p
         WHERE p.state = 'open'
           AND NOT EXISTS (SELECT 1 FROM ledger_transfer t WHERE t.id = transfer_id);
        IF open_period IS NULL THEN
            RETURN false;
        END IF;

        recorded := GREATEST(at, first_recorded, second_recorded);
        WITH new_transfer AS (
            INSERT INTO ledger_transfer (id, code, reference, effective_at, recorded_at,
                                         entry_count, period_id)
            VALUES (transfer_id, transfer_code, reference, effective_at, recorded, 2, open_period)),
        new_entries AS (
            INSERT INTO ledger_entry (transfer_id, position, account_id, amount, balance_after,
                                      version)
            VALUES (transfer_id, 1, first, amount, first_balance, first_version + 1),
                   (transfer_id, 2, second, -amount, second_balance, second_version + 1))
        UPDATE ledger_account a
           SET balance = CASE a.id WHEN first THEN first_balance ELSE second_balance END,
               version = a.version + 1, recorded_at = recorded
         WHERE a.ctid = ANY (ARRAY[first_row, second_row]);
        RETURN true;
    EXCEPTION WHEN unique_violation OR numeric_value_out_of_range THEN
        RETURN false;
    END $$;
    """,
    "DROP FUNCTION ledger_post_pair",
)


def _lock(side: str) -> str:
    return f"""SELECT a.ctid, a.normal_side, a.balance, a.version, a.recorded_at,
                   CASE WHEN a.floor THEN a.held ELSE -9223372036854775807 END
              INTO {side}_row, {side}_side, {side}_balance, {side}_version, {side}_recorded,
                   {side}_least
              FROM ledger_account a WHERE a.id = {side} FOR NO KEY UPDATE;"""


POST_PAIR = (
    POST_PAIR[0].format(lock_first=_lock("first"), lock_second=_lock("second")),
    POST_PAIR[1],
)

# The fast path. A set of plain transfers (no holds, no reversals, into the open period) of which
# none is known and none takes an account below its floor is written by four statements in one
# round trip. In every other case nothing is written and the answer says so: then the caller judges
# group by group (``posting``). It looks only for what makes the whole set sound, not for which of
# them is not; the guards hold it to the rules like any other writer.
#
# Accounts come once each, legs name them by number. Locks are taken in the order of account ids; a
# striped account is written in the stripe of this session, so that sessions do not meet. Looking
# up rows, and reading them again once they are locked, are statements of their own: under READ
# COMMITTED each sees what was committed before it began.
POST_WHOLE_SET = (
    f"""
    CREATE FUNCTION ledger_post_whole_set(
        owners uuid[], account_codes text[], regions text[], assets text[],
        ids uuid[], codes text[], refs uuid[], effective timestamptz[], entry_counts int2[],
        leg_transfers int[], leg_positions int2[], leg_accounts int[], leg_amounts int8[],
        at timestamptz)
    RETURNS boolean LANGUAGE plpgsql
        SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off AS $$
    DECLARE
        account_ids int[]; rows tid[]; sides int2[]; balances int8[]; versions int8[];
        least int8[];
        open_period int; recorded timestamptz; sound boolean;
    BEGIN
        PERFORM pg_advisory_xact_lock_shared({PERIOD_LOCK});

        SELECT array_agg(a.id ORDER BY k.number) INTO account_ids
          FROM unnest(owners, account_codes, regions, assets)
               WITH ORDINALITY AS k (owner, code, region, asset, number)
          LEFT JOIN LATERAL (
               SELECT a.id FROM ledger_account a
                WHERE (a.owner, a.code, a.region, a.asset)
                      = (k.owner, k.code, k.region, k.asset)
                  AND a.stripe = pg_backend_pid() % a.stripes OFFSET 0) a ON true;
        IF array_position(account_ids, NULL) IS NOT NULL THEN
            RETURN false;
        END IF;

        SELECT array_agg(a.normal_side ORDER BY k.number), array_agg(a.balance ORDER BY k.number),
               array_agg(a.version ORDER BY k.number),
               array_agg(CASE WHEN a.floor THEN a.held ELSE -9223372036854775807 END
                         ORDER BY k.number),
               array_agg(a.row ORDER BY k.number), GREATEST(at, max(a.recorded_at))
          INTO sides, balances, versions, least, rows, recorded
          FROM unnest(account_ids) WITH ORDINALITY AS k (id, number)
          JOIN (SELECT a.id, a.ctid AS row, a.normal_side, a.balance, a.held, a.version, a.floor,
                       a.recorded_at
                  FROM ledger_account a WHERE a.id = ANY (account_ids)
                 ORDER BY a.id FOR NO KEY UPDATE) a ON a.id = k.id;

        SELECT p.id INTO open_period FROM ledger_period p WHERE p.state = 'open';
        IF open_period IS NULL OR EXISTS (
            SELECT 1 FROM unnest(ids) AS w (id)
              JOIN LATERAL (SELECT 1 FROM ledger_transfer t WHERE t.id = w.id OFFSET 0) t ON true)
        THEN
            RETURN false;
        END IF;

        WITH legs AS MATERIALIZED (
            SELECT l.transfer, l.position, l.account, l.amount, l.number,
                   balances[l.account] + (sum(l.amount) OVER in_order)::int8 AS balance_after,
                   versions[l.account] + row_number() OVER in_order AS version
              FROM unnest(leg_transfers, leg_positions, leg_accounts, leg_amounts)
                   WITH ORDINALITY AS l (transfer, position, account, amount, number)
            WINDOW in_order AS (PARTITION BY l.account ORDER BY l.number
                                ROWS UNBOUNDED PRECEDING)),
        verdict AS MATERIALIZED (
            SELECT NOT EXISTS (
                   SELECT 1 FROM legs l
                    WHERE l.balance_after * sides[l.account] < least[l.account]) AS sound),
        new_transfers AS (
            INSERT INTO ledger_transfer (id, code, reference, effective_at, recorded_at,
                                         entry_count, period_id)
            SELECT t.id, t.code, t.reference, t.effective_at, recorded, t.entry_count, open_period
              FROM unnest(ids, codes, refs, effective, entry_counts)
                   AS t (id, code, reference, effective_at, entry_count), verdict v
             WHERE v.sound),
        new_entries AS (
            INSERT INTO ledger_entry (transfer_id, position, account_id, amount, balance_after,
                                      version)
            SELECT ids[l.transfer], l.position, account_ids[l.account], l.amount, l.balance_after,
                   l.version
              FROM legs l, verdict v WHERE v.sound ORDER BY l.number),
        changed_accounts AS (
            UPDATE ledger_account a
               SET balance = a.balance + c.amount, version = a.version + c.entries,
                   recorded_at = recorded
              FROM (SELECT rows[l.account] AS row, sum(l.amount)::int8 AS amount,
                           count(*) AS entries
                      FROM legs l, verdict v WHERE v.sound GROUP BY l.account) c
             -- The rows are locked, so they are where they were.
             WHERE a.ctid = c.row)
        SELECT v.sound INTO sound FROM verdict v;
        RETURN sound;
    EXCEPTION WHEN unique_violation OR numeric_value_out_of_range THEN
        -- Another caller brings one of the ids right now, or a balance would leave 64 bits.
        RETURN false;
    END $$;
    """,
    "DROP FUNCTION ledger_post_whole_set",
)
