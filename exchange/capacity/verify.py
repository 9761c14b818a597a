"""What must hold over all centres and pools."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import connection
from django.db.models import F

from core.verify import Finding
from exchange.capacity.models import DeviceFigure, DeviceModel, Pool

# Sold units above what is registered, in slots for which the units were stated: they may be
# lowered once the hours that were sold have passed.
_OVERSOLD = """
SELECT count(*)
FROM exchange_poolday days
JOIN exchange_pool pool ON pool.id = days.pool_id,
     unnest(days.sold) WITH ORDINALITY AS hours(units, hour)
WHERE days.day * 24 + hours.hour - 1
      >= COALESCE(floor(extract(epoch FROM pool.units_stated_at) / 3600), 0)
  AND hours.units > pool.units
"""

# Slots of pools whose days count otherwise than what trades claim less what was given back, and
# what auctions reserve.
MISCOUNTED = """
    WITH claimed AS (
        SELECT pool_id, slot, sum(units) AS units FROM (
            SELECT trade.pool_id, slot, trade.units
            FROM exchange_trade trade
            LEFT JOIN exchange_traderelease release ON release.trade_id = trade.id,
                 generate_series(trade.start_slot,
                                 COALESCE(release.from_slot, trade.end_slot) - 1) AS slot
            WHERE trade.resold_from_id IS NULL
            UNION ALL
            SELECT kept.pool_id, kept.first_slot + hours.hour::int - 1, hours.units
            FROM exchange_auctionreservation kept
            LEFT JOIN exchange_auctionreservationend ended ON ended.reservation_id = kept.line_id,
                 unnest(kept.units) WITH ORDINALITY AS hours(units, hour)
            WHERE ended.reservation_id IS NULL AND hours.units > 0
        ) claim
        GROUP BY pool_id, slot
    ), counted AS (
        SELECT days.pool_id, days.day * 24 + hours.hour - 1 AS slot, hours.units
        FROM exchange_poolday days, unnest(days.sold) WITH ORDINALITY AS hours(units, hour)
        WHERE hours.units <> 0
    )
    SELECT pool_id, slot FROM claimed FULL JOIN counted USING (pool_id, slot)
    WHERE claimed.units IS DISTINCT FROM counted.units
"""


def checks() -> Iterator[Finding]:
    """No pool is oversold, what is sold is counted right, figures say where they come from."""
    oversold = _count(_OVERSOLD)
    yield Finding(
        "capacity.never_oversold", oversold == 0, f"{oversold} hours of pools above their units"
    )
    wrong = _count(f"SELECT count(*) FROM ({MISCOUNTED}) wrong")  # noqa: S608 - the constant above
    yield Finding(
        "capacity.sold_is_counted", wrong == 0, f"{wrong} hours counted otherwise than traded"
    )
    above = Pool.objects.filter(available_units__gt=F("units")).count()
    yield Finding(
        "capacity.available_within_registered",
        above == 0,
        f"{above} pools offer more than they have",
    )
    models = DeviceModel.objects.count()
    bare = DeviceModel.objects.filter(figures=None).count()
    unsourced = DeviceFigure.objects.filter(source="").count()
    yield Finding(
        "capacity.figures_have_sources",
        bare == unsourced == 0,
        f"{models} device models, {bare} without figures, {unsourced} figures without a source",
    )


def _count(statement: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return int(cursor.fetchone()[0])
