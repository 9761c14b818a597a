"""What the database itself refuses, whoever writes: overselling, changed terms, changed history."""

from django.contrib.postgres.operations import BtreeGistExtension
from django.db import migrations

from core.sql import refuse_change_sql

FORWARD = """
-- Invariant 1: a trade claims units in each of its slots, and no slot is ever lifted above what
-- the pool has. Set-based: one statement for all the trades of a batch.
CREATE FUNCTION exchange_trade_claims_capacity() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    oversold record;
BEGIN
    PERFORM 1 FROM exchange_pool
      WHERE id IN (SELECT pool_id FROM claimed) ORDER BY id FOR SHARE;
    WITH by_slot AS (
        SELECT c.pool_id, slot, sum(c.units)::int AS units
          FROM claimed c, generate_series(c.start_slot, c.end_slot - 1) AS slot
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
CREATE TRIGGER trade_claims_capacity AFTER INSERT ON exchange_trade
    REFERENCING NEW TABLE AS claimed
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_trade_claims_capacity();

CREATE FUNCTION exchange_release_frees_capacity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM released r JOIN exchange_trade t ON t.id = r.trade_id
                WHERE r.from_slot < t.start_slot OR r.from_slot >= t.end_slot) THEN
        RAISE EXCEPTION 'a trade can only give back slots that it has'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'release_within_trade';
    END IF;
    PERFORM 1 FROM exchange_pool
      WHERE id IN (SELECT t.pool_id FROM released r JOIN exchange_trade t ON t.id = r.trade_id)
      ORDER BY id FOR SHARE;
    -- An UPDATE visits rows in any order: without this, two releases could wait for each other.
    PERFORM 1 FROM exchange_poolday d
      WHERE (d.pool_id, d.day) IN (
            SELECT t.pool_id, day
              FROM released r JOIN exchange_trade t ON t.id = r.trade_id
             CROSS JOIN LATERAL generate_series(r.from_slot / 24, (t.end_slot - 1) / 24) AS day)
      ORDER BY d.pool_id, d.day FOR UPDATE;
    WITH by_slot AS (
        SELECT t.pool_id, slot, sum(t.units)::int AS units
          FROM released r
          JOIN exchange_trade t ON t.id = r.trade_id
         CROSS JOIN LATERAL generate_series(r.from_slot, t.end_slot - 1) AS slot
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
CREATE TRIGGER release_frees_capacity AFTER INSERT ON exchange_traderelease
    REFERENCING NEW TABLE AS released
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_release_frees_capacity();

ALTER TABLE exchange_poolday ADD CONSTRAINT pool_day_has_24_hours
    CHECK (array_length(sold, 1) = 24 AND 0 <= ALL (sold));

-- Only the two triggers above count what is sold: a direct write arrives at trigger depth 1.
CREATE FUNCTION exchange_refuse_direct_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'what is sold is counted by trades and releases alone'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_day_counted_by_trades';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER pool_day_counted_by_trades
    BEFORE INSERT OR UPDATE OR DELETE ON exchange_poolday
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_refuse_direct_count();

-- Invariant 4: a trade stays within the order's terms and the offer's.
CREATE FUNCTION exchange_trade_keeps_terms() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    broken record;
BEGIN
    SELECT n.id, CASE
        WHEN n.buyer_id <> o.buyer_id OR n.seller_id <> f.provider_id THEN 'parties'
        WHEN n.pool_id <> f.pool_id OR n.grade_id <> p.grade_id THEN 'goods'
        WHEN n.book_id <> o.book_id OR n.book_id <> f.book_id THEN 'book'
        WHEN array_position(o.grade_ids, n.grade_id) IS NULL THEN 'grade'
        WHEN n.start_slot < o.earliest_slot OR n.end_slot > o.latest_slot THEN 'order window'
        WHEN n.end_slot - n.start_slot
             <> o.duration_slots + CASE WHEN o.on_demand THEN 1 ELSE 0 END THEN 'duration'
        WHEN n.start_slot < f.start_slot OR n.end_slot > f.end_slot THEN 'offer window'
        WHEN n.is_reclaimable AND NOT o.accepts_reclaimable THEN 'reclaimable'
        -- micro-yuan of the whole trade against limit x units x hours, and less than two for its rounding
        WHEN (n.compute_micro + n.transport_micro)::numeric * 3600 >
             (o.limit_prices[array_position(o.grade_ids, n.grade_id)] * 1000000)
             * n.units * extract(epoch FROM n.ends_at - n.starts_at) + 7200
             THEN 'limit'
        ELSE NULL END AS rule
      INTO broken
      FROM written n
      JOIN exchange_order o ON o.id = n.order_id
      JOIN exchange_offer f ON f.id = n.offer_id
      JOIN exchange_pool p ON p.id = n.pool_id
     WHERE n.buyer_id <> o.buyer_id OR n.seller_id <> f.provider_id
        OR n.pool_id <> f.pool_id OR n.grade_id <> p.grade_id
        OR n.book_id <> o.book_id OR n.book_id <> f.book_id
        OR array_position(o.grade_ids, n.grade_id) IS NULL
        OR n.start_slot < o.earliest_slot OR n.end_slot > o.latest_slot
        OR n.end_slot - n.start_slot
           <> o.duration_slots + CASE WHEN o.on_demand THEN 1 ELSE 0 END
        OR n.start_slot < f.start_slot OR n.end_slot > f.end_slot
        OR (n.is_reclaimable AND NOT o.accepts_reclaimable)
        OR (n.compute_micro + n.transport_micro)::numeric * 3600 >
             (o.limit_prices[array_position(o.grade_ids, n.grade_id)] * 1000000)
             * n.units * extract(epoch FROM n.ends_at - n.starts_at) + 7200
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'trade % breaks the terms: %', broken.id, broken.rule
            USING ERRCODE = 'check_violation', CONSTRAINT = 'trade_keeps_terms';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER trade_keeps_terms AFTER INSERT ON exchange_trade
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_trade_keeps_terms();

-- The terms of an order never change; a book's event is admitted once.
CREATE FUNCTION exchange_order_terms_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the terms of order % are fixed', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'order_terms_fixed';
END $$;
CREATE TRIGGER order_terms_fixed BEFORE UPDATE OF
    id, buyer_id, book_id, grade_ids, limit_prices, units, min_units, duration_slots, on_demand,
    earliest_slot, latest_slot, placement, rtt_region_id, max_rtt_us, regions_allowed,
    regions_excluded, min_green_share, max_pue, min_reliability, data_region_id,
    data_in_gb_per_unit, data_out_gb_per_unit, accepts_reclaimable, max_cost_micro, time_in_force,
    good_till_at, expires_at, held_micro, placed_at
    ON exchange_order FOR EACH ROW EXECUTE FUNCTION exchange_order_terms_fixed();

CREATE FUNCTION exchange_book_event_admitted_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.batch IS NOT NULL OR (OLD.id, OLD.book_id, OLD.kind, OLD.subject_id, OLD.payload)
       IS DISTINCT FROM (NEW.id, NEW.book_id, NEW.kind, NEW.subject_id, NEW.payload) THEN
        RAISE EXCEPTION 'event % of a book is admitted once and never changed', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'book_event_admitted_once';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER book_event_admitted_once BEFORE UPDATE ON exchange_bookevent
    FOR EACH ROW EXECUTE FUNCTION exchange_book_event_admitted_once();
"""

