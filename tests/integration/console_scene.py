"""A small exchange with a day behind it, for the console's tests: written straight into the
tables, so that a page can be looked at with any number of rows."""

from __future__ import annotations

import hashlib
import json
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from uuid import UUID

from django.contrib.auth.hashers import make_password

from accounts import credit_code
from accounts.models import Membership, OperatorRole, Organisation, User
from billing.metering.models import UsageRecord
from billing.periods.models import SettlementPeriod
from billing.rating.models import Charge, ChargeLine
from billing.settlement.models import (
    Obligation,
    Payout,
    RegionPayment,
    SettlementBatch,
)
from core.ids import new_id
from core.slots import slot_of, slot_start_at
from exchange.capacity.models import Book, Centre, DeviceModel, Grade, Pool
from exchange.market.models import Offer, Order, Trade
from exchange.pricing import chart
from exchange.pricing.models import RuleSet
from exchange.scheduling.models import Lease, LeaseEvent
from exchange.topology.models import Region
from ledger import services as ledger

PASSWORD = "a long enough password"
_DATA = Path(__file__).resolve().parents[2] / "exchange"
_CLASSES = (
    ("intelligent", "ascend-910b", 64, "13.5"),
    ("general", "kunpeng-920", 2000, "0.21"),
    ("super", "hygon-7285", 200, "18.75"),
    ("edge", "atlas-300i", 40, "3.2"),
)
_NAMES = ["云川", "中原", "河洛", "星火", "豫算", "嵩山", "天枢", "云台", "砥柱", "商都", "鹤淇"]


@dataclass
class Scene:
    """What was made, by name, for the tests to ask after."""

    people: dict[str, User] = field(default_factory=dict)
    operator: Organisation | None = None
    providers: list[Organisation] = field(default_factory=list)
    buyers: list[Organisation] = field(default_factory=list)
    carrier: Organisation | None = None
    orders: list[Order] = field(default_factory=list)
    trades: list[Trade] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)
    usage: list[UsageRecord] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    lines: list[ChargeLine] = field(default_factory=list)
    period: SettlementPeriod | None = None
    batch: SettlementBatch | None = None
    pools: list[Pool] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)


def people(scene: Scene, now: datetime) -> None:
    """The operator's staff, one for each role, and a provider's trader who may see nothing."""
    scene.operator = _organisation("河南算力交易运营中心", ["operator"], "zhengzhou", 1, now)
    staff = {
        "clerk": ("settlement_clerk", "陈晓"),
        "approver": ("settlement_approver", "王岚"),
        "market": ("market", "赵敏"),
        "auditor": ("auditor", "孙平"),
    }
    for name, (role, called) in staff.items():
        user = _person(f"{name}@operator.example", called)
        Membership.objects.create(
            user=user, organisation=scene.operator, role="viewer", created_at=now
        )
        OperatorRole.objects.create(user=user, role=role, created_at=now)
        scene.people[name] = user


@cache
def _hashed() -> str:
    """Hashing is slow by design: once is enough for all the people of all tests."""
    return make_password(PASSWORD)


def _person(email: str, name: str) -> User:
    return User.objects.create(email=email, name=name, language="en", password=_hashed())


def outsider(scene: Scene, now: datetime) -> User:
    """A provider's own user: no operator role."""
    user = _person("trader@provider.example", "李强")
    Membership.objects.create(
        user=user, organisation=scene.providers[0], role="owner", created_at=now
    )
    return user


def _organisation(
    name: str, kinds: list[str], region: str, seed: int, now: datetime
) -> Organisation:
    return Organisation.objects.create(
        name=name,
        kinds=kinds,
        region_code=region,
        credit_code=credit_code.made_up(seed),
        verification="verified",
        verified_at=now,
        contact_name="张伟",
        contact_email=f"office{seed}@example.org",
        created_at=now,
    )


def regions() -> None:
    """The regions of the plan, parents first; those that are there already stay."""
    rows = json.loads((_DATA / "topology/data/regions.json").read_text())["regions"]
    Region.objects.bulk_create(
        [
            Region(
                code=row["code"],
                name_zh=row["name_zh"],
                name_en=row["name_en"],
                kind=row["kind"],
                role=row["role"],
                parent_id=row["parent"],
                latitude=row["lat"],
                longitude=row["lon"],
            )
            for row in rows
        ],
        ignore_conflicts=True,
    )


