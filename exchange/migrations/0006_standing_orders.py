"""Standing orders, and their rolls: one for each slot, each with orders of its own."""

import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models

import core.ids

FORWARD = """
CREATE TRIGGER order_bound_for_good BEFORE UPDATE OF bound_pool_id ON exchange_order
    FOR EACH ROW EXECUTE FUNCTION exchange_order_terms_fixed();

CREATE FUNCTION exchange_roll_keeps_its_orders() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.state IN ('covered', 'missed')
        OR (OLD.id, OLD.standing_id, OLD.start_slot, OLD.end_slot, OLD.units, OLD.created_at)
           IS DISTINCT FROM
           (NEW.id, NEW.standing_id, NEW.start_slot, NEW.end_slot, NEW.units, NEW.created_at)
        OR (OLD.pool_order_id IS NOT NULL
            AND OLD.pool_order_id IS DISTINCT FROM NEW.pool_order_id)
        OR (OLD.market_order_id IS NOT NULL
            AND OLD.market_order_id IS DISTINCT FROM NEW.market_order_id)) THEN
        RAISE EXCEPTION 'roll % is written once and closed once', OLD.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'roll_written_once';
    END IF;
    IF EXISTS (SELECT 1 FROM exchange_order o JOIN exchange_standingorder s ON s.id = NEW.standing_id
                WHERE o.id IN (NEW.pool_order_id, NEW.market_order_id)
                  AND (o.buyer_id, o.earliest_slot, o.latest_slot)
                      IS DISTINCT FROM (s.buyer_id, NEW.start_slot, NEW.end_slot)
                  AND o.version = 0) THEN
        RAISE EXCEPTION 'the orders of roll % are its buyer''s, for its slots', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'roll_has_orders_of_its_own';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER roll_keeps_its_orders BEFORE INSERT OR UPDATE ON exchange_standingroll
    FOR EACH ROW EXECUTE FUNCTION exchange_roll_keeps_its_orders();
CREATE TRIGGER exchange_standingroll_is_kept BEFORE DELETE OR TRUNCATE ON exchange_standingroll
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_guards"),
        ("exchange", "0005_order_amendments"),
    ]

    operations = [
        migrations.CreateModel(
            name="StandingOrder",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("client_reference", models.CharField(blank=True, max_length=64)),
                ("terms", models.JSONField(help_text="of each roll's order; see wishes.facts_of")),
                ("units", models.PositiveIntegerField()),
                ("duration_slots", models.PositiveIntegerField(help_text="of each roll")),
                ("lead_seconds", models.PositiveIntegerField()),
                ("prefers_same_pool", models.BooleanField(default=True)),
                ("until_slot", models.IntegerField(null=True)),
                ("day_budget_micro", models.BigIntegerField(null=True)),
                ("budget_micro", models.BigIntegerField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("waiting", "Waiting"),
                            ("paused", "Paused"),
                            ("ended", "Ended"),
                        ],
                        default="active",
                        max_length=16,
                    ),
                ),
                (
                    "reason",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("funds", "Funds"),
                            ("price", "Price"),
                            ("budget_of_day", "Budget of the day"),
                            ("organisation", "Organisation"),
                            ("refused", "Refused"),
                            ("budget", "Budget"),
                            ("until", "Until"),
                            ("owner", "Owner"),
                        ],
                        max_length=16,
                    ),
                ),
                ("version", models.PositiveIntegerField(default=0)),
                ("next_slot", models.IntegerField()),
                ("next_roll_at", models.DateTimeField()),
                ("created_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="StandingRoll",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("start_slot", models.IntegerField()),
                ("end_slot", models.IntegerField()),
                ("units", models.PositiveIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("in_pool", "In the pool"),
                            ("in_market", "In the market"),
                            ("covered", "Covered"),
                            ("missed", "Missed"),
                        ],
                        max_length=16,
                    ),
                ),
                ("filled_units", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.AddField(
            model_name="order",
            name="bound_pool",
            field=models.ForeignKey(
                help_text="the one pool that a roll of a standing order asks first",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="exchange.pool",
            ),
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("bound_pool__isnull", True),
                    models.Q(
                        (
                            "latest_slot",
                            django.db.models.expressions.CombinedExpression(
                                models.F("earliest_slot"), "+", models.F("duration_slots")
                            ),
                        ),
                        ("on_demand", False),
                        ("placement", "same_pool"),
                    ),
                    _connector="OR",
                ),
                name="bound_order_has_one_pool_and_start",
            ),
        ),
        migrations.AddField(
            model_name="standingorder",
            name="buyer",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts.organisation",
            ),
        ),
        migrations.AddField(
            model_name="standingroll",
            name="market_order",
            field=models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="market_roll",
                to="exchange.order",
            ),
        ),
        migrations.AddField(
            model_name="standingroll",
            name="pool_order",
            field=models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="pool_roll",
                to="exchange.order",
            ),
        ),
        migrations.AddField(
            model_name="standingroll",
            name="standing",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="rolls",
                to="exchange.standingorder",
            ),
        ),
        migrations.AddIndex(
            model_name="standingorder",
            index=models.Index(
                condition=models.Q(("state__in", ("active", "waiting"))),
                fields=["next_roll_at"],
                name="standing_to_roll",
            ),
        ),
        migrations.AddIndex(
            model_name="standingorder",
            index=models.Index(fields=["buyer", "id"], name="standing_of_buyer"),
        ),
        migrations.AddConstraint(
            model_name="standingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(("units__gt", 0), ("duration_slots__gt", 0)),
                name="standing_asks_for_some",
            ),
        ),
        migrations.AddConstraint(
            model_name="standingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("day_budget_micro__isnull", True),
                        ("day_budget_micro__gt", 0),
                        _connector="OR",
                    ),
                    models.Q(
                        ("budget_micro__isnull", True), ("budget_micro__gt", 0), _connector="OR"
                    ),
                ),
                name="standing_budget_above_zero",
            ),
        ),
        migrations.AddConstraint(
            model_name="standingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", False), ("state", "ended")),
                    models.Q(
                        ("state__in", ("active", "waiting", "paused")), ("ended_at__isnull", True)
                    ),
                    _connector="OR",
                ),
                name="standing_ended_says_when",
            ),
        ),
        migrations.AddConstraint(
            model_name="standingorder",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("reason", ""), ("state", "active")),
                    models.Q(
                        models.Q(("state", "active"), _negated=True),
                        models.Q(("reason", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="standing_says_why_not_active",
            ),
        ),
        migrations.AddIndex(
            model_name="standingroll",
            index=models.Index(
                condition=models.Q(("state__in", ("in_pool", "in_market"))),
                fields=["id"],
                name="roll_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="standingroll",
            constraint=models.UniqueConstraint(
                fields=("standing", "start_slot"), name="standing_rolls_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="standingroll",
            constraint=models.CheckConstraint(
                condition=models.Q(("end_slot__gt", models.F("start_slot"))),
                name="roll_covers_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="standingroll",
            constraint=models.CheckConstraint(
                condition=models.Q(("filled_units__lte", models.F("units"))),
                name="roll_never_overfilled",
            ),
        ),
        migrations.AddConstraint(
            model_name="standingroll",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "in_pool"), _negated=True),
                    models.Q(("market_order", None), ("pool_order__isnull", False)),
                    _connector="OR",
                ),
                name="roll_in_pool_has_its_order",
            ),
        ),
        migrations.AddConstraint(
            model_name="standingroll",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "in_market"), _negated=True),
                    ("market_order__isnull", False),
                    _connector="OR",
                ),
                name="roll_in_market_has_its_order",
            ),
        ),
        migrations.RunSQL(FORWARD),
    ]
