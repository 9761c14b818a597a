"""Drawing a batch up: what the charges of a period owe to whom, netted, in whole fen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import date
from uuid import UUID

from django.db import connection

from billing.periods.models import SettlementPeriod
from billing.rating.models import Component
from billing.settlement.content import BatchContent, Owed, PaysOut, RegionPays
from billing.settlement.models import (
    Obligation,
    ObligationKind,
    Payout,
    RegionPayment,
    SettlementBatch,
)
from billing.settlement.netting import Debt, net
from core.ids import new_id
from core.money import MICRO_PER_FEN

# One pass over the period's charge lines, whatever their number: a row for each payee, component
# and pair of regions.
_LINES = """
SELECT line.component, line.payee_id, line.region_id, charge.buyer_region_id,
       sum(line.amount_micro)::bigint, count(*)
  FROM billing_charge charge JOIN billing_chargeline line ON line.charge_id = charge.id
 WHERE charge.period_id = %s
 GROUP BY 1, 2, 3, 4
"""

_CHARGED = "SELECT COALESCE(sum(amount_micro), 0)::bigint FROM billing_charge WHERE period_id = %s"

# What the newest settled payout of each party carried on. Periods are settled in their order.
_CARRIED = """
SELECT DISTINCT ON (payout.organisation_id, payout.region_id)
       payout.organisation_id, payout.region_id, payout.carried_micro
  FROM unnest(%s::uuid[], %s::text[]) AS party (organisation_id, region_id)
  JOIN billing_payout payout USING (organisation_id, region_id)
  JOIN billing_settlementbatch batch ON batch.id = payout.batch_id AND batch.state = 'settled'
 ORDER BY payout.organisation_id, payout.region_id, batch.period_id DESC
"""

_Party = tuple[UUID, str]  # an organisation in a region's books
_TAX = (Component.COMPUTE_VAT, Component.TRANSPORT_VAT)


def draw_up(period: SettlementPeriod) -> BatchContent:
    """What the charges of a closing period owe to whom.

    A part whose payee stands in another region than the buyer makes the buyer's region owe that
    region (netted below). What is due to organisations is paid out, in whole fen, with what the
    period before carried; commission, tax, congestion rent and what carriers without a name would
    get is kept.
    """
    owed = _collect(period)
    lines = {
        (row.organisation, row.creditor_region): row.amount_micro
        for row in owed
        if row.kind == ObligationKind.PAYOUT and row.organisation is not None
    }
    carried = _carried(lines)
    payouts = [
        _pay_out(party, amount + carried.get(party, 0)) for party, amount in sorted(lines.items())
    ]
    charged = _charged(period)
    paid_out = sum(row.amount_fen for row in payouts) * MICRO_PER_FEN
    kept = sum(
        row.amount_micro
        for row in owed
        if row.kind in (ObligationKind.COMMISSION, ObligationKind.TAX, ObligationKind.CONGESTION)
    )
    kept += sum(row.carried_micro for row in payouts) - sum(carried.values())
    if charged != paid_out + kept:
        raise ArithmeticError(
            f"period {period.date}: charged {charged}, paid out {paid_out}, kept {kept}"
        )
    debts = [
        Debt(row.debtor_region, row.creditor_region, row.amount_micro)
        for row in owed
        if row.kind == ObligationKind.CLEARING
    ]
    return BatchContent(
        period_date=period.date,
        charged_micro=charged,
        paid_out_micro=paid_out,
        kept_micro=kept,
        obligations=tuple(owed),
        region_payments=tuple(RegionPays(pay.payer, pay.payee, pay.amount) for pay in net(debts)),
        payouts=tuple(payouts),
    )


def write_rows(batch: SettlementBatch, content: BatchContent) -> None:
    """Store the parts of a batch that was just created from ``content``."""
    Obligation.objects.bulk_create(
        Obligation(
            batch=batch,
            kind=row.kind,
            debtor_region_id=row.debtor_region,
            creditor_region_id=row.creditor_region,
            organisation_id=row.organisation,
            amount_micro=row.amount_micro,
            line_count=row.line_count,
        )
        for row in content.obligations
    )
    RegionPayment.objects.bulk_create(
        RegionPayment(
            batch=batch,
            payer_region_id=row.payer_region,
            payee_region_id=row.payee_region,
            amount_micro=row.amount_micro,
        )
        for row in content.region_payments
    )
    payouts = []
    for row in content.payouts:
        payout_id = new_id()
        payouts.append(
            Payout(
                id=payout_id,
                batch=batch,
                organisation_id=row.organisation,
                region_id=row.region,
                owed_micro=row.owed_micro,
                amount_fen=row.amount_fen,
                carried_micro=row.carried_micro,
                end_to_end_id=f"CX{payout_id.hex}",
            )
        )
    Payout.objects.bulk_create(payouts)


def stored_content(batch: SettlementBatch, period_date: date) -> BatchContent:
    """The content as its rows stand in the database now."""
    return BatchContent(
        period_date=period_date,
        charged_micro=batch.charged_micro,
        paid_out_micro=batch.paid_out_micro,
        kept_micro=batch.kept_micro,
        obligations=tuple(
            Owed(*row)
            for row in batch.obligations.values_list(
                "kind",
                "debtor_region_id",
                "creditor_region_id",
                "organisation_id",
                "amount_micro",
                "line_count",
            )
        ),
        region_payments=tuple(
            RegionPays(*row)
            for row in batch.region_payments.values_list(
                "payer_region_id", "payee_region_id", "amount_micro"
            )
        ),
        payouts=tuple(
            PaysOut(*row)
            for row in batch.payouts.values_list(
                "organisation_id", "region_id", "owed_micro", "amount_fen", "carried_micro"
            )
        ),
    )


def _collect(period: SettlementPeriod) -> list[Owed]:
    totals: dict[tuple[str, str, str, UUID | None], list[int]] = defaultdict(lambda: [0, 0])
    with connection.cursor() as cursor:
        cursor.execute(_LINES, [period.pk])
        rows = cursor.fetchall()
    for component, payee, region, buyer_region, amount, count in rows:
        keys = [(_kind(component, payee), region, region, payee)]
        if region != buyer_region:
            keys.append((ObligationKind.CLEARING.value, buyer_region, region, None))
        for key in keys:
            totals[key][0] += amount
            totals[key][1] += count
    return sorted(
        (
            Owed(*key, amount_micro=amount, line_count=count)
            for key, (amount, count) in totals.items()
        ),
        key=lambda row: (row.kind, row.debtor_region, row.creditor_region, str(row.organisation)),
    )


def _kind(component: str, payee: UUID | None) -> str:
    if component in _TAX:
        return ObligationKind.TAX.value
    if component == Component.CONGESTION:
        return ObligationKind.CONGESTION.value
    # Without a payee it is the platform's own: commission, or a link that nobody owns.
    return ObligationKind.COMMISSION.value if payee is None else ObligationKind.PAYOUT.value


def _charged(period: SettlementPeriod) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_CHARGED, [period.pk])
        return int(cursor.fetchone()[0])


def _carried(parties: Collection[_Party]) -> dict[_Party, int]:
    if not parties:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_CARRIED, [list(column) for column in zip(*parties, strict=True)])
        return {(organisation, region): carried for organisation, region, carried in cursor}


def _pay_out(party: _Party, owed_micro: int) -> PaysOut:
    amount_fen, carried_micro = divmod(owed_micro, MICRO_PER_FEN)
    return PaysOut(*party, owed_micro, amount_fen, carried_micro)