def build(
    *,
    now: datetime,
    cities: int = 4,
    buyers: int = 3,
    orders: int = 6,
    period: SettlementPeriod | None = None,
) -> Scene:
    """A scene of the size asked for. Its charges go into ``period``, which stays open, or into
    one of the day before, which is then closing."""
    scene = Scene()
    chance = random.Random(20261123)
    regions()
    people(scene, now)
    codes = list(
        Region.objects.filter(kind="city", role__in=["core", "pole", "point", "hub"])
        .order_by("role", "code")
        .values_list("code", flat=True)[:cities]
    )
    _supply(scene, codes, now)
    scene.buyers = [
        _organisation(f"需求单位{n + 1:02d}", ["buyer"], codes[-1 - n % len(codes)], 100 + n, now)
        for n in range(buyers)
    ]
    scene.carrier = _organisation("豫联传输", ["carrier"], codes[0], 300, now)
    for n, state in enumerate(("submitted", "submitted", "refused", "draft")):
        _waiting(f"新注册机构{n + 1}", state, codes[0], 400 + n, now)
    scene.period = period or _open_period(now - timedelta(days=1))
    _trading(scene, orders, now, chance)
    _charging(scene, now, chance)
    if period is None:
        SettlementPeriod.objects.filter(pk=scene.period.pk).update(state="closing", closed_at=now)
        _open_period(now)
    return scene


def _open_period(now: datetime) -> SettlementPeriod:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return SettlementPeriod.objects.create(
        date=now.date(), starts_at=midnight, ends_at=midnight + timedelta(days=1)
    )


def _waiting(name: str, state: str, region: str, seed: int, now: datetime) -> None:
    Organisation.objects.create(
        name=name,
        kinds=["provider"],
        region_code=region,
        credit_code=credit_code.made_up(seed),
        verification=state,
        verification_reason="信用代码与名称不符" if state == "refused" else "",
        contact_name="刘洋",
        contact_email=f"new{seed}@example.org",
        created_at=now,
    )


def _supply(scene: Scene, codes: list[str], now: datetime) -> None:
    books = {}
    for cls, model, _units, _price in _CLASSES:
        device, _made = DeviceModel.objects.get_or_create(
            code=f"{model}-test",
            defaults={"name": model, "vendor": "国产", "kind": "npu", "is_domestic": True},
        )
        books[cls], _made = Book.objects.get_or_create(code=cls, defaults={"resource_class": cls})
        Grade.objects.get_or_create(
            code=f"{cls}.{model}-test.1",
            defaults={
                "book": books[cls],
                "resource_class": cls,
                "device_model": device,
                "unit_description": model,
            },
        )
    slot = slot_of(now)
    for n, code in enumerate(codes):
        provider = _organisation(
            f"{_NAMES[n % len(_NAMES)]}算力{n + 1}号", ["provider"], code, 10 + n, now
        )
        scene.providers.append(provider)
        centre = Centre.objects.create(
            provider=provider,
            region_id=code,
            code=f"dc-{n}",
            name=f"{_NAMES[n % len(_NAMES)]}智算中心",
            standard_racks=1200,
            pue=Decimal("1.180"),
            green_share=Decimal("0.4200"),
            last_heartbeat_at=now,
            is_reachable=n != 2,
            created_at=now - timedelta(days=30),
        )
        for cls, model, units, price in _CLASSES[: 2 + n % 3]:
            pool = Pool.objects.create(
                centre=centre,
                grade=Grade.objects.get(code=f"{cls}.{model}-test.1"),
                code=f"{cls}-{n}",
                units=units,
                available_units=units,
                created_at=now - timedelta(days=30),
            )
            scene.pools.append(pool)
            scene.offers.append(
                Offer.objects.create(
                    provider=provider,
                    pool=pool,
                    book=books[cls],
                    units=units,
                    start_slot=slot - 72,
                    end_slot=slot + 72,
                    prices=[Decimal(price)],
                    max_duration_slots=100,
                    state="open",
                    created_at=now,
                )
            )


