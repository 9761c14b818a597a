"""What the database itself refuses of the day-ahead auction, whoever writes."""

from django.db import migrations

from core.sql import refuse_change_sql

FORWARD = """
-- Invariant 1 holds for the sum of what trades claim and what auctions reserve: both count in the
-- same days. Units below zero give back.
CREATE FUNCTION exchange_count_units(pools uuid[], slots int[], units int[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    oversold record;
BEGIN
    PERFORM 1 FROM exchange_pool WHERE id = ANY (pools) ORDER BY id FOR SHARE;
    INSERT INTO exchange_poolday (pool_id, day, sold)
    SELECT DISTINCT pool_id, slot / 24, array_fill(0, ARRAY[24])
      FROM unnest(pools, slots) AS m (pool_id, slot)
     ORDER BY pool_id, slot / 24
    ON CONFLICT (pool_id, day) DO NOTHING;
    PERFORM 1 FROM exchange_poolday d
      WHERE (d.pool_id, d.day) IN (
            SELECT pool_id, slot / 24 FROM unnest(pools, slots) AS m (pool_id, slot))
      ORDER BY d.pool_id, d.day FOR UPDATE;
    WITH by_slot AS (
        SELECT pool_id, slot, sum(moved)::int AS units
          FROM unnest(pools, slots, units) AS m (pool_id, slot, moved)
         GROUP BY pool_id, slot
    ), by_day AS (
        SELECT d.pool_id, d.day, array_agg(coalesce(b.units, 0) ORDER BY hour) AS added
          FROM (SELECT DISTINCT pool_id, slot / 24 AS day FROM by_slot) d
         CROSS JOIN generate_series(0, 23) AS hour
          LEFT JOIN by_slot b ON b.pool_id = d.pool_id AND b.slot = d.day * 24 + hour
         GROUP BY d.pool_id, d.day
    ), counted AS (
        UPDATE exchange_poolday kept SET sold = (
            SELECT array_agg(was + added ORDER BY hour)
              FROM unnest(kept.sold, by_day.added) WITH ORDINALITY AS u(was, added, hour))
          FROM by_day WHERE kept.pool_id = by_day.pool_id AND kept.day = by_day.day
        RETURNING kept.pool_id, kept.day, kept.sold
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
END $$;

CREATE FUNCTION exchange_reservation_claims() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM written r
          JOIN exchange_auctionline l ON l.id = r.line_id
          JOIN exchange_auctionentry e ON e.id = l.entry_id
          JOIN exchange_auction a ON a.id = e.auction_id
          JOIN exchange_offer f ON f.id = r.offer_id
         WHERE r.auction_id <> e.auction_id OR r.pool_id IS DISTINCT FROM e.pool_id
            OR e.side <> 'sell' OR e.state <> 'entered' OR a.state <> 'closed'
            OR f.auction_entry_id IS DISTINCT FROM e.id OR r.first_slot <> a.first_slot
            OR cardinality(r.units) <> cardinality(l.units)
            OR EXISTS (SELECT 1 FROM unnest(r.units, l.units) AS u(kept, offered)
                        WHERE kept IS NULL OR kept < 0 OR kept > offered)) THEN
        RAISE EXCEPTION 'a reservation is of what a line of a closed auction offers'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reservation_within_offer';
    END IF;
    PERFORM exchange_count_units(array_agg(r.pool_id), array_agg(r.first_slot + u.hour::int - 1),
                                 array_agg(u.units))
       FROM written r, unnest(r.units) WITH ORDINALITY AS u(units, hour) WHERE u.units > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER reservation_claims AFTER INSERT ON exchange_auctionreservation
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_reservation_claims();

CREATE FUNCTION exchange_reservation_ends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM written w
          JOIN exchange_auctionreservation r ON r.line_id = w.reservation_id
          JOIN exchange_auction a ON a.id = r.auction_id
         WHERE a.state NOT IN ('published', 'cancelled', 'failed')
            OR cardinality(w.returned) <> cardinality(r.units)
            OR (a.state <> 'published' AND w.returned <> r.units)
            OR EXISTS (SELECT 1 FROM unnest(w.returned, r.units) AS u(back, kept)
                        WHERE back IS NULL OR back < 0 OR back > kept)) THEN
        RAISE EXCEPTION 'a reservation ends with its auction, and returns what it held at most'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reservation_ends_with_auction';
    END IF;
    PERFORM exchange_count_units(array_agg(r.pool_id), array_agg(r.first_slot + u.hour::int - 1),
                                 array_agg(-u.units))
       FROM written w JOIN exchange_auctionreservation r ON r.line_id = w.reservation_id,
            unnest(r.units) WITH ORDINALITY AS u(units, hour) WHERE u.units > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER reservation_ends AFTER INSERT ON exchange_auctionreservationend
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_reservation_ends();

-- An auction's times and limits are fixed, and it moves by the table of states alone.
CREATE FUNCTION exchange_auction_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'announced' THEN
            RAISE EXCEPTION 'an auction begins announced'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_moves_by_its_table';
        END IF;
        RETURN NEW;
    END IF;
    IF (OLD.id, OLD.delivery_date, OLD.first_slot, OLD.end_slot, OLD.opens_at, OLD.closes_at,
        OLD.clear_by_at, OLD.publish_by_at, OLD.solver_seconds, OLD.lowest_price,
        OLD.highest_price, OLD.announced_at)
       IS DISTINCT FROM
       (NEW.id, NEW.delivery_date, NEW.first_slot, NEW.end_slot, NEW.opens_at, NEW.closes_at,
        NEW.clear_by_at, NEW.publish_by_at, NEW.solver_seconds, NEW.lowest_price,
        NEW.highest_price, NEW.announced_at) THEN
        RAISE EXCEPTION 'the terms of auction % are fixed', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_terms_fixed';
    END IF;
    IF NOT (OLD.state, NEW.state) IN (
        ('announced', 'open'), ('announced', 'cancelled'), ('open', 'closed'),
        ('open', 'cancelled'), ('closed', 'cleared'), ('closed', 'failed'),
        ('closed', 'cancelled'), ('cleared', 'published'), ('cleared', 'failed'),
        ('cleared', 'cancelled')) THEN
        RAISE EXCEPTION 'auction % does not go from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_moves_by_its_table';
    END IF;
    IF NEW.state = 'closed' AND EXISTS (
        SELECT 1 FROM exchange_auctionentry e
          LEFT JOIN LATERAL (
               SELECT sum(l.price * 1000000 * u.units) AS most
                 FROM exchange_auctionline l, unnest(l.units) AS u(units)
                WHERE l.entry_id = e.id) wanted ON true
         WHERE e.auction_id = NEW.id AND e.side = 'buy' AND e.state = 'entered'
           AND wanted.most IS DISTINCT FROM e.held_micro) THEN
        RAISE EXCEPTION 'an order of auction % holds another amount than it can come to', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_orders_are_held_in_full';
    END IF;
    IF NEW.state = 'published'
       AND NOT EXISTS (SELECT 1 FROM exchange_auctionresult WHERE auction_id = NEW.id) THEN
        RAISE EXCEPTION 'auction % has no result to publish', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_publishes_a_result';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER auction_moves BEFORE INSERT OR UPDATE ON exchange_auction
    FOR EACH ROW EXECUTE FUNCTION exchange_auction_moves();

-- Nothing is entered or taken out but while the gate is open. The auction's row is shared, so that
-- whoever closes the gate waits for those who are inside, and nobody comes in after.
CREATE FUNCTION exchange_auction_entry_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    auction exchange_auction;
BEGIN
    SELECT * INTO auction FROM exchange_auction WHERE id = NEW.auction_id FOR SHARE;
    IF TG_OP = 'INSERT' THEN
        IF auction.state <> 'open' OR NEW.state <> 'entered' OR NEW.spent_micro <> 0
           OR NEW.entered_at < auction.opens_at OR NEW.entered_at >= auction.closes_at THEN
            RAISE EXCEPTION 'the gate of auction % is not open', NEW.auction_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_gate_is_open';
        END IF;
        IF NEW.side = 'sell' AND NOT EXISTS (
            SELECT 1 FROM exchange_pool p JOIN exchange_centre c ON c.id = p.centre_id
             WHERE p.id = NEW.pool_id AND p.grade_id = NEW.grade_id
               AND c.region_id = NEW.region_id AND c.provider_id = NEW.organisation_id) THEN
            RAISE EXCEPTION 'an auction offer is of a pool of its own provider'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_offer_of_own_pool';
        END IF;
        RETURN NEW;
    END IF;
    IF (OLD.id, OLD.auction_id, OLD.side, OLD.organisation_id, OLD.grade_id, OLD.region_id,
        OLD.pool_id, OLD.minimum_income_micro, OLD.minimum_income_per_unit_hour, OLD.replaces_id,
        OLD.held_micro, OLD.entered_at)
       IS DISTINCT FROM
       (NEW.id, NEW.auction_id, NEW.side, NEW.organisation_id, NEW.grade_id, NEW.region_id,
        NEW.pool_id, NEW.minimum_income_micro, NEW.minimum_income_per_unit_hour, NEW.replaces_id,
        NEW.held_micro, NEW.entered_at) THEN
        RAISE EXCEPTION 'the terms of auction entry % are fixed', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_entry_terms_fixed';
    END IF;
    IF OLD.state <> 'entered' OR NOT (NEW.state, auction.state) IN (
        ('cancelled', 'open'), ('answered', 'published'), ('returned', 'cancelled'),
        ('returned', 'failed'))
       OR (NEW.spent_micro <> 0 AND NEW.state <> 'answered') THEN
        RAISE EXCEPTION 'entry % does not go from % to % while its auction is %',
            OLD.id, OLD.state, NEW.state, auction.state
            USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_entry_moves_by_its_table';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER auction_entry_guard BEFORE INSERT OR UPDATE ON exchange_auctionentry
    FOR EACH ROW EXECUTE FUNCTION exchange_auction_entry_guard();

CREATE FUNCTION exchange_auction_line_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    auction exchange_auction;
    entry exchange_auctionentry;
BEGIN
    SELECT * INTO entry FROM exchange_auctionentry WHERE id = NEW.entry_id;
    SELECT * INTO auction FROM exchange_auction WHERE id = entry.auction_id FOR SHARE;
    IF auction.state <> 'open' OR entry.state <> 'entered' THEN
        RAISE EXCEPTION 'the gate of auction % is not open', entry.auction_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_gate_is_open';
    END IF;
    IF cardinality(NEW.units) <> auction.end_slot - auction.first_slot
       OR array_position(NEW.units, NULL) IS NOT NULL
       OR 0 > ANY (NEW.units) OR 1000000 < ANY (NEW.units) OR 0 = ALL (NEW.units) THEN
        RAISE EXCEPTION 'a line has units for each slot of the day, not below zero, some above'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_line_units_by_slot';
    END IF;
    IF NEW.price < auction.lowest_price OR NEW.price > auction.highest_price THEN
        RAISE EXCEPTION 'price % is not within the limits of the auction', NEW.price
            USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_line_price_within_limits';
    END IF;
    IF NEW.parent_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM exchange_auctionline p
         WHERE p.id = NEW.parent_id AND p.entry_id = NEW.entry_id AND p.kind = 'block'
           AND p.position < NEW.position) THEN
        RAISE EXCEPTION 'a parent is a block before it in the same order or offer'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_line_parent_before_it';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER auction_line_guard BEFORE INSERT ON exchange_auctionline
    FOR EACH ROW EXECUTE FUNCTION exchange_auction_line_guard();

-- What is frozen, answered and published stands in its place of the sequence.
CREATE FUNCTION exchange_auction_part_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    expected text := CASE TG_TABLE_NAME WHEN 'exchange_auctionproblem' THEN 'closed'
                                        ELSE 'cleared' END;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM exchange_auction WHERE id = NEW.auction_id AND state = expected)
    THEN
        RAISE EXCEPTION 'auction % is not %', NEW.auction_id, expected
            USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_part_in_its_turn';
    END IF;
    IF TG_TABLE_NAME = 'exchange_auctionresult' AND NOT EXISTS (
        SELECT 1 FROM exchange_auctionproblem
         WHERE auction_id = NEW.auction_id AND sha256 = to_jsonb(NEW) ->> 'problem_sha256') THEN
        RAISE EXCEPTION 'the result of auction % is of another problem', NEW.auction_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_result_of_its_problem';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER auction_part_guard BEFORE INSERT ON exchange_auctionproblem
    FOR EACH ROW EXECUTE FUNCTION exchange_auction_part_guard();
CREATE TRIGGER auction_part_guard BEFORE INSERT ON exchange_auctionresult
    FOR EACH ROW EXECUTE FUNCTION exchange_auction_part_guard();

CREATE FUNCTION exchange_auction_answers() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    broken record;
BEGIN
    SELECT w.line_id, CASE
        WHEN a.state <> 'published' THEN 'state'
        WHEN cardinality(w.accepted) <> cardinality(l.units) OR EXISTS (
             SELECT 1 FROM unnest(w.accepted, coalesce(r.units, l.units)) AS u(got, most)
              WHERE got IS NULL OR got < 0 OR got > most)
             OR (e.side = 'sell' AND r.line_id IS NULL) THEN 'units'
        WHEN (CASE e.side WHEN 'buy' THEN 1 ELSE -1 END)
             * (w.amount_micro - l.price * 1000000 * sums.units) > 0 THEN 'loss'
        ELSE NULL END AS rule
      INTO broken
      FROM written w
      JOIN exchange_auctionline l ON l.id = w.line_id
      JOIN exchange_auctionentry e ON e.id = l.entry_id
      JOIN exchange_auction a ON a.id = e.auction_id
      LEFT JOIN exchange_auctionreservation r ON r.line_id = l.id
     CROSS JOIN LATERAL (
           SELECT sum(u.got) AS units FROM unnest(w.accepted) AS u(got)) sums
     WHERE a.state <> 'published'
        OR cardinality(w.accepted) <> cardinality(l.units)
        OR EXISTS (SELECT 1 FROM unnest(w.accepted, coalesce(r.units, l.units)) AS u(got, most)
                    WHERE got IS NULL OR got < 0 OR got > most)
        OR (e.side = 'sell' AND r.line_id IS NULL)
        OR (CASE e.side WHEN 'buy' THEN 1 ELSE -1 END)
           * (w.amount_micro - l.price * 1000000 * sums.units) > 0
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the answer of line % breaks a rule: %', broken.line_id, broken.rule
            USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_answer_within_line';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER auction_answers AFTER INSERT ON exchange_auctionanswer
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_auction_answers();

-- A trade is an auction's on both sides or on none, and only while its auction is published.
CREATE FUNCTION exchange_auction_trades() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    broken uuid;
BEGIN
    SELECT n.id INTO broken
      FROM written n
      JOIN exchange_order o ON o.id = n.order_id
      JOIN exchange_offer f ON f.id = n.offer_id
      LEFT JOIN exchange_auctionentry b ON b.id = o.auction_entry_id
      LEFT JOIN exchange_auctionentry s ON s.id = f.auction_entry_id
      LEFT JOIN exchange_auction a ON a.id = b.auction_id
     WHERE (o.auction_entry_id IS NOT NULL OR f.auction_entry_id IS NOT NULL
            OR n.resting_side = 'auction' OR n.path_prices_micro IS NOT NULL)
       AND (b.side = 'buy' AND s.side = 'sell' AND b.auction_id = s.auction_id
            AND a.state = 'published' AND n.resting_side = 'auction'
            AND b.grade_id = n.grade_id AND s.pool_id = n.pool_id
            AND cardinality(n.path_prices_micro) = cardinality(n.path_link_ids)) IS NOT TRUE
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'trade % is not of one published auction on both sides', broken
            USING ERRCODE = 'check_violation', CONSTRAINT = 'auction_trade_of_one_auction';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER auction_trades AFTER INSERT ON exchange_trade
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_auction_trades();

CREATE TRIGGER order_auction_fixed BEFORE UPDATE OF auction_entry_id ON exchange_order
    FOR EACH ROW WHEN (NEW.auction_entry_id IS DISTINCT FROM OLD.auction_entry_id)
    EXECUTE FUNCTION exchange_order_terms_fixed();

ALTER TABLE exchange_auctionlink ADD CONSTRAINT auction_link_units_not_negative
    CHECK (0 <= ALL (forward_units) AND 0 <= ALL (backward_units));
"""

