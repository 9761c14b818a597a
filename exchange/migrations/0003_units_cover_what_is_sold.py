"""Registered units cover what is sold, from the slot on for which they were stated."""

from django.db import migrations, models

# The claims of trades share the pool's row, and whoever changes its units has it alone: so this
# statement sees every claim that came first, and a later claim sees the new units. A snapshot taken
# before the wait would not, which is why READ COMMITTED is asked for.
FORWARD = """
CREATE FUNCTION exchange_units_cover_what_is_sold() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    first_slot bigint := coalesce(floor(extract(epoch FROM NEW.units_stated_at) / 3600), 0);
    oversold record;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'registered units are changed under READ COMMITTED'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_units_cover_what_is_sold';
    END IF;
    SELECT d.day * 24 + u.hour - 1 AS slot, u.sold INTO oversold
      FROM exchange_poolday d
     CROSS JOIN LATERAL unnest(d.sold) WITH ORDINALITY AS u(sold, hour)
     WHERE d.pool_id = NEW.id AND d.day >= first_slot / 24
       AND d.day * 24 + u.hour - 1 >= first_slot AND u.sold > NEW.units
     ORDER BY u.sold DESC, slot
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% units of pool % would not cover the % that are sold in slot %',
            NEW.units, NEW.id, oversold.sold, oversold.slot
            USING ERRCODE = 'check_violation', CONSTRAINT = 'pool_units_cover_what_is_sold',
                  HINT = 'Lower available_units to stop new sales; what is sold stays.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER pool_units_cover_what_is_sold
    AFTER UPDATE OF units, units_stated_at ON exchange_pool FOR EACH ROW
    WHEN (NEW.units < OLD.units OR NEW.units_stated_at IS DISTINCT FROM OLD.units_stated_at)
    EXECUTE FUNCTION exchange_units_cover_what_is_sold();
"""

REVERSE = """
DROP TRIGGER pool_units_cover_what_is_sold ON exchange_pool;
DROP FUNCTION exchange_units_cover_what_is_sold();
"""


class Migration(migrations.Migration):
    dependencies = [("exchange", "0002_guards")]

    operations = [
        migrations.AddField("pool", "units_stated_at", models.DateTimeField(null=True)),
        migrations.RunSQL(FORWARD, REVERSE),
    ]
