"""Reclaim: the terms of offers and trades, and the rows that give notice."""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION exchange_reclaim_keeps_its_notice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.state <> 'noticed' OR
        (OLD.lease_id, OLD.request_id, OLD.reason, OLD.from_slot, OLD.due_at, OLD.noticed_at)
        IS DISTINCT FROM
        (NEW.lease_id, NEW.request_id, NEW.reason, NEW.from_slot, NEW.due_at, NEW.noticed_at)) THEN
        RAISE EXCEPTION 'the reclaim of lease % is noticed once and decided once', OLD.lease_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reclaim_decided_once';
    END IF;
    IF TG_OP = 'INSERT' AND NOT EXISTS (
        SELECT 1 FROM exchange_trade t
         WHERE t.id = NEW.lease_id AND t.is_reclaimable AND t.resold_from_id IS NULL
           AND NEW.from_slot >= t.start_slot AND NEW.from_slot < t.end_slot
           AND NEW.due_at = to_timestamp(NEW.from_slot * 3600.0)
           AND NEW.due_at - NEW.noticed_at >= make_interval(secs => t.reclaim_notice_seconds)) THEN
        RAISE EXCEPTION 'lease % would be taken back though sold firm, or without its notice',
            NEW.lease_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reclaim_keeps_its_notice';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER reclaim_keeps_its_notice BEFORE INSERT OR UPDATE ON exchange_reclaim
    FOR EACH ROW EXECUTE FUNCTION exchange_reclaim_keeps_its_notice();
CREATE TRIGGER exchange_reclaim_is_kept BEFORE DELETE OR TRUNCATE ON exchange_reclaim
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A lease is taken back by a row that gave notice, and not before its time.
CREATE FUNCTION exchange_reclaimed_by_notice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM exchange_reclaim r
                    WHERE r.lease_id = NEW.lease_id AND r.due_at <= NEW.occurred_at) THEN
        RAISE EXCEPTION 'nobody gave notice of taking back lease %', NEW.lease_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reclaimed_by_notice';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER reclaimed_by_notice AFTER INSERT ON exchange_leaseevent
    FOR EACH ROW WHEN (NEW.event = 'reclaim') EXECUTE FUNCTION exchange_reclaimed_by_notice();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_guards"),
        ("exchange", "0009_resale"),
    ]

    operations = [
        migrations.CreateModel(
            name="Reclaim",
            fields=[
                (
                    "lease",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="reclaim",
                        serialize=False,
                        to="exchange.lease",
                    ),
                ),
                (
                    "request_id",
                    models.UUIDField(help_text="the same for all leases of one request"),
                ),
                ("reason", models.CharField(blank=True, max_length=200)),
                (
                    "from_slot",
                    models.IntegerField(help_text="the first slot that is not delivered"),
                ),
                ("due_at", models.DateTimeField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("noticed", "Noticed"),
                            ("executed", "Executed"),
                            ("void", "Void"),
                        ],
                        default="noticed",
                        max_length=16,
                    ),
                ),
                (
                    "compensation_micro",
                    models.BigIntegerField(
                        help_text="owed by the provider to the buyer", null=True
                    ),
                ),
                ("noticed_at", models.DateTimeField()),
                ("decided_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["lease"],
            },
        ),
        migrations.AddField(
            model_name="offer",
            name="reclaim_compensation_bp",
            field=models.PositiveIntegerField(
                default=0, help_text="share of the price of what is not delivered"
            ),
        ),
        migrations.AddField(
            model_name="offer",
            name="reclaim_least_micro",
            field=models.BigIntegerField(
                default=0, help_text="the smallest compensation of a trade"
            ),
        ),
        migrations.AddField(
            model_name="trade",
            name="reclaim_compensation_bp",
            field=models.PositiveIntegerField(
                default=0, help_text="share of the price of what is not delivered"
            ),
        ),
        migrations.AddField(
            model_name="trade",
            name="reclaim_least_micro",
            field=models.BigIntegerField(
                default=0, help_text="the smallest compensation of a trade"
            ),
        ),
        migrations.AddField(
            model_name="trade",
            name="reclaim_notice_seconds",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddConstraint(
            model_name="offer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("reclaim_compensation_bp__lte", 10000),
                    ("reclaim_least_micro__gte", 0),
                    models.Q(
                        ("is_reclaimable", True),
                        models.Q(("reclaim_compensation_bp", 0), ("reclaim_least_micro", 0)),
                        _connector="OR",
                    ),
                ),
                name="offer_compensates_what_it_reclaims",
            ),
        ),
        migrations.AddIndex(
            model_name="reclaim",
            index=models.Index(
                condition=models.Q(("state", "noticed")), fields=["due_at"], name="reclaim_due"
            ),
        ),
        migrations.AddIndex(
            model_name="reclaim",
            index=models.Index(fields=["request_id"], name="reclaim_of_request"),
        ),
        migrations.AddConstraint(
            model_name="reclaim",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("compensation_micro__gte", 0),
                        ("decided_at__isnull", False),
                        ("state", "executed"),
                    ),
                    models.Q(
                        ("compensation_micro", None),
                        ("decided_at__isnull", False),
                        ("state", "void"),
                    ),
                    models.Q(
                        ("compensation_micro", None), ("decided_at", None), ("state", "noticed")
                    ),
                    _connector="OR",
                ),
                name="reclaim_owes_once_executed",
            ),
        ),
        migrations.RunSQL(FORWARD),
    ]
