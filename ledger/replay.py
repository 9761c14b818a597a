"""The SQL of replaying the books: each statement counts what it looked at and what is wrong.

Statements come in two forms, over everything or since a transaction (``xid``), which take the same
rules to other rows.
"""

from __future__ import annotations

# Everything: each account from its first entry.
_ALL_ENTRIES = "(SELECT o.*, true AS judged FROM ledger_entry o)"
_ALL_ACCOUNTS = """(SELECT o.id, o.balance, o.version, o.recorded_at, 1::int8 AS first_version,
                           0::int8 AS base_balance
                      FROM ledger_account o)"""

_ALL_KEPT = """(SELECT o.*, 1::int8 AS since_version, true AS whole,
                       o.balance - lag(o.balance, 1, 0::numeric) OVER by_period AS moved
                  FROM ledger_periodbalance o
                WINDOW by_period AS (PARTITION BY o.account_id ORDER BY o.period_id))"""

# Since: the accounts that moved, from the first of their entries that did, and the entry before it
# to follow on. OFFSET 0: by the index, a transfer or an account at a time.
_MOVED = """
    moved AS MATERIALIZED (
        SELECT e.account_id, min(e.version) AS first_version
          FROM ledger_transfer t
          CROSS JOIN LATERAL (SELECT o.account_id, o.version FROM ledger_entry o
                               WHERE o.transfer_id = t.id OFFSET 0) e
         WHERE t.xid >= %(xid)s::text::xid8
         GROUP BY e.account_id),
"""
_MOVED_ENTRIES = """(SELECT e.*, e.version >= m.first_version AS judged
                       FROM moved m
                       CROSS JOIN LATERAL (SELECT o.* FROM ledger_entry o
                                            WHERE o.account_id = m.account_id
                                              AND o.version >= m.first_version - 1 OFFSET 0) e)"""
_MOVED_ACCOUNTS = """(SELECT o.id, o.balance, o.version, o.recorded_at, m.first_version,
                             COALESCE(p.balance_after, 0) AS base_balance
                        FROM moved m
                        JOIN ledger_account o ON o.id = m.account_id
                        LEFT JOIN ledger_entry p ON p.account_id = m.account_id
                                                AND p.version = m.first_version - 1)"""

# Of a period that began before, only its end is read again: its turnover cannot be told.
_MOVED_KEPT = """(SELECT * FROM (
                   SELECT o.*, m.first_version AS since_version,
                          o.version_first >= m.first_version AS whole,
                          o.balance - lag(o.balance, 1, 0::numeric) OVER by_period AS moved
                     FROM moved m JOIN ledger_periodbalance o ON o.account_id = m.account_id
                   WINDOW by_period AS (PARTITION BY o.account_id ORDER BY o.period_id)) o
                 WHERE o.version_last >= o.since_version)"""

