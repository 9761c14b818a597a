"""What must hold of all leases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db import connection

from core import clock
from core.verify import Finding

# A trade may wait so long for its lease.
PULL_WITHIN = timedelta(minutes=1)

# Each query answers how many rows it looked at and how many of them are wrong.
_CHECKS: dict[str, tuple[str, str]] = {
    "scheduling.pulled": (
        "trades older than a minute have their lease",
        """
        SELECT count(*), count(*) FILTER (WHERE lease.id IS NULL)
          FROM exchange_trade trade LEFT JOIN exchange_lease lease ON lease.id = trade.id
         WHERE trade.traded_at < %(pulled_by)s
        """,
    ),
    "scheduling.as_traded": (
        "leases say what their trades say",
        """
        SELECT count(*), count(*) FILTER (
               WHERE (lease.buyer_id, lease.provider_id, lease.centre_id, lease.units,
                      lease.starts_at, lease.ends_at)
                     IS DISTINCT FROM
                     (trade.buyer_id, COALESCE(root.seller_id, trade.seller_id),
                      pool.centre_id, trade.units,
                      trade.starts_at, trade.ends_at))
          FROM exchange_lease lease
          JOIN exchange_trade trade ON trade.id = lease.id
          JOIN exchange_pool pool ON pool.id = trade.pool_id
          LEFT JOIN exchange_trade root ON root.id = trade.resold_from_id
        """,
    ),
    "scheduling.times": (
        "leases have the times that their states ask for",
        """
        SELECT count(*), count(*) FILTER (
               WHERE (state IN ('active', 'completed') AND activated_at IS NULL)
                  OR (state IN ('scheduled', 'provisioning') AND activated_at IS NOT NULL)
                  OR (state IN ('completed', 'failed', 'terminated')) <> (ended_at IS NOT NULL)
                  OR (state = 'completed' AND ended_at <> ends_at)
                  OR ended_at > ends_at OR activated_at < starts_at
                  OR activated_at >= ends_at OR ended_at < activated_at)
          FROM exchange_lease
        """,
    ),
    "scheduling.history": (
        "leases stand where their events lead, from the first on and without a gap",
        """
        SELECT count(*), count(*) FILTER (WHERE wrong) FROM (
            SELECT lease.id, COALESCE(bool_or(event.state_before <> event.expected), false)
                   OR lease.state <> COALESCE(
                       (array_agg(event.state_after ORDER BY event.id DESC))[1], 'scheduled')
                   AS wrong
              FROM exchange_lease lease
              LEFT JOIN (
                   SELECT id, lease_id, state_before, state_after,
                          lag(state_after, 1, 'scheduled')
                              OVER (PARTITION BY lease_id ORDER BY id) AS expected
                     FROM exchange_leaseevent) event ON event.lease_id = lease.id
             GROUP BY lease.id, lease.state) judged
        """,
    ),
    "scheduling.released": (
        "leases that ended before their time gave back the whole slots that were left",
        """
        SELECT count(*), count(*) FILTER (
               WHERE release.trade_id IS NULL OR release.from_slot <> due.from_slot)
          FROM (SELECT lease.id, trade.end_slot, greatest(trade.start_slot,
                       ceil(extract(epoch FROM lease.ended_at) / 3600))::int AS from_slot
                  FROM exchange_lease lease JOIN exchange_trade trade ON trade.id = lease.id
                 WHERE lease.ended_at IS NOT NULL) due
          LEFT JOIN exchange_traderelease release ON release.trade_id = due.id
         WHERE due.from_slot < due.end_slot
        """,
    ),
}


def checks() -> Iterator[Finding]:
    """One finding for each thing that must hold of all leases."""
    values = {"pulled_by": clock.now() - PULL_WITHIN}
    for name, (sentence, sql) in _CHECKS.items():
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            looked_at, wrong = cursor.fetchone()
        yield Finding(name, wrong == 0, f"{looked_at} {sentence}; {wrong} do not")
