"""Resale: only trades that no other stands behind claim capacity; the others stay within theirs."""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
-- Only root trades count: what is resold passes on what is claimed already.
CREATE OR REPLACE FUNCTION exchange_trade_claims_capacity() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    oversold record;
BEGIN
    PERFORM 1 FROM exchange_pool
      WHERE id IN (SELECT pool_id FROM claimed WHERE resold_from_id IS NULL) ORDER BY id FOR SHARE;
    WITH by_slot AS (
        SELECT c.pool_id, slot, sum(c.units)::int AS units
          FROM claimed c, generate_series(c.start_slot, c.end_slot - 1) AS slot
         WHERE c.resold_from_id IS NULL
         GROUP BY c.pool_id, slot
    ), by_day AS (
        SELECT d.pool_id, d.day,
               array_agg(coalesce(b.units, 0) ORDER BY hour) AS added
          FROM (SELECT DISTINCT pool_id, slot / 24 AS day FROM by_slot) d
         CROSS JOIN generate_series(0, 23) AS hour
          LEFT JOIN by_slot b ON b.pool_id = d.pool_id AND b.slot = d.day * 24 + hour
         GROUP BY d.pool_id, d.day
    ), counted AS (
        INSERT INTO exchange_poolday AS kept (pool_id, day, sold)
        SELECT pool_id, day, added FROM by_day ORDER BY pool_id, day
        ON CONFLICT (pool_id, day) DO UPDATE SET sold = (
            SELECT array_agg(was + added ORDER BY hour)
              FROM unnest(kept.sold, excluded.sold) WITH ORDINALITY AS u(was, added, hour))
        RETURNING pool_id, day, sold
    )
    SELECT c.pool_id, c.day, u.hour - 1 AS hour, u.sold, p.available_units INTO oversold
      FROM counted c
      JOIN by_day b USING (pool_id, day)
      JOIN exchange_pool p ON p.id = c.pool_id
     CROSS JOIN LATERAL unnest(c.sold, b.added) WITH ORDINALITY AS u(sold, added, hour)
     WHERE u.added > 0 AND u.sold > p.available_units
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'pool % would be sold to % of % units in slot %',
            oversold.pool_id, oversold.sold, oversold.available_units,
            oversold.day * 24 + oversold.hour
            USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_never_oversold';
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION exchange_release_frees_capacity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM released r JOIN exchange_trade t ON t.id = r.trade_id
                WHERE r.from_slot < t.start_slot OR r.from_slot >= t.end_slot) THEN
        RAISE EXCEPTION 'a trade can only give back slots that it has'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'release_within_trade';
    END IF;
    PERFORM 1 FROM exchange_pool
      WHERE id IN (SELECT t.pool_id FROM released r JOIN exchange_trade t ON t.id = r.trade_id
                    WHERE t.resold_from_id IS NULL)
      ORDER BY id FOR SHARE;
    -- An UPDATE visits rows in any order: without this, two releases could wait for each other.
    PERFORM 1 FROM exchange_poolday d
      WHERE (d.pool_id, d.day) IN (
            SELECT t.pool_id, day
              FROM released r JOIN exchange_trade t ON t.id = r.trade_id
             CROSS JOIN LATERAL generate_series(r.from_slot / 24, (t.end_slot - 1) / 24) AS day
             WHERE t.resold_from_id IS NULL)
      ORDER BY d.pool_id, d.day FOR UPDATE;
    WITH by_slot AS (
        SELECT t.pool_id, slot, sum(t.units)::int AS units
          FROM released r
          JOIN exchange_trade t ON t.id = r.trade_id
         CROSS JOIN LATERAL generate_series(r.from_slot, t.end_slot - 1) AS slot
         WHERE t.resold_from_id IS NULL
         GROUP BY t.pool_id, slot
    ), by_day AS (
        SELECT d.pool_id, d.day, array_agg(coalesce(b.units, 0) ORDER BY hour) AS freed
          FROM (SELECT DISTINCT pool_id, slot / 24 AS day FROM by_slot) d
         CROSS JOIN generate_series(0, 23) AS hour
          LEFT JOIN by_slot b ON b.pool_id = d.pool_id AND b.slot = d.day * 24 + hour
         GROUP BY d.pool_id, d.day
    )
    UPDATE exchange_poolday kept SET sold = (
        SELECT array_agg(was - freed ORDER BY hour)
          FROM unnest(kept.sold, by_day.freed) WITH ORDINALITY AS u(was, freed, hour))
      FROM by_day WHERE kept.pool_id = by_day.pool_id AND kept.day = by_day.day;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION exchange_trade_keeps_terms() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    broken record;