# By induction: each entry follows on the one before it, each kept balance on the kept one before.
_REPLAY = """
WITH {moved}
    joined AS (
        SELECT e.account_id, e.version, e.amount, e.balance_after, e.judged,
               t.recorded_at, t.period_id
          FROM {entries} e LEFT JOIN ledger_transfer t ON t.id = e.transfer_id),
    followed AS (
        SELECT j.*,
               j.version <> lag(j.version, 1, 0::int8) OVER by_version + 1
               OR j.balance_after <> lag(j.balance_after, 1, 0::int8) OVER by_version + j.amount
               OR j.recorded_at IS NULL AS wrong,
               j.recorded_at < lag(j.recorded_at) OVER by_version AS fell
          FROM joined j
        WINDOW by_version AS (PARTITION BY j.account_id ORDER BY j.version)),
    by_period AS MATERIALIZED (
        SELECT f.account_id, f.period_id, count(*) AS entries, sum(f.amount) AS turnover,
               count(*) FILTER (WHERE f.wrong) AS wrong, count(*) FILTER (WHERE f.fell) AS fell,
               min(f.version) AS version_first, max(f.version) AS version_last,
               max(f.recorded_at) AS recorded_at
          FROM followed f WHERE f.judged
         GROUP BY f.account_id, f.period_id),
    by_account AS MATERIALIZED (
        SELECT r.account_id, sum(r.entries)::int8 AS entries, sum(r.wrong)::int8 AS wrong,
               sum(r.fell)::int8 AS fell, sum(r.turnover) AS turnover,
               max(r.recorded_at) AS recorded_at
          FROM by_period r GROUP BY r.account_id),
    accounts AS (
        SELECT COALESCE(b.entries, 0) AS entries,
               CASE WHEN a.id IS NULL THEN b.entries ELSE COALESCE(b.wrong, 0) END AS wrong,
               a.balance IS DISTINCT FROM a.base_balance + COALESCE(b.turnover, 0)
               OR a.version IS DISTINCT FROM a.first_version - 1 + COALESCE(b.entries, 0)
               AS misplaced,
               b.fell > 0 OR b.recorded_at IS DISTINCT FROM a.recorded_at AS fell
          FROM {accounts} a FULL JOIN by_account b ON b.account_id = a.id),
    periods AS (
        SELECT k.account_id IS NULL
               OR (k.turnover, k.turnover, k.version_first, k.version_last) IS DISTINCT FROM
                  (k.moved, r.turnover, r.version_first, r.version_last)
               OR k.version_next >= k.since_version
                  AND k.version_next <> least(k.version_last + 1, r.later) AS wrong
          FROM {kept} k
          FULL JOIN (SELECT b.* FROM (
                         SELECT b.*, min(b.version_first) OVER later_ones AS later
                           FROM by_period b
                         WINDOW later_ones AS (PARTITION BY b.account_id ORDER BY b.period_id
                                ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)) b
                       JOIN ledger_period p ON p.id = b.period_id
                      WHERE p.kept_at IS NOT NULL) r
            ON r.account_id = k.account_id AND r.period_id = k.period_id
         WHERE k.whole IS NOT FALSE)
SELECT (SELECT COALESCE(sum(entries), 0)::int8 FROM accounts),
       (SELECT COALESCE(sum(wrong), 0)::int8 FROM accounts),
       (SELECT count(*) FROM accounts),
       (SELECT count(*) FILTER (WHERE misplaced) FROM accounts),
       (SELECT count(*) FROM accounts),
       (SELECT count(*) FILTER (WHERE fell) FROM accounts),
       (SELECT count(*) FROM periods),
       (SELECT count(*) FILTER (WHERE wrong) FROM periods)
"""

REPLAY = _REPLAY.format(moved="", entries=_ALL_ENTRIES, accounts=_ALL_ACCOUNTS, kept=_ALL_KEPT)
REPLAY_SINCE = _REPLAY.format(
    moved=_MOVED, entries=_MOVED_ENTRIES, accounts=_MOVED_ACCOUNTS, kept=_MOVED_KEPT
)

# The totals follow from the kept balances: what each of these adds to its side, summed up.
_TOTALS = """
WITH steps AS (
    SELECT a.region, a.asset, a.code, k.period_id,
           sum(greatest(k.balance, 0) - greatest(k.before, 0)) AS debits,
           sum(greatest(-k.balance, 0) - greatest(-k.before, 0)) AS credits
      FROM (SELECT o.*, lag(o.balance, 1, 0::numeric) OVER by_period AS before
              FROM ledger_periodbalance o
            WINDOW by_period AS (PARTITION BY o.account_id ORDER BY o.period_id)) k
      JOIN ledger_account a ON a.id = k.account_id
     GROUP BY a.region, a.asset, a.code, k.period_id),
expected AS (
    SELECT b.region, b.asset, b.code, p.id AS period_id,
           sum(COALESCE(s.debits, 0)) OVER up_to AS debits,
           sum(COALESCE(s.credits, 0)) OVER up_to AS credits
      FROM (SELECT region, asset, code, min(period_id) AS first FROM steps
             GROUP BY region, asset, code) b
      JOIN ledger_period p ON p.kept_at IS NOT NULL AND p.id >= b.first
      LEFT JOIN steps s ON (s.region, s.asset, s.code, s.period_id)
                           = (b.region, b.asset, b.code, p.id)
    WINDOW up_to AS (PARTITION BY b.region, b.asset, b.code ORDER BY p.id))
SELECT count(*), count(*) FILTER (WHERE (e.debits, e.credits) IS DISTINCT FROM
                                        (t.debits, t.credits))
  FROM expected e FULL JOIN ledger_periodtotal t USING (region, asset, code, period_id)
"""

_HELD = """
    SELECT count(*), count(*) FILTER (WHERE a.held <> COALESCE(h.rest, 0))
      FROM ledger_account a
      LEFT JOIN (SELECT account_id, sum(amount - posted - released) AS rest
                   FROM ledger_hold {open} GROUP BY account_id) h ON h.account_id = a.id
"""

