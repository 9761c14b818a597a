"""What the database itself refuses: impossible usage, charges that do not add up, changed history."""

from django.db import migrations

from core.sql import refuse_change_sql

FORWARD = """
-- No usage outside a lease, and none beyond what it could deliver.
CREATE FUNCTION billing_usage_within_lease() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    broken uuid;
BEGIN
    SELECT n.id INTO broken
      FROM reported n JOIN exchange_lease l ON l.id = n.lease_id
     WHERE n.period_start_at < l.starts_at OR n.period_end_at > l.ends_at
        OR n.active_unit_seconds
           > l.units * extract(epoch FROM n.period_end_at - n.period_start_at)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'usage record % is more than its lease could deliver', broken
            USING ERRCODE = 'check_violation', CONSTRAINT = 'usage_within_lease';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER usage_within_lease AFTER INSERT ON billing_usagerecord
    REFERENCING NEW TABLE AS reported
    FOR EACH STATEMENT EXECUTE FUNCTION billing_usage_within_lease();

-- Invariant 6: the lines of a charge sum to it, and none is added later.
CREATE FUNCTION billing_charge_equals_its_lines() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    broken uuid;
BEGIN
    SELECT c.id INTO broken
      FROM billing_charge c
      JOIN (SELECT charge_id, sum(amount_micro) AS total FROM billing_chargeline
             WHERE charge_id IN (SELECT charge_id FROM written) GROUP BY charge_id) l
        ON l.charge_id = c.id
     WHERE l.total <> c.amount_micro
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the lines of charge % do not sum to it', broken
            USING ERRCODE = 'check_violation', CONSTRAINT = 'charge_equals_its_lines';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER charge_equals_its_lines AFTER INSERT ON billing_chargeline
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION billing_charge_equals_its_lines();

-- A closed period takes no charge.
CREATE FUNCTION billing_charge_in_open_period() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM billing_settlementperiod
      WHERE id IN (SELECT period_id FROM written) ORDER BY id FOR SHARE;
    IF EXISTS (SELECT 1 FROM billing_settlementperiod p
                WHERE p.id IN (SELECT period_id FROM written) AND p.state <> 'open') THEN
        RAISE EXCEPTION 'a charge goes into the open period'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'charge_in_open_period';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER charge_in_open_period AFTER INSERT ON billing_charge
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION billing_charge_in_open_period();

-- What was submitted stays as it was: figures and hash are fixed once a batch has left the draft.
CREATE FUNCTION billing_batch_content_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.id, OLD.period_id, OLD.content_hash, OLD.charged_micro, OLD.paid_out_micro,
        OLD.kept_micro) IS DISTINCT FROM (NEW.id, NEW.period_id, NEW.content_hash,
        NEW.charged_micro, NEW.paid_out_micro, NEW.kept_micro) THEN
        RAISE EXCEPTION 'the content of settlement batch % is fixed', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'batch_content_fixed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER batch_content_fixed BEFORE UPDATE ON billing_settlementbatch
    FOR EACH ROW EXECUTE FUNCTION billing_batch_content_fixed();
"""

REVERSE = """
DROP TRIGGER batch_content_fixed ON billing_settlementbatch;
DROP FUNCTION billing_batch_content_fixed();
DROP TRIGGER charge_in_open_period ON billing_charge;
DROP FUNCTION billing_charge_in_open_period();
DROP TRIGGER charge_equals_its_lines ON billing_chargeline;
DROP FUNCTION billing_charge_equals_its_lines();
DROP TRIGGER usage_within_lease ON billing_usagerecord;
DROP FUNCTION billing_usage_within_lease();
"""

APPEND_ONLY = [
    "billing_usagerecord",
    "billing_charge",
    "billing_chargeline",
    "billing_obligation",
    "billing_regionpayment",
    "billing_topup",
]


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial"), ("exchange", "0002_guards")]

    operations = [
        migrations.RunSQL(FORWARD, REVERSE),
        *(migrations.RunSQL(*refuse_change_sql(table)) for table in APPEND_ONLY),
    ]
