"""Raw SQL against every constraint of scheduling and billing, as the role of the application."""

from __future__ import annotations

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction

from billing.rating.models import Charge
from billing.rating.services import rate_pending
from billing.settlement import services
from tests import factories as make
from tests.factories import HOUR, START
from tests.integration.billing.deals import Deal, run

pytestmark = pytest.mark.django_db
END = START + 2 * HOUR

_CHARGE = """
INSERT INTO billing_charge (id, usage_record_id, lease_id, period_id, buyer_id, seller_id,
    buyer_region_id, seller_region_id, rule_set_id, unit_seconds_before, unit_seconds_after,
    compute_micro, transport_micro, amount_micro, charged_at)
SELECT gen_random_uuid(), usage.id, usage.lease_id, {period}, trade.buyer_id, trade.seller_id,
       trade.buyer_region_id, trade.seller_region_id, trade.rule_set_id, {before}, {after},
       {compute}, {transport}, {amount}, now()
  FROM billing_usagerecord usage JOIN exchange_trade trade ON trade.id = usage.lease_id
 WHERE usage.source_record_id = '{record}'
"""
_USAGE = """
INSERT INTO billing_usagerecord (id, lease_id, source, source_record_id, period_start_at,
    period_end_at, active_unit_seconds, received_at)
SELECT gen_random_uuid(), lease.id, 'provider', '{name}', lease.starts_at + interval '{start}',
       lease.starts_at + interval '{end}', {seconds}, now()
  FROM exchange_lease lease
"""


def charge(**facts) -> str:
    period = "(SELECT id FROM billing_settlementperiod WHERE state = 'open')"
    return _CHARGE.format(
        **{"period": period, "before": 14_400, "after": 28_800, "record": "b"}
        | {"compute": 5, "transport": 0, "amount": 5}
        | facts
    )


def usage(**facts) -> str:
    return _USAGE.format(
        **{"name": "c", "start": "1 hour", "end": "2 hours", "seconds": 10} | facts
    )


@pytest.fixture
def deal() -> Deal:
    """Record 'a' is charged, record 'b' waits, a batch of the period before is submitted."""
    made = run()
    made.report(made.use("a"))
    rate_pending(now=END)
    clerk = make.operator("settlement_clerk")
    period = services.cut_off(actor=clerk, now=END)
    batch = services.draft_batch(actor=clerk, period_id=period.pk, now=END)
    services.submit_batch(actor=clerk, batch_id=batch.pk, now=END)
    made.report(made.use("b", start=HOUR, end=HOUR + HOUR / 2))
    return made


def refusal(sql: str) -> str:
    """The name of the constraint that refuses a statement (or the message without one)."""
    with (
        pytest.raises(DatabaseError) as caught,
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)
    cause = caught.value.__cause__
    assert isinstance(cause, psycopg.Error)
    return cause.diag.constraint_name or str(cause)