BEGIN
    WITH terms AS (
        SELECT o.id AS order_id, NULL::bigint AS until_batch, o.limit_prices, o.earliest_slot,
               o.latest_slot
          FROM exchange_order o WHERE o.id IN (SELECT order_id FROM written)
        UNION ALL
        SELECT a.order_id, a.batch, b.limit_prices, b.earliest_slot, b.latest_slot
          FROM exchange_orderamendment a
          JOIN LATERAL exchange_terms_before(a) b ON b.id IS NOT NULL
         WHERE a.state = 'applied' AND (a.order_id, a.batch) IN (
               SELECT order_id, batch FROM written)
    ), judged AS (
        SELECT n.id, n.order_id, t.until_batch, CASE
            WHEN n.buyer_id <> o.buyer_id OR n.seller_id <> f.provider_id THEN 'parties'
            WHEN n.pool_id <> f.pool_id OR n.grade_id <> p.grade_id THEN 'goods'
            WHEN n.book_id <> o.book_id OR n.book_id <> f.book_id THEN 'book'
            WHEN array_position(o.grade_ids, n.grade_id) IS NULL THEN 'grade'
            WHEN n.start_slot < t.earliest_slot OR n.end_slot > t.latest_slot THEN 'order window'
            WHEN n.end_slot - n.start_slot
                 <> o.duration_slots + CASE WHEN o.on_demand THEN 1 ELSE 0 END THEN 'duration'
            WHEN n.start_slot < f.start_slot OR n.end_slot > f.end_slot THEN 'offer window'
            WHEN n.resold_from_id IS DISTINCT FROM f.resale_of_id
                 OR (n.allows_resale AND NOT f.allows_resale) THEN 'resale'
            WHEN o.bound_pool_id <> n.pool_id THEN 'bound pool'
            WHEN n.is_reclaimable AND NOT o.accepts_reclaimable THEN 'reclaimable'
            -- micro-yuan of the whole trade against limit x units x hours, and less than two for
            -- its rounding
            WHEN (n.compute_micro + n.transport_micro)::numeric * 3600 >
                 (t.limit_prices[array_position(o.grade_ids, n.grade_id)] * 1000000)
                 * n.units * extract(epoch FROM n.ends_at - n.starts_at) + 7200
                 THEN 'limit'
            ELSE NULL END AS rule
          FROM written n
          JOIN exchange_order o ON o.id = n.order_id
          JOIN terms t ON t.order_id = n.order_id
           AND (t.until_batch IS NULL OR t.until_batch = n.batch)
          JOIN exchange_offer f ON f.id = n.offer_id
          JOIN exchange_pool p ON p.id = n.pool_id
    )
    SELECT id, max(rule) AS rule INTO broken
      FROM judged GROUP BY id HAVING bool_and(rule IS NOT NULL) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'trade % breaks the terms: %', broken.id, broken.rule
            USING ERRCODE = 'check_violation', CONSTRAINT = 'trade_keeps_terms';
    END IF;
    RETURN NULL;
END $$;

