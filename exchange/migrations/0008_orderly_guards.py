"""What the database refuses: an index with gaps, a halt told differently, trades while halted."""

from django.db import migrations

from core.sql import refuse_change_sql

FORWARD = """
-- An hour of a book's index follows the one before it and has the batches after it, all written.
CREATE FUNCTION exchange_index_goes_on() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before record;
BEGIN
    SELECT slot, last_batch INTO before FROM exchange_indexpublication
      WHERE book_id = NEW.book_id ORDER BY slot DESC LIMIT 1;
    IF FOUND AND (NEW.slot <> before.slot + 1 OR NEW.first_batch <> before.last_batch + 1) THEN
        RAISE EXCEPTION 'the index of book % goes on with slot % and batch %',
            NEW.book_id, before.slot + 1, before.last_batch + 1
            USING ERRCODE = 'check_violation', CONSTRAINT = 'index_goes_on_without_a_gap';
    END IF;
    IF NEW.last_batch > (SELECT version FROM exchange_book WHERE id = NEW.book_id) THEN
        RAISE EXCEPTION 'batch % of book % is not written', NEW.last_batch, NEW.book_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'index_counts_written_batches';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER index_goes_on_without_a_gap BEFORE INSERT ON exchange_indexpublication
    FOR EACH ROW EXECUTE FUNCTION exchange_index_goes_on();

-- A price is of its publication's hour, of a grade of its book.
CREATE FUNCTION exchange_index_price_fits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM written w
                 JOIN exchange_indexpublication p ON p.id = w.publication_id
                 JOIN exchange_grade g ON g.id = w.grade_id
                WHERE w.slot <> p.slot OR g.book_id <> p.book_id) THEN
        RAISE EXCEPTION 'an index price is of the hour and the book of its publication'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'index_price_fits_its_publication';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER index_price_fits_its_publication AFTER INSERT ON exchange_indexhour
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_index_price_fits();

-- A halt is told once and resumed once, and stays.
CREATE FUNCTION exchange_halt_told_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.resumed_at IS NOT NULL
       OR (OLD.id, OLD.book_id, OLD.region_id, OLD.reason, OLD.halted_by, OLD.halted_at)
          IS DISTINCT FROM
          (NEW.id, NEW.book_id, NEW.region_id, NEW.reason, NEW.halted_by, NEW.halted_at) THEN
        RAISE EXCEPTION 'halt % is told once and resumed once', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'halt_told_once';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER halt_told_once BEFORE UPDATE OR DELETE ON exchange_halt
    FOR EACH ROW EXECUTE FUNCTION exchange_halt_told_once();

-- What the matcher knows of halts changes with a batch alone.
CREATE FUNCTION exchange_halts_change_with_a_batch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'halts enter book % through its inbox', OLD.code
        USING ERRCODE = 'check_violation', CONSTRAINT = 'halts_change_with_a_batch';
END $$;
CREATE TRIGGER halts_change_with_a_batch BEFORE UPDATE OF halts_in_force ON exchange_book
    FOR EACH ROW
    WHEN (NEW.halts_in_force IS DISTINCT FROM OLD.halts_in_force AND NEW.version = OLD.version)
    EXECUTE FUNCTION exchange_halts_change_with_a_batch();

-- Nothing is traded where trading is halted. The batch that resumes has already said so.
CREATE FUNCTION exchange_no_trade_while_halted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    halted record;
BEGIN
    SELECT w.id, b.code, w.seller_region_id AS region INTO halted
      FROM (SELECT id, code, halts_in_force FROM exchange_book
             WHERE halts_in_force <> '{}') b
      JOIN written w ON w.book_id = b.id
     CROSS JOIN LATERAL jsonb_each(b.halts_in_force) AS h (halt, regions)
     WHERE h.regions = 'null' OR h.regions ? w.seller_region_id
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'trade % is in book % and region %, where trading is halted',
            halted.id, halted.code, halted.region
            USING ERRCODE = 'check_violation', CONSTRAINT = 'no_trade_while_halted';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER no_trade_while_halted AFTER INSERT ON exchange_trade
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_no_trade_while_halted();
"""

REVERSE = """
DROP TRIGGER no_trade_while_halted ON exchange_trade;
DROP FUNCTION exchange_no_trade_while_halted();
DROP TRIGGER halts_change_with_a_batch ON exchange_book;
DROP FUNCTION exchange_halts_change_with_a_batch();
DROP TRIGGER halt_told_once ON exchange_halt;
DROP FUNCTION exchange_halt_told_once();
DROP TRIGGER index_price_fits_its_publication ON exchange_indexhour;
DROP FUNCTION exchange_index_price_fits();
DROP TRIGGER index_goes_on_without_a_gap ON exchange_indexpublication;
DROP FUNCTION exchange_index_goes_on();
"""

APPEND_ONLY = ["exchange_indexpublication", "exchange_indexhour"]


class Migration(migrations.Migration):
    dependencies = [("exchange", "0007_fair_and_orderly")]

    operations = [
        migrations.RunSQL(FORWARD, REVERSE),
        *(migrations.RunSQL(*refuse_change_sql(table)) for table in APPEND_ONLY),
    ]
