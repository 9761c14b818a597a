"""Settlement as a person looks at it: periods, a batch with its parties and regions, the lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Count, QuerySet, Sum
from django.urls import reverse

from billing.rating.models import Charge, ChargeLine
from billing.settlement.models import (
    Obligation,
    Payout,
    RegionPayment,
    SettlementBatch,
)
from console import flow
from console.cells import region_name
from exchange.topology.models import Region


def charged_by_period(period_ids: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Count and sum of the charges of each period, in one query."""
    rows = (
        Charge.objects.filter(period__in=list(period_ids))
        .values("period")
        .annotate(count=Count("pk"), amount=Sum("amount_micro"))
        .order_by("period")
    )
    return {row["period"]: (row["count"], int(row["amount"])) for row in rows}


@dataclass(slots=True)
class RegionPosition:
    """What a region owes and has coming, before and after netting, in micro-yuan."""

    region: Region
    owes_micro: int = 0
    is_owed_micro: int = 0
    pays_micro: int = 0
    receives_micro: int = 0
    payout_micro: int = 0
    commission_micro: int = 0
    tax_micro: int = 0
    obligations: dict[str, UUID] = field(default_factory=dict)

    @property
    def net_micro(self) -> int:
        """Above zero: it has money coming."""
        return self.is_owed_micro - self.owes_micro

    @property
    def is_unchanged(self) -> bool:
        """Invariant 7: netting changes no party's net position."""
        return self.net_micro == self.receives_micro - self.pays_micro


@dataclass(frozen=True, slots=True)
class BatchContent:
    """A batch's rows, loaded once and arranged for the page."""

    regions: list[RegionPosition]
    clearing: list[Obligation]
    payments: list[RegionPayment]
    payouts: list[Payout]
    gross_micro: int
    netted_micro: int
    gross_chart: flow.Chart
    netted_chart: flow.Chart

    @property
    def region_sums(self) -> list[int]:
        """The sums of the regions' columns, in the table's order."""
        columns = (
            "owes_micro",
            "is_owed_micro",
            "net_micro",
            "pays_micro",
            "receives_micro",
            "payout_micro",
            "commission_micro",
            "tax_micro",
        )
        return [sum(getattr(one, column) for one in self.regions) for column in columns]

    @property
    def owed_micro(self) -> int:
        """What all parties have coming."""
        return sum(one.owed_micro for one in self.payouts)

    @property
    def paid_fen(self) -> int:
        """What is paid, in whole fen."""
        return sum(one.amount_fen for one in self.payouts)

    @property
    def carried_micro(self) -> int:
        """What is carried on to the next period."""
        return sum(one.carried_micro for one in self.payouts)


def batch_content(batch: SettlementBatch) -> BatchContent:
    """Obligations, netted payments and payouts of a batch: three queries, however many rows."""
    obligations = list(
        batch.obligations.select_related("debtor_region", "creditor_region").order_by(
            "-amount_micro", "id"
        )
    )
    payments = list(
        batch.region_payments.select_related("payer_region", "payee_region").order_by(
            "-amount_micro", "id"
        )
    )
    payouts = list(
        batch.payouts.select_related("organisation", "region").order_by("-owed_micro", "id")
    )
    clearing = [one for one in obligations if one.kind == "clearing"]
    gross = sum(one.amount_micro for one in clearing)
    owed = [
        flow.Flow(
            region_name(one.debtor_region),
            region_name(one.creditor_region),
            one.amount_micro,
            reverse("console:obligation", args=[one.id]),
        )
        for one in clearing
    ]
    paid = [
        flow.Flow(region_name(one.payer_region), region_name(one.payee_region), one.amount_micro)
        for one in payments
    ]
    tone_of = flow.tones(owed)
    return BatchContent(
        regions=_positions(obligations, payments),
        clearing=clearing,
        payments=payments,
        payouts=payouts,
        gross_micro=gross,
        netted_micro=sum(one.amount_micro for one in payments),
        gross_chart=flow.chart(owed, scale_total=gross, tone_of=tone_of),
        netted_chart=flow.chart(paid, scale_total=gross, tone_of=tone_of),
    )


def _positions(
    obligations: list[Obligation], payments: list[RegionPayment]
) -> list[RegionPosition]:
    found: dict[str, RegionPosition] = {}

    def of(region: Region) -> RegionPosition:
        return found.setdefault(region.code, RegionPosition(region))

    for one in obligations:
        creditor = of(one.creditor_region)
        if one.kind == "clearing":
            of(one.debtor_region).owes_micro += one.amount_micro
            creditor.is_owed_micro += one.amount_micro
        elif one.kind == "payout":
            creditor.payout_micro += one.amount_micro
        else:
            creditor.obligations[one.kind] = one.id
            if one.kind in ("commission", "congestion"):
                creditor.commission_micro += one.amount_micro
            else:
                creditor.tax_micro += one.amount_micro
    for payment in payments:
        of(payment.payer_region).pays_micro += payment.amount_micro
        of(payment.payee_region).receives_micro += payment.amount_micro
    return sorted(found.values(), key=lambda p: (-abs(p.net_micro), p.region.code))


_COMPONENTS_OF = {
    "payout": ("seller_net", "transport_net"),
    "commission": ("commission",),
    "tax": ("compute_vat", "transport_vat"),
    "congestion": ("congestion_rent",),
}


def lines_of_obligation(one: Obligation) -> QuerySet[ChargeLine]:
    """The charge lines behind an obligation of a batch.

    Between regions: every line that falls due in the creditor's region of a charge that a buyer of
    the debtor's region paid. Else: the lines of the kind's components in the region (of the payee).
    """
    lines = ChargeLine.objects.filter(
        charge__period=one.batch.period_id, region=one.creditor_region_id
    )
    if one.kind == "clearing":
        return lines.filter(charge__buyer_region=one.debtor_region_id)
    lines = lines.filter(component__in=_COMPONENTS_OF[one.kind])
    return lines.filter(payee=one.organisation_id) if one.organisation_id else lines


def lines_of_payout(payout: Payout) -> QuerySet[ChargeLine]:
    """The charge lines of the period that a payout's party has coming."""
    return ChargeLine.objects.filter(
        charge__period=payout.batch.period_id,
        payee=payout.organisation_id,
        region=payout.region_id,
    )


@dataclass(frozen=True, slots=True)
class LineSums:
    """What a set of lines adds up to, whole and by component."""

    count: int
    total_micro: int
    by_component: list[tuple[str, int, int]]  # component, count, sum


def sums(lines: QuerySet[ChargeLine]) -> LineSums:
    """One query, whatever the number of lines."""
    by_component = [
        (row["component"], row["count"], int(row["amount"]))
        for row in lines.order_by()
        .values("component")
        .annotate(count=Count("pk"), amount=Sum("amount_micro"))
        .order_by("component")
    ]
    return LineSums(
        count=sum(count for _component, count, _amount in by_component),
        total_micro=sum(amount for _component, _count, amount in by_component),
        by_component=by_component,
    )


def with_charges(lines: QuerySet[ChargeLine]) -> QuerySet[ChargeLine]:
    """Lines with what a table of them shows."""
    return lines.select_related(
        "region", "payee", "charge__buyer", "charge__seller", "charge__buyer_region"
    )