_HOLDS = """
    SELECT count(*), count(*) FILTER (WHERE h.posted <> COALESCE(t.taken, 0) OR t.elsewhere > 0)
      FROM ledger_hold h
      {join} (SELECT e.hold_id, sum(-e.amount * a.normal_side) AS taken,
                     count(*) FILTER (WHERE e.account_id <> o.account_id) AS elsewhere
                FROM {entries} e
                JOIN ledger_account a ON a.id = e.account_id
                LEFT JOIN ledger_hold o ON o.id = e.hold_id
               WHERE e.hold_id IS NOT NULL GROUP BY e.hold_id) t ON t.hold_id = h.id
"""
_ENTRIES_OF_TOUCHED_HOLDS = """(
    SELECT e.* FROM (SELECT DISTINCT o.hold_id
                       FROM ledger_transfer t
                       CROSS JOIN LATERAL (SELECT e.hold_id FROM ledger_entry e
                                            WHERE e.transfer_id = t.id OFFSET 0) o
                      WHERE t.xid >= %(xid)s::text::xid8 AND o.hold_id IS NOT NULL) touched
     CROSS JOIN LATERAL (SELECT o.* FROM ledger_entry o
                          WHERE o.hold_id = touched.hold_id OFFSET 0) e)"""

_REVERSALS = """
    SELECT count(*), count(*) FILTER (WHERE wrong) FROM (
        SELECT NOT EXISTS (SELECT 1 FROM ledger_entry e WHERE e.transfer_id = r.transfer_id)
               OR EXISTS (
                  SELECT 1
                    FROM (VALUES (r.transfer_id, 1), (r.reverses_id, -1)) AS s (transfer_id, sign)
                    JOIN ledger_entry e ON e.transfer_id = s.transfer_id
                    JOIN ledger_account a ON a.id = e.account_id
                   GROUP BY a.owner, a.code, a.region, a.asset, e.amount::numeric * s.sign
                  HAVING sum(s.sign) <> 0) AS wrong
          FROM ledger_reversal r {since}) judged
"""

_FLOORS = """
    SELECT count(*), count(*) FILTER (WHERE balance * normal_side < held)
      FROM ledger_account WHERE floor
"""

_CLEARING = """
    SELECT count(*), count(*) FILTER (WHERE total <> 0) FROM (
        SELECT sum(balance) AS total FROM (
            SELECT owner, asset, balance, region, substr(code, 10) AS other
              FROM ledger_account WHERE code LIKE 'clearing:%%') c
         GROUP BY owner, asset, least(region, other), greatest(region, other)) pairs
"""

_TRIAL_BALANCE = """
    SELECT count(*), count(*) FILTER (WHERE total <> 0) FROM (
        SELECT sum(balance) AS total FROM ledger_account GROUP BY region, asset) books
"""

# Name of the check -> its sentence and its statement.
Rules = dict[str, tuple[str, str]]

_HOLDS_SAY = "holds are posted by what their transfers took"
_HELD_SAYS = "accounts hold what rests on their open holds"
_REVERSALS_SAY = "reversals are the exact opposite of what they reverse"

RULES: Rules = {
    "ledger.floors": ("accounts with a floor have nothing below it", _FLOORS),
    "ledger.held": (_HELD_SAYS, _HELD.format(open="")),
    "ledger.holds": (_HOLDS_SAY, _HOLDS.format(join="LEFT JOIN", entries="ledger_entry")),
    "ledger.reversals": (_REVERSALS_SAY, _REVERSALS.format(since="")),
    "ledger.totals": ("totals are what the kept balances of their periods say", _TOTALS),
    "ledger.clearing": ("clearing accounts and their mirrors sum to zero", _CLEARING),
    "ledger.trial_balance": ("books of a region and asset sum to zero", _TRIAL_BALANCE),
}

RULES_SINCE: Rules = {
    **RULES,
    "ledger.held": (_HELD_SAYS, _HELD.format(open="WHERE resolved_at IS NULL")),
    "ledger.holds": (_HOLDS_SAY, _HOLDS.format(join="JOIN", entries=_ENTRIES_OF_TOUCHED_HOLDS)),
    "ledger.reversals": (
        _REVERSALS_SAY,
        _REVERSALS.format(
            since="JOIN ledger_transfer t ON t.id = r.transfer_id"
            " WHERE t.xid >= %(xid)s::text::xid8"
        ),
    ),
}