REVERSE = """
ALTER TABLE exchange_auctionlink DROP CONSTRAINT auction_link_units_not_negative;
DROP TRIGGER order_auction_fixed ON exchange_order;
DROP TRIGGER auction_trades ON exchange_trade;
DROP FUNCTION exchange_auction_trades();
DROP TRIGGER auction_answers ON exchange_auctionanswer;
DROP FUNCTION exchange_auction_answers();
DROP TRIGGER auction_part_guard ON exchange_auctionresult;
DROP TRIGGER auction_part_guard ON exchange_auctionproblem;
DROP FUNCTION exchange_auction_part_guard();
DROP TRIGGER auction_line_guard ON exchange_auctionline;
DROP FUNCTION exchange_auction_line_guard();
DROP TRIGGER auction_entry_guard ON exchange_auctionentry;
DROP FUNCTION exchange_auction_entry_guard();
DROP TRIGGER auction_moves ON exchange_auction;
DROP FUNCTION exchange_auction_moves();
DROP TRIGGER reservation_ends ON exchange_auctionreservationend;
DROP FUNCTION exchange_reservation_ends();
DROP TRIGGER reservation_claims ON exchange_auctionreservation;
DROP FUNCTION exchange_reservation_claims();
DROP FUNCTION exchange_count_units(uuid[], int[], int[]);
"""

APPEND_ONLY = [
    "exchange_auctionschedule",
    "exchange_auctionline",
    "exchange_auctionreservation",
    "exchange_auctionreservationend",
    "exchange_auctionproblem",
    "exchange_auctionresult",
    "exchange_auctionanswer",
]


class Migration(migrations.Migration):
    dependencies = [("exchange", "0011_day_ahead_auction"), ("core", "0002_guards")]

    operations = [
        migrations.RunSQL(FORWARD, REVERSE),
        *(migrations.RunSQL(*refuse_change_sql(table)) for table in APPEND_ONLY),
    ]
