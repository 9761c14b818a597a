"""The outbox may lose its oldest end: numbered, told of long ago, and nothing from its middle."""

from django.db import migrations, models

from core.sql import refuse_change_sql

TABLES = ("core_outboxevent", "core_outboxposition")

# Ages are measured from the newest event, since the database has no clock of the exchange.
FORWARD = """
-- Where the outbox begins: it only moves on, and never into its last week.
CREATE FUNCTION core_outbox_begins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.first_position < OLD.first_position OR NEW.first_position > OLD.last_position
       OR EXISTS (
            SELECT 1
              FROM core_outboxposition p
              JOIN core_outboxevent e ON e.id = p.event_id
              JOIN core_outboxposition newest ON newest.position = OLD.last_position
              JOIN core_outboxevent n ON n.id = newest.event_id
             WHERE p.position >= OLD.first_position AND p.position < NEW.first_position
               AND e.occurred_at > n.occurred_at - interval '7 days') THEN
        RAISE EXCEPTION 'the outbox keeps what is younger than a week'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'outbox_keeps_a_week';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER outbox_keeps_a_week AFTER UPDATE OF first_position ON core_outboxrelay
    FOR EACH ROW WHEN (NEW.first_position IS DISTINCT FROM OLD.first_position)
    EXECUTE FUNCTION core_outbox_begins();

CREATE FUNCTION core_outbox_loses_its_oldest() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kept boolean;
BEGIN
    IF TG_TABLE_NAME = 'core_outboxposition' THEN
        SELECT bool_or(g.position >= r.first_position) INTO kept FROM gone g, core_outboxrelay r;
    ELSE
        -- Its position is gone before it, and only a pruned one can be: an event without a number
        -- lies at the relay's mark or above.
        SELECT bool_or(g.xid >= r.next_xid OR p.event_id IS NOT NULL) INTO kept
          FROM core_outboxrelay r
         CROSS JOIN gone g
          LEFT JOIN core_outboxposition p ON p.event_id = g.id;
    END IF;
    IF kept IS NOT FALSE THEN  -- also where no row is gone: a DELETE that meets none is a mistake
        RAISE EXCEPTION '% is append-only: only what lies before the beginning may go',
            TG_TABLE_NAME USING ERRCODE = 'restrict_violation',
            HINT = 'core_prune_outbox(before, at_most) moves the beginning.';
    END IF;
    RETURN NULL;
END $$;

-- The app role may not delete from the outbox; the owner's function does, and says how many.
CREATE FUNCTION core_prune_outbox(before timestamptz, at_most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    relay record;
    begins bigint;
    gone bigint[];
BEGIN
    SELECT first_position, last_position INTO relay
      FROM core_outboxrelay FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    -- The newest stays, whatever its age: it says where the stream stands.
    SELECT coalesce(min(p.position) FILTER (WHERE e.occurred_at >= before), max(p.position) + 1)
      INTO begins
      FROM core_outboxposition p
      JOIN core_outboxevent e ON e.id = p.event_id
     WHERE p.position >= relay.first_position
       AND p.position < least(relay.first_position + at_most, relay.last_position);
    IF begins IS NULL OR begins = relay.first_position THEN
        RETURN 0;
    END IF;
    UPDATE core_outboxrelay SET first_position = begins;
    WITH pruned AS (
        DELETE FROM core_outboxposition WHERE position < begins RETURNING event_id
    ) SELECT array_agg(event_id) INTO gone FROM pruned;
    DELETE FROM core_outboxevent WHERE id = ANY (gone);
    RETURN cardinality(gone);
END $$;
"""

REVERSE = """
DROP FUNCTION core_prune_outbox(timestamptz, integer);
DROP FUNCTION core_outbox_loses_its_oldest();
DROP TRIGGER outbox_keeps_a_week ON core_outboxrelay;
DROP FUNCTION core_outbox_begins();
"""


def _guard(table: str) -> migrations.RunSQL:
    """The append-only trigger, but for a DELETE, which has one of its own."""
    whole, without = refuse_change_sql(table)
    return migrations.RunSQL(
        f"""
        {without};
        CREATE TRIGGER "{table}_is_append_only" BEFORE UPDATE OR TRUNCATE ON "{table}"
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
        CREATE TRIGGER "{table}_loses_its_oldest" AFTER DELETE ON "{table}"
            REFERENCING OLD TABLE AS gone
            FOR EACH STATEMENT EXECUTE FUNCTION core_outbox_loses_its_oldest();
        """,
        f'DROP TRIGGER "{table}_loses_its_oldest" ON "{table}"; {without}; {whole};',
    )


class Migration(migrations.Migration):
    dependencies = [("core", "0002_guards")]

    operations = [
        migrations.AddField(
            "outboxrelay", "first_position", models.BigIntegerField(default=1, db_default=1)
        ),
        migrations.RunSQL(FORWARD, REVERSE),
        *(_guard(table) for table in TABLES),
    ]