@pytest.mark.parametrize(
    ("sql", "constraint"),
    [
        (
            "UPDATE exchange_lease SET ended_at = now()",
            "lease_ended_says_when",
        ),
        ("UPDATE exchange_lease SET state = 'failed'", "lease_ended_says_when"),
        ("UPDATE exchange_lease SET ends_at = starts_at", "lease_covers_time"),
        (usage(start="1 hour", end="90 minutes"), "usage_periods_of_a_lease_never_overlap"),
        (usage(name="a", start="100 minutes"), "usage_record_reported_once"),
        (usage(start="110 minutes", end="3 hours"), "usage_within_lease"),
        (usage(start="110 minutes", seconds=2_401), "usage_within_lease"),
        (usage(start="110 minutes", seconds=-1), "usage_not_negative"),
        (usage(start="2 hours"), "usage_covers_time"),
        (charge(record="a"), "billing_charge_usage_record_id_key"),
        (charge(before=0, after=5), "lease_charged_in_one_line"),
        (charge(amount=6), "charge_is_compute_and_transport"),
        (charge(compute=-5, amount=-5), "charge_not_negative"),
        (
            charge(period="(SELECT id FROM billing_settlementperiod WHERE state = 'closing')"),
            "charge_in_open_period",
        ),
        (
            (
                "INSERT INTO billing_chargeline (charge_id, component, region_id, amount_micro)"
                " SELECT id, 'commission', seller_region_id, 1 FROM billing_charge"
            ),
            "charge_equals_its_lines",
        ),
        (
            (
                "INSERT INTO billing_chargeline (charge_id, component, region_id, amount_micro)"
                " SELECT id, 'commission', seller_region_id, 0 FROM billing_charge"
            ),
            "charge_line_above_zero",
        ),
        (
            (
                "INSERT INTO billing_settlementperiod"
                " (date, starts_at, ends_at, state, ledger_period_id)"
                " VALUES ('2030-01-01', now(), now() + interval '1 day', 'open', 1)"
            ),
            "one_period_is_open",
        ),
        (
            "UPDATE billing_settlementperiod SET ends_at = starts_at",
            "period_has_time",
        ),
        (
            (
                "UPDATE billing_settlementbatch SET approved_by_id = submitted_by_id,"
                " approved_at = now(), state = 'approved'"
            ),
            "whoever_approves_did_not_submit",
        ),
        (
            "UPDATE billing_settlementbatch SET state = 'settled'",
            "settled_batch_was_approved",
        ),
        (
            "UPDATE billing_settlementbatch SET content_hash = repeat('0', 64)",
            "batch_content_fixed",
        ),
        (
            "UPDATE billing_settlementbatch SET paid_out_micro = 0, kept_micro = charged_micro",
            "batch_content_fixed",
        ),
        (
            (
                "INSERT INTO billing_settlementbatch (id, period_id, state, state_reason,"
                " content_hash, charged_micro, paid_out_micro, kept_micro, created_at)"
                " SELECT gen_random_uuid(), period_id, 'draft', '', '', 0, 0, 0, now()"
                " FROM billing_settlementbatch"
            ),
            "one_batch_for_a_period",
        ),
        (
            (
                "INSERT INTO billing_settlementbatch (id, period_id, state, state_reason,"
                " content_hash, charged_micro, paid_out_micro, kept_micro, created_at)"
                " SELECT gen_random_uuid(), period_id, 'rejected', '', '', 5, 3, 1, now()"
                " FROM billing_settlementbatch"
            ),
            "batch_pays_out_and_keeps_what_it_took_in",
        ),
        (
            "UPDATE billing_payout SET amount_fen = amount_fen + 1",
            "payout_and_carry_make_what_is_owed",
        ),
        (
            (
                "UPDATE billing_payout SET amount_fen = amount_fen - 1,"
                " carried_micro = carried_micro + 10000"
            ),
            "payout_carries_less_than_a_fen",
        ),
        (
            (
                "INSERT INTO billing_payout (id, owed_micro, amount_fen, carried_micro,"
                " end_to_end_id, state, batch_id, organisation_id, region_id)"
                " SELECT gen_random_uuid(), owed_micro, amount_fen, carried_micro,"
                " 'other', state, batch_id, organisation_id, region_id FROM billing_payout"
            ),
            "one_payout_for_each_party",
        ),
        (
            (
                "INSERT INTO billing_obligation (id, batch_id, kind, debtor_region_id,"
                " creditor_region_id, amount_micro, line_count)"
                " SELECT gen_random_uuid(), id, 'clearing', 'zhengzhou', 'zhengzhou', 5, 1"
                " FROM billing_settlementbatch"
            ),
            "no_region_clears_with_itself",
        ),
        (
            (
                "INSERT INTO billing_obligation (id, batch_id, kind, debtor_region_id,"
                " creditor_region_id, amount_micro, line_count)"
                " SELECT gen_random_uuid(), id, 'tax', 'zhengzhou', 'zhengzhou', 0, 1"
                " FROM billing_settlementbatch"
            ),
            "obligation_above_zero",
        ),
        (
            (
                "INSERT INTO billing_regionpayment (id, batch_id, payer_region_id, payee_region_id,"
                " amount_micro) SELECT gen_random_uuid(), id, 'zhengzhou', 'zhengzhou', 0"
                " FROM billing_settlementbatch"
            ),
            "region_payment_above_zero",
        ),
        (
            (
                "INSERT INTO billing_topup (id, organisation_id, region_id, amount_micro,"
                " bank_reference, received_at) SELECT gen_random_uuid(), buyer_id, 'zhengzhou', 0,"
                " 'x', now() FROM exchange_lease"
            ),
            "top_up_above_zero",
        ),
        (
            "UPDATE billing_unratedrecord SET refused_code = 'x'",
            "refused_record_says_why_and_when",
        ),
    ],
)
def test_the_database_refuses(deal, sql, constraint):
    assert refusal(sql) == constraint
    assert Charge.objects.count() == 1


@pytest.mark.parametrize(
    "table",
    [
        "exchange_leaseevent",
        "billing_usagerecord",
        "billing_charge",
        "billing_chargeline",
        "billing_obligation",
        "billing_regionpayment",
        "billing_topup",
    ],
)
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_history_is_never_removed(deal, table, statement):
    said = refusal(statement.format(table))
    assert "permission denied" in said or "append-only" in said


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_charge SET amount_micro = 0",
        "UPDATE billing_chargeline SET amount_micro = 1",
        "UPDATE billing_usagerecord SET active_unit_seconds = 0",
        "UPDATE exchange_leaseevent SET reason = 'x'",
    ],
)
def test_history_is_never_changed_by_the_owner_either(deal, owner_connection, statement):
    with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
        owner_connection.execute(statement)