REVERSE = """
DROP TRIGGER book_event_admitted_once ON exchange_bookevent;
DROP FUNCTION exchange_book_event_admitted_once();
DROP TRIGGER order_terms_fixed ON exchange_order;
DROP FUNCTION exchange_order_terms_fixed();
DROP TRIGGER trade_keeps_terms ON exchange_trade;
DROP FUNCTION exchange_trade_keeps_terms();
DROP TRIGGER pool_day_counted_by_trades ON exchange_poolday;
DROP FUNCTION exchange_refuse_direct_count();
ALTER TABLE exchange_poolday DROP CONSTRAINT pool_day_has_24_hours;
DROP TRIGGER release_frees_capacity ON exchange_traderelease;
DROP FUNCTION exchange_release_frees_capacity();
DROP TRIGGER trade_claims_capacity ON exchange_trade;
DROP FUNCTION exchange_trade_claims_capacity();
"""

APPEND_ONLY = [
    "exchange_ruleset",
    "exchange_admission",
    "exchange_trade",
    "exchange_traderelease",
    "exchange_leaseevent",
]


class Migration(migrations.Migration):
    dependencies = [("exchange", "0001_initial"), ("core", "0002_guards")]

    operations = [
        BtreeGistExtension(),
        migrations.RunSQL(FORWARD, REVERSE),
        *(migrations.RunSQL(*refuse_change_sql(table)) for table in APPEND_ONLY),
    ]
