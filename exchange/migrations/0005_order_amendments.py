"""Orders are amended: their terms change by a row that a batch has decided, and in no other way."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import core.ids

FORWARD = """
-- What a batch left an order with before this amendment: the row in force just below it.
CREATE FUNCTION exchange_terms_before(amendment exchange_orderamendment)
    RETURNS exchange_orderamendment LANGUAGE sql STABLE AS $$
    SELECT b.* FROM exchange_orderamendment b
     WHERE b.order_id = amendment.order_id AND b.number < amendment.number
       AND b.state IN ('placed', 'applied')
     ORDER BY b.number DESC LIMIT 1
$$;

-- Terms that no amendment may touch.
CREATE OR REPLACE FUNCTION exchange_order_terms_fixed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the terms of order % are fixed', OLD.id
        USING ERRCODE = 'check_violation', CONSTRAINT = 'order_terms_fixed';
END $$;
DROP TRIGGER order_terms_fixed ON exchange_order;
CREATE TRIGGER order_terms_fixed BEFORE UPDATE OF
    id, buyer_id, book_id, grade_ids, duration_slots, on_demand, placement, rtt_region_id,
    max_rtt_us, regions_allowed, regions_excluded, min_green_share, max_pue, min_reliability,
    data_region_id, data_in_gb_per_unit, data_out_gb_per_unit, accepts_reclaimable, placed_at
    ON exchange_order FOR EACH ROW EXECUTE FUNCTION exchange_order_terms_fixed();

CREATE FUNCTION exchange_order_terms_amended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version <= OLD.version OR NOT EXISTS (
        SELECT 1 FROM exchange_orderamendment a
         WHERE a.order_id = NEW.id AND a.number = NEW.version AND a.state = 'applied'
           AND (a.limit_prices, a.units, a.min_units, a.earliest_slot, a.latest_slot,
                a.time_in_force, a.expires_at)
             = (NEW.limit_prices, NEW.units, NEW.min_units, NEW.earliest_slot, NEW.latest_slot,
                NEW.time_in_force, NEW.expires_at)
           AND (a.max_cost_micro, a.good_till_at) IS NOT DISTINCT FROM
               (NEW.max_cost_micro, NEW.good_till_at)) THEN
        RAISE EXCEPTION 'the terms of order % are fixed unless an amendment is applied', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'order_terms_by_amendment';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER order_terms_by_amendment BEFORE UPDATE OF
    limit_prices, units, min_units, earliest_slot, latest_slot, max_cost_micro, time_in_force,
    good_till_at, expires_at, held_micro, version
    ON exchange_order FOR EACH ROW EXECUTE FUNCTION exchange_order_terms_amended();

CREATE FUNCTION exchange_hold_of_amendment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM exchange_orderamendment a
                    WHERE a.id = NEW.hold_id AND a.order_id = NEW.id AND a.number > 0) THEN
        RAISE EXCEPTION 'the hold of order % is its own or that of an amendment of it', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'order_hold_by_amendment';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER order_hold_by_amendment BEFORE UPDATE OF hold_id ON exchange_order
    FOR EACH ROW EXECUTE FUNCTION exchange_hold_of_amendment();

-- An amendment is asked for, and decided once; what was asked for stays.
CREATE FUNCTION exchange_amendment_decided_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('placed', 'requested') OR (NEW.number = 0 AND NOT EXISTS (
            SELECT 1 FROM exchange_order o
             WHERE o.id = NEW.order_id AND o.version = 0
               AND (o.limit_prices, o.units, o.min_units, o.earliest_slot, o.latest_slot,
                    o.time_in_force, o.expires_at, o.placed_at)
                 = (NEW.limit_prices, NEW.units, NEW.min_units, NEW.earliest_slot,
                    NEW.latest_slot, NEW.time_in_force, NEW.expires_at, NEW.requested_at)
               AND (o.max_cost_micro, o.good_till_at) IS NOT DISTINCT FROM
                   (NEW.max_cost_micro, NEW.good_till_at)))
           OR (NEW.number > 0 AND NOT EXISTS (
            SELECT 1 FROM exchange_orderamendment p
             WHERE p.order_id = NEW.order_id AND p.number = NEW.number - 1)) THEN
            RAISE EXCEPTION 'amendment % of order % follows on nothing', NEW.number, NEW.order_id
                USING ERRCODE = 'check_violation', CONSTRAINT = 'amendment_follows_the_last';
        END IF;
    ELSIF OLD.state <> 'requested' OR NEW.state NOT IN ('applied', 'refused')
       OR (OLD.id, OLD.order_id, OLD.number, OLD.limit_prices, OLD.units, OLD.min_units,
           OLD.earliest_slot, OLD.latest_slot, OLD.max_cost_micro, OLD.time_in_force,
           OLD.good_till_at, OLD.expires_at, OLD.keeps_entry, OLD.requested_at)
          IS DISTINCT FROM
          (NEW.id, NEW.order_id, NEW.number, NEW.limit_prices, NEW.units, NEW.min_units,
           NEW.earliest_slot, NEW.latest_slot, NEW.max_cost_micro, NEW.time_in_force,
           NEW.good_till_at, NEW.expires_at, NEW.keeps_entry, NEW.requested_at) THEN
        RAISE EXCEPTION 'amendment % is decided once and never changed', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'amendment_decided_once';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER amendment_decided_once BEFORE INSERT OR UPDATE ON exchange_orderamendment
    FOR EACH ROW EXECUTE FUNCTION exchange_amendment_decided_once();