def _trading(scene: Scene, count: int, now: datetime, chance: random.Random) -> None:
    rules = RuleSet.objects.first() or RuleSet.objects.create(
        valid_from_at=now - timedelta(days=400),
        commission_bp=300,
        compute_vat_bp=600,
        transport_vat_bp=900,
        brokerage_vat_bp=600,
        reporting_grace_seconds=86_400,
    )
    slot = slot_of(now)
    events = []
    for n in range(count):
        offer = scene.offers[n % len(scene.offers)]
        buyer = scene.buyers[n % len(scene.buyers)]
        units = max(1, offer.units * chance.randint(1, 5) // (8 * (1 + count // len(scene.offers))))
        hours = chance.randint(4, 12)
        start = slot - chance.randint(hours + 1, 24)
        if n % 5 == 4:  # still running
            start = slot - 1
        price = offer.prices[0]
        cost = int(price * 1_000_000) * units * hours
        transport = cost // 50 if n % 3 == 0 else 0
        order = Order(
            buyer=buyer,
            book_id=offer.book_id,
            client_reference=f"训练任务-{n:04d}",
            grade_ids=[offer.pool.grade_id],
            limit_prices=[price * 2],
            units=units + (n % 4 == 3),
            duration_slots=hours,
            earliest_slot=start,
            latest_slot=start + hours + 4,
            time_in_force="gtc",
            expires_at=now + timedelta(days=1),
            held_micro=cost * 2,
            state="partially_filled" if n % 4 == 3 else "filled",
            filled_units=units,
            spent_micro=cost + transport,
            placed_at=now - timedelta(minutes=20 * (n % 60)),
        )
        trade = Trade(
            id=new_id(),
            book_id=offer.book_id,
            batch=1,
            position=n,
            order=order,
            offer=offer,
            pool=offer.pool,
            grade_id=offer.pool.grade_id,
            buyer=buyer,
            seller_id=offer.provider_id,
            buyer_region_id=buyer.region_code,
            seller_region_id=offer.pool.centre.region_id,
            rule_set=rules,
            resting_side="offer",
            units=units,
            start_slot=start,
            end_slot=start + hours,
            starts_at=slot_start_at(start),
            ends_at=slot_start_at(start + hours),
            price_per_unit_hour=price,
            compute_micro=cost,
            transport_micro=transport,
            traded_at=now - timedelta(minutes=20 * (n % 60)),
        )
        state = "active" if n % 5 == 4 else "completed"
        lease = Lease(
            trade=trade,
            buyer=buyer,
            provider_id=offer.provider_id,
            centre_id=offer.pool.centre_id,
            units=units,
            starts_at=trade.starts_at,
            ends_at=trade.ends_at,
            state=state,
            activated_at=trade.starts_at,
            ended_at=trade.ends_at if state == "completed" else None,
            updated_at=now,
        )
        events.append(
            LeaseEvent(
                lease=lease,
                event="activate",
                state_before="scheduled",
                state_after="active",
                occurred_at=trade.starts_at,
                actor_label="cx_demo",
            )
        )
        scene.orders.append(order)
        scene.trades.append(trade)
        scene.leases.append(lease)
    Order.objects.bulk_create(scene.orders)
    Trade.objects.bulk_create(scene.trades)
    Lease.objects.bulk_create(scene.leases)
    LeaseEvent.objects.bulk_create(events)


def _charging(scene: Scene, now: datetime, chance: random.Random) -> None:
    for trade, lease in zip(scene.trades, scene.leases, strict=True):
        until = min(trade.ends_at, now)
        until = max(until, trade.starts_at + timedelta(minutes=1))
        seconds = int((until - trade.starts_at).total_seconds())
        record = UsageRecord(
            lease=lease,
            source="provider",
            source_record_id=f"u-{trade.position}",
            period_start_at=trade.starts_at,
            period_end_at=until,
            active_unit_seconds=seconds * trade.units - chance.randint(0, 59),
            received_at=now,
        )
        planned = (trade.ends_at - trade.starts_at).total_seconds() * trade.units
        compute = int(trade.compute_micro * record.active_unit_seconds / planned)
        transport = int(trade.transport_micro * record.active_unit_seconds / planned)
        charge = Charge(
            usage_record=record,
            lease=lease,
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
        scene.usage.append(record)
        scene.charges.append(charge)
        scene.lines += _lines(scene, charge)
    UsageRecord.objects.bulk_create(scene.usage)
    Charge.objects.bulk_create(scene.charges)
    ChargeLine.objects.bulk_create(scene.lines)
    _book(scene, now)


def _lines(scene: Scene, charge: Charge) -> list[ChargeLine]:
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


def _book(scene: Scene, now: datetime) -> None:
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


def draft(scene: Scene, now: datetime) -> SettlementBatch:
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