-- What is resold of a trade stays within its units in each slot, its time and its holder. The lock
-- makes those who resell the same trade wait for one another, so that each counts the others.
CREATE FUNCTION exchange_resale_within_its_trade() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    broken uuid;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM resold WHERE resold_from_id IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(id::text, 0))
       FROM (SELECT DISTINCT resold_from_id AS id FROM resold
              WHERE resold_from_id IS NOT NULL ORDER BY 1) roots;
    SELECT n.id INTO broken
      FROM resold n
      JOIN exchange_trade root ON root.id = n.resold_from_id
      LEFT JOIN exchange_traderelease r ON r.trade_id = root.id
     WHERE root.resold_from_id IS NOT NULL OR NOT root.allows_resale OR n.allows_resale
        OR root.buyer_id <> n.seller_id OR root.pool_id <> n.pool_id
        OR n.start_slot < root.start_slot
        OR n.end_slot > COALESCE(r.from_slot, root.end_slot)
        OR n.starts_at < root.starts_at
        OR (root.is_reclaimable AND NOT n.is_reclaimable)
     LIMIT 1;
    IF broken IS NULL THEN
        SELECT t.resold_from_id INTO broken
          FROM exchange_trade t
          JOIN exchange_trade root ON root.id = t.resold_from_id
          LEFT JOIN exchange_traderelease r ON r.trade_id = t.id
         CROSS JOIN LATERAL generate_series(
               t.start_slot, COALESCE(r.from_slot, t.end_slot) - 1) AS slot
         WHERE t.resold_from_id IN (SELECT resold_from_id FROM resold)
         GROUP BY t.resold_from_id, root.units, slot
        HAVING sum(t.units) > root.units LIMIT 1;
    END IF;
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'more would be resold than trade % has', broken
            USING ERRCODE = 'check_violation', CONSTRAINT = 'resale_within_its_trade';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER resale_within_its_trade AFTER INSERT ON exchange_trade
    REFERENCING NEW TABLE AS resold
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_resale_within_its_trade();

CREATE FUNCTION exchange_resale_offer_of_holder() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.resale_of_id IS DISTINCT FROM NEW.resale_of_id
       OR NEW.resale_of_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM exchange_trade t
         WHERE t.id = NEW.resale_of_id AND t.resold_from_id IS NULL AND t.allows_resale
           AND t.buyer_id = NEW.provider_id AND t.pool_id = NEW.pool_id
           AND NEW.units <= t.units AND NEW.start_slot >= t.start_slot
           AND NEW.end_slot <= t.end_slot
           AND (NEW.is_reclaimable OR NOT t.is_reclaimable)) THEN
        RAISE EXCEPTION 'offer % is not of what its holder has', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'resale_offer_of_holder';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER resale_offer_of_holder
    BEFORE INSERT OR UPDATE OF resale_of_id, provider_id, pool_id, units, start_slot, end_slot,
    is_reclaimable ON exchange_offer
    FOR EACH ROW EXECUTE FUNCTION exchange_resale_offer_of_holder();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_guards"),
        ("exchange", "0008_orderly_guards"),
    ]

    operations = [
        migrations.AddField(
            model_name="offer",
            name="allows_resale",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="offer",
            name="resale_of",
            field=models.ForeignKey(
                help_text="the trade whose slots its holder offers",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="resale_offers",
                to="exchange.trade",
            ),
        ),
        migrations.AddField(
            model_name="trade",
            name="allows_resale",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="trade",
            name="resold_from",
            field=models.ForeignKey(
                help_text="the trade that claims the capacity; this one only passes it on",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="resales",
                to="exchange.trade",
            ),
        ),
        migrations.AddIndex(
            model_name="offer",
            index=models.Index(
                condition=models.Q(("resale_of__isnull", False)),
                fields=["resale_of"],
                name="offer_of_resale",
            ),
        ),
        migrations.AddIndex(
            model_name="trade",
            index=models.Index(
                condition=models.Q(("resold_from__isnull", False)),
                fields=["resold_from"],
                name="trade_of_resale",
            ),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("resale_of__isnull", True), ("allows_resale", False), _connector="OR"
                ),
                name="what_is_resold_is_not_resold_again",
            ),
        ),
        migrations.RunSQL(FORWARD),
    ]