CREATE TRIGGER exchange_orderamendment_is_kept BEFORE DELETE OR TRUNCATE
    ON exchange_orderamendment FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A trade keeps the order's terms as they are, or as they were before this very batch amended it.
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
"""


class Migration(migrations.Migration):
    dependencies = [("exchange", "0004_orders_and_trades_by_time"), ("core", "0002_guards")]

    operations = [
        migrations.AddField(
            model_name="order",
            name="hold_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="order",
            name="version",
            field=models.PositiveIntegerField(
                default=0,
                help_text="number of the amendment whose terms are in force; 0: as placed",
            ),
        ),
        migrations.AlterField(
            model_name="bookevent",
            name="kind",
            field=models.CharField(
                choices=[
                    ("pool_changed", "Pool changed"),
                    ("capacity_released", "Capacity released"),
                    ("offer_entered", "Offer entered"),
                    ("offer_changed", "Offer changed"),
                    ("offer_paused", "Offer paused"),
                    ("offer_resumed", "Offer resumed"),
                    ("offer_withdrawn", "Offer withdrawn"),
                    ("order_entered", "Order entered"),
                    ("order_amended", "Order amended"),
                    ("order_cancelled", "Order cancelled"),
                    ("order_expired", "Order expired"),
                ],
                max_length=24,
            ),
        ),
        migrations.AlterField(
            model_name="order",
            name="held_micro",
            field=models.BigIntegerField(
                help_text="the most that it could cost, when it was placed or last amended"
            ),
        ),
        migrations.CreateModel(
            name="OrderAmendment",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("placed", "Placed"),
                            ("requested", "Requested"),
                            ("applied", "Applied"),
                            ("refused", "Refused"),
                        ],
                        max_length=16,
                    ),
                ),
                ("reason", models.CharField(blank=True, max_length=200)),
                (
                    "limit_prices",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.DecimalField(decimal_places=6, max_digits=18), size=None
                    ),
                ),
                ("units", models.PositiveIntegerField()),
                ("min_units", models.PositiveIntegerField()),
                ("earliest_slot", models.IntegerField()),
                ("latest_slot", models.IntegerField()),
                ("max_cost_micro", models.BigIntegerField(null=True)),
                (
                    "time_in_force",
                    models.CharField(
                        choices=[
                            ("gtc", "Good till cancelled"),
                            ("gtd", "Good till date"),
                            ("ioc", "Immediate or cancel"),
                            ("fok", "Fill or kill"),
                        ],
                        max_length=8,
                    ),
                ),
                ("good_till_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField()),
                ("keeps_entry", models.BooleanField(help_text="it keeps its place in the queue")),
                ("requested_at", models.DateTimeField()),
                ("batch", models.BigIntegerField(null=True)),
                ("decided_at", models.DateTimeField(null=True)),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="amendments",
                        to="exchange.order",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("order", "number"), name="amendment_numbered_once"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "requested")),
                        fields=("order",),
                        name="one_amendment_of_an_order_at_a_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("batch__isnull", False), ("state__in", ["applied", "refused"])
                            ),
                            models.Q(
                                ("batch__isnull", True), ("state__in", ["placed", "requested"])
                            ),
                            _connector="OR",
                        ),
                        name="amendment_decided_by_a_batch",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("number", 0), ("state", "placed")),
                            models.Q(
                                ("number__gt", 0), models.Q(("state", "placed"), _negated=True)
                            ),
                            _connector="OR",
                        ),
                        name="amendment_zero_is_as_placed",
                    ),
                ],
            },
        ),
        migrations.RunSQL(FORWARD),
    ]
