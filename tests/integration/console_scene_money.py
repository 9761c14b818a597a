"""The money of the console's scene: usage, charges, their entries in the ledger, a batch."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from billing.metering.models import UsageRecord
from billing.rating.models import Charge, ChargeLine
from billing.settlement.models import Obligation, Payout, RegionPayment, SettlementBatch
from core.ids import new_id
from exchange.market.models import Trade
from exchange.pricing import chart
from exchange.scheduling.models import Lease
from ledger import services as ledger


def charge(scene: Any, now: datetime, chance: random.Random) -> None:
    """Report and charge the use of every lease, and book it."""
    for trade, lease in zip(scene.trades, scene.leases, strict=True):
        record = _usage(trade, lease, now, chance)
        made = _charge(scene, trade, record, now)
        scene.usage.append(record)
        scene.charges.append(made)
        scene.lines += _lines(scene, made)
    UsageRecord.objects.bulk_create(scene.usage)
    Charge.objects.bulk_create(scene.charges)
    ChargeLine.objects.bulk_create(scene.lines)
    _book(scene, now)


def _usage(trade: Trade, lease: Lease, now: datetime, chance: random.Random) -> UsageRecord:
    until = max(min(trade.ends_at, now), trade.starts_at + timedelta(minutes=1))
    seconds = int((until - trade.starts_at).total_seconds())
    return UsageRecord(
        lease=lease,
        source="provider",
        source_record_id=f"u-{trade.position}",
        period_start_at=trade.starts_at,
        period_end_at=until,
        active_unit_seconds=seconds * trade.units - chance.randint(0, 59),
        received_at=now,
    )


def _charge(scene: Any, trade: Trade, record: UsageRecord, now: datetime) -> Charge:
    planned = int((trade.ends_at - trade.starts_at).total_seconds()) * trade.units
    compute = trade.compute_micro * record.active_unit_seconds // planned
    transport = trade.transport_micro * record.active_unit_seconds // planned
    return Charge(
        usage_record=record,
        lease=record.lease,
        period=scene.period,
        buyer_id=trade.buyer_id,
        seller_id=trade.seller_id,
        buyer_region_id=trade.buyer_region_id,
        seller_region_id=trade.seller_region_id,
        rule_set_id=trade.rule_set_id,
        unit_seconds_before=0,
        unit_seconds_after=record.active_unit_seconds,
        compute_micro=compute,
        transport_micro=transport,
        amount_micro=compute + transport,
        charged_at=now,
    )


def _lines(scene: Any, charge: Charge) -> list[ChargeLine]:
    commission = charge.compute_micro * 3 // 100
    vat = charge.compute_micro * 6 // 106
    parts = [
        (
            "seller_net",
            charge.seller_id,
            charge.seller_region_id,
            charge.compute_micro - commission - vat,
        ),
        ("commission", None, charge.seller_region_id, commission),
        ("compute_vat", None, charge.seller_region_id, vat),
    ]
    if charge.transport_micro:
        transport_vat = charge.transport_micro * 9 // 109
        home = scene.carrier.region_code
        parts.append(
            ("transport_net", scene.carrier.id, home, charge.transport_micro - transport_vat)
        )
        parts.append(("transport_vat", None, home, transport_vat))
    return [
        ChargeLine(
            charge=charge,
            component=component,
            payee_id=payee,
            region_id=region,
            amount_micro=amount,
        )
        for component, payee, region, amount in parts
        if amount
    ]


_ACCOUNT_OF = {
    "seller_net": chart.PAYABLE,
    "transport_net": chart.PAYABLE,
    "commission": chart.COMMISSION,
    "compute_vat": chart.TAX_PAYABLE,
    "transport_vat": chart.TAX_PAYABLE,
}


def _book(scene: Any, now: datetime) -> None:
    by_charge = defaultdict(list)
    for line in scene.lines:
        by_charge[line.charge_id].append(line)
    groups = []
    for buyer in scene.buyers:
        amount = 10_000_000_000_000
        legs = (
            ledger.Leg(chart.account(chart.PLATFORM, chart.BANK, buyer.region_code), amount),
            ledger.Leg(chart.account(buyer.id, chart.AVAILABLE, buyer.region_code), -amount),
        )
        groups.append((ledger.PostTransfer(new_id(), "funds.top_up", buyer.id, now, legs),))
    for charge in scene.charges:
        groups.append((_charge_transfer(charge, by_charge[charge.id], now),))
    keys = {leg.account for group in groups for one in group for leg in one.legs}
    ledger.open_accounts([chart.spec(key) for key in sorted(keys)])
    for result in ledger.post(groups, now=now):
        assert result.ok, result


def _charge_transfer(charge: Charge, lines: list[ChargeLine], now: datetime) -> ledger.PostTransfer:
    home = charge.buyer_region_id
    sums: dict[ledger.AccountKey, int] = defaultdict(int)
    sums[chart.account(charge.buyer_id, chart.AVAILABLE, home)] += charge.amount_micro
    for line in lines:
        owner = line.payee_id or chart.PLATFORM
        sums[chart.account(owner, _ACCOUNT_OF[line.component], line.region_id)] -= line.amount_micro
        if line.region_id != home:
            sums[chart.clearing(home, line.region_id)] -= line.amount_micro
            sums[chart.clearing(line.region_id, home)] += line.amount_micro
    legs = tuple(ledger.Leg(key, amount) for key, amount in sums.items() if amount)
    return ledger.PostTransfer(charge.id, "charge.usage", charge.lease_id, now, legs)


def draft(scene: Any, now: datetime) -> SettlementBatch:
    """A drafted batch of the scene's closing period, netted greedily."""
    owed: dict[tuple[str, str], list[int]] = defaultdict(list)
    kept: dict[tuple[str, str], list[int]] = defaultdict(list)
    due: dict[tuple[UUID, str], list[int]] = defaultdict(list)
    buyer_region = {charge.id: charge.buyer_region_id for charge in scene.charges}
    for line in scene.lines:
        home = buyer_region[line.charge_id]
        if home != line.region_id:
            owed[home, line.region_id].append(line.amount_micro)
        if line.payee_id:
            due[line.payee_id, line.region_id].append(line.amount_micro)
        else:
            kind = "commission" if line.component == "commission" else "tax"
            kept[kind, line.region_id].append(line.amount_micro)
    paid_out = sum(sum(amounts) for amounts in due.values())
    charged = sum(charge.amount_micro for charge in scene.charges)
    batch = SettlementBatch.objects.create(
        period=scene.period,
        content_hash=hashlib.sha256(str(charged).encode()).hexdigest(),
        charged_micro=charged,
        paid_out_micro=paid_out,
        kept_micro=charged - paid_out,
        created_at=now,
        created_by=scene.people["clerk"],
    )
    Obligation.objects.bulk_create(
        [_obligation(batch, "clearing", pair, amounts) for pair, amounts in owed.items()]
        + [_obligation(batch, kind, (r, r), amounts) for (kind, r), amounts in kept.items()]
        + [_obligation(batch, "payout", (r, r), amounts, org) for (org, r), amounts in due.items()]
    )
    _net(batch, {pair: sum(amounts) for pair, amounts in owed.items()})
    Payout.objects.bulk_create(
        Payout(
            batch=batch,
            organisation_id=organisation,
            region_id=region,
            owed_micro=sum(amounts),
            amount_fen=sum(amounts) // 10_000,
            carried_micro=sum(amounts) % 10_000,
            end_to_end_id=f"{scene.period.date:%Y%m%d}-{n:04d}",
        )
        for n, ((organisation, region), amounts) in enumerate(due.items())
    )
    scene.batch = batch
    return batch


def _obligation(
    batch: SettlementBatch,
    kind: str,
    between: tuple[str, str],
    amounts: list[int],
    organisation: UUID | None = None,
) -> Obligation:
    debtor, creditor = between
    return Obligation(
        batch=batch,
        kind=kind,
        debtor_region_id=debtor,
        creditor_region_id=creditor,
        organisation_id=organisation,
        amount_micro=sum(amounts),
        line_count=len(amounts),
    )


def _net(batch: SettlementBatch, owed: dict[tuple[str, str], int]) -> None:
    position: dict[str, int] = defaultdict(int)
    for (debtor, creditor), amount in owed.items():
        position[debtor] -= amount
        position[creditor] += amount
    while any(position.values()):
        payer = min(position, key=lambda region: (position[region], region))
        payee = max(position, key=lambda region: (position[region], region))
        amount = min(-position[payer], position[payee])
        RegionPayment.objects.create(
            batch=batch, payer_region_id=payer, payee_region_id=payee, amount_micro=amount
        )
        position[payer] += amount
        position[payee] -= amount
