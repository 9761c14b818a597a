"""A small exchange with a day behind it, for the console's tests: written straight into the
tables, so that a page can be looked at with any number of rows."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path

from django.contrib.auth.hashers import make_password
from django.test import Client

from accounts import credit_code
from accounts.models import Membership, OperatorRole, Organisation, User
from billing.metering.models import UsageRecord
from billing.periods.models import SettlementPeriod
from billing.rating.models import Charge, ChargeLine
from billing.settlement.models import (
    SettlementBatch,
)
from core.ids import new_id
from core.slots import slot_of, slot_start_at
from exchange.capacity.models import Book, Centre, DeviceModel, Grade, Pool
from exchange.market.models import Offer, Order, Trade
from exchange.pricing.models import RuleSet
from exchange.scheduling.models import Lease, LeaseEvent
from exchange.topology.models import Region
from ledger.periods import open_period
from tests.integration import console_scene_money

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
    console_scene_money.charge(scene, now, chance)
    if period is None:
        SettlementPeriod.objects.filter(pk=scene.period.pk).update(state="closing", closed_at=now)
        _open_period(now)
    return scene


def _open_period(now: datetime) -> SettlementPeriod:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return SettlementPeriod.objects.create(
        date=now.date(),
        starts_at=midnight,
        ends_at=midnight + timedelta(days=1),
        ledger_period=open_period(),
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


def _books() -> dict[str, Book]:
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
    return books


def _supply(scene: Scene, codes: list[str], now: datetime) -> None:
    books, slot = _books(), slot_of(now)
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
    for n in range(count):
        offer = scene.offers[n % len(scene.offers)]
        share = 8 * (1 + count // len(scene.offers))
        units = max(1, offer.units * chance.randint(1, 5) // share)
        hours = chance.randint(4, 12)
        start = slot_of(now) - chance.randint(hours + 1, 24)
        if n % 5 == 4:  # still running
            start = slot_of(now) - 1
        order = _order(scene, n, offer, (units, hours, start), now)
        trade = _trade(n, order, offer, (units, hours, start), rules)
        scene.orders.append(order)
        scene.trades.append(trade)
        scene.leases.append(_lease(n, trade, now))
    Order.objects.bulk_create(scene.orders)
    Trade.objects.bulk_create(scene.trades)
    Lease.objects.bulk_create(scene.leases)
    LeaseEvent.objects.bulk_create(
        LeaseEvent(
            lease=lease,
            event="activate",
            state_before="scheduled",
            state_after="active",
            occurred_at=lease.starts_at,
            actor_label="cx_demo",
        )
        for lease in scene.leases
    )


def _cost(n: int, offer: Offer, units: int, hours: int) -> tuple[int, int]:
    """What a trade costs: compute, and transport for every third."""
    compute = int(offer.prices[0] * 1_000_000) * units * hours
    return compute, compute // 50 if n % 3 == 0 else 0


def _order(scene: Scene, n: int, offer: Offer, claim: tuple[int, int, int], now: datetime) -> Order:
    units, hours, start = claim
    compute, transport = _cost(n, offer, units, hours)
    is_partly = n % 4 == 3
    return Order(
        buyer=scene.buyers[n % len(scene.buyers)],
        book_id=offer.book_id,
        client_reference=f"训练任务-{n:04d}",
        grade_ids=[offer.pool.grade_id],
        limit_prices=[offer.prices[0] * 2],
        units=units + is_partly,
        duration_slots=hours,
        earliest_slot=start,
        latest_slot=start + hours + 4,
        time_in_force="gtc",
        expires_at=now + timedelta(days=1),
        held_micro=compute * 2,
        state="partially_filled" if is_partly else "filled",
        filled_units=units,
        spent_micro=compute + transport,
        placed_at=now - timedelta(minutes=20 * (n % 60)),
    )


def _trade(
    n: int, order: Order, offer: Offer, claim: tuple[int, int, int], rules: RuleSet
) -> Trade:
    units, hours, start = claim
    compute, transport = _cost(n, offer, units, hours)
    return Trade(
        id=new_id(),
        book_id=offer.book_id,
        batch=1,
        position=n,
        order=order,
        offer=offer,
        pool=offer.pool,
        grade_id=offer.pool.grade_id,
        buyer=order.buyer,
        seller_id=offer.provider_id,
        buyer_region_id=order.buyer.region_code,
        seller_region_id=offer.pool.centre.region_id,
        rule_set=rules,
        resting_side="offer",
        units=units,
        start_slot=start,
        end_slot=start + hours,
        starts_at=slot_start_at(start),
        ends_at=slot_start_at(start + hours),
        price_per_unit_hour=offer.prices[0],
        compute_micro=compute,
        transport_micro=transport,
        traded_at=order.placed_at,
    )


def _lease(n: int, trade: Trade, now: datetime) -> Lease:
    state = "active" if n % 5 == 4 else "completed"
    return Lease(
        trade=trade,
        buyer=trade.buyer,
        provider_id=trade.seller_id,
        centre_id=trade.pool.centre_id,
        units=trade.units,
        starts_at=trade.starts_at,
        ends_at=trade.ends_at,
        state=state,
        activated_at=trade.starts_at,
        ended_at=trade.ends_at if state == "completed" else None,
        updated_at=now,
    )


def as_(scene: Scene, name: str, language: str = "en") -> Client:
    """A browser in which one of the operator's people is logged in."""
    client = Client(enforce_csrf_checks=False)
    client.force_login(scene.people[name])
    client.cookies["django_language"] = language
    return client
