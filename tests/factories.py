"""Small factories: each makes one thing straight in the tables, with what it needs around it.

For tests of what comes after a trade. Amounts are whole micro-yuan, instants are given by the test.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from accounts import credit_code
from accounts.actors import Actor
from accounts.models import Membership, OperatorRole, Organisation, User
from accounts.roles import SCOPES
from core.ids import new_id
from core.slots import slot_of
from exchange.capacity.models import Book, Centre, DeviceModel, Grade, Pool
from exchange.market.day_ahead.models import Auction, AuctionEntry, AuctionLine
from exchange.market.models import Offer, Order, Trade
from exchange.pricing import chart
from exchange.pricing.models import RuleSet
from exchange.topology.models import Link, Region
from ledger import selectors as ledger_reads
from ledger import services as ledger

_numbers = itertools.count(uuid.uuid4().int % 10**9)
START = datetime(2026, 11, 23, 8, tzinfo=UTC)  # a whole slot
HOUR = timedelta(hours=1)
GRACE = timedelta(hours=6)


def region(code: str) -> Region:
    """A city."""
    made, _ = Region.objects.get_or_create(
        code=code, defaults={"name_zh": code, "name_en": code, "kind": "city"}
    )
    return made


def organisation(*kinds: str, region_code: str = "zhengzhou", name: str = "A firm") -> Organisation:
    """A verified organisation."""
    region(region_code)
    return Organisation.objects.create(
        name=name,
        credit_code=credit_code.made_up(next(_numbers)),
        kinds=list(kinds),
        region_code=region_code,
        verification="verified",
        verified_at=START,
        created_at=START,
    )


def actor_of(owner: Organisation, *, scopes: Iterable[str] = SCOPES) -> Actor:
    """A key of an organisation, with all scopes unless said otherwise."""
    return Actor(
        kind="key",
        id=uuid.uuid4(),
        label="cx_test",
        organisation_id=owner.id,
        organisation_kinds=frozenset(owner.kinds),
        organisation_verified=True,
        region_code=owner.region_code,
        scopes=frozenset(scopes) - {"operator"},
        operator_roles=frozenset(),
    )


def operator(*roles: str) -> Actor:
    """A person of the operator with these roles."""
    number = next(_numbers)
    owner = Organisation.objects.filter(kinds__contains=["operator"]).first() or organisation(
        "operator", name="The operator"
    )
    user = User.objects.create_user(f"person-{number}@operator.example", None, name="Person")
    Membership.objects.create(user=user, organisation=owner, role="finance", created_at=START)
    for role in roles:
        OperatorRole.objects.create(user=user, role=role, created_at=START)
    return Actor(
        kind="person",
        id=user.id,
        label=user.email,
        organisation_id=owner.id,
        organisation_kinds=frozenset(owner.kinds),
        organisation_verified=True,
        region_code=owner.region_code,
        scopes=frozenset(SCOPES),
        operator_roles=frozenset(roles),
        person_id=user.id,
    )


def rule_set(**facts: Any) -> RuleSet:
    """Rules: 3 % commission, 6 % VAT on compute, 9 % on transport, six hours to report."""
    newest = RuleSet.objects.order_by("-valid_from_at").first()
    if newest is not None and not facts:
        return newest
    at = START - timedelta(days=400) if newest is None else newest.valid_from_at + HOUR
    return RuleSet.objects.create(
        **{
            "valid_from_at": at,
            "commission_bp": 300,
            "compute_vat_bp": 600,
            "transport_vat_bp": 900,
            "brokerage_vat_bp": 600,
            "reporting_grace_seconds": int(GRACE.total_seconds()),
        }
        | facts
    )


def pool(provider: Organisation, *, units: int = 1_000, region_code: str = "") -> Pool:
    """A pool in a centre of its own."""
    number = next(_numbers)
    model, _ = DeviceModel.objects.get_or_create(
        code="test-npu",
        defaults={"name": "NPU", "vendor": "V", "kind": "npu", "is_domestic": True},
    )
    book, _ = Book.objects.get_or_create(code="test", defaults={"resource_class": "intelligent"})
    grade, _ = Grade.objects.get_or_create(
        code="intelligent.test-npu.1",
        defaults={
            "book": book,
            "resource_class": "intelligent",
            "device_model": model,
            "unit_description": "one NPU",
        },
    )
    centre = Centre.objects.create(
        provider=provider,
        region=region(region_code or provider.region_code),
        code=f"c-{number}",
        name="Centre",
        standard_racks=10,
        pue=Decimal("1.2"),
        green_share=Decimal("0.4"),
        created_at=START,
    )
    return Pool.objects.create(
        centre=centre,
        grade=grade,
        code=f"p-{number}",
        units=units,
        available_units=units,
        created_at=START,
    )


def fund(buyer: Organisation, amount_micro: int) -> None:
    """Money of a buyer, straight from the bank."""
    bank = chart.account(chart.PLATFORM, chart.BANK, buyer.region_code)
    available = chart.account(buyer.id, chart.AVAILABLE, buyer.region_code)
    ledger.open_accounts([chart.spec(bank), chart.spec(available)])
    transfer = ledger.PostTransfer(
        id=new_id(),
        code="funds.top_up",
        reference=buyer.id,
        effective_at=START,
        legs=(ledger.Leg(bank, amount_micro), ledger.Leg(available, -amount_micro)),
    )
    (result,) = ledger.post([(transfer,)], now=START)
    assert result.ok, result


def link(a: str, b: str, *, carrier: Organisation | None, price_per_gb: str = "0.10") -> Link:
    """A link between two regions."""
    one, other = sorted((a, b))
    return Link.objects.create(
        region_a=region(one),
        region_b=region(other),
        carrier=carrier,
        distance_km=Decimal(100),
        rtt_us=1_000,
        bandwidth_gbps=100,
        price_per_gb=Decimal(price_per_gb),
    )


def trade(
    buyer: Organisation,
    seller: Organisation,
    *,
    sold: Pool | None = None,
    units: int = 4,
    hours: int = 2,
    starts_at: datetime = START,
    compute_micro: int = 80_000_000,
    transport_micro: int = 0,
    links: Sequence[Link] = (),
    rules: RuleSet | None = None,
    held: bool = True,
) -> Trade:
    """A trade of whole slots at its cost, with the hold that matching leaves on it.

    The buyer must have the funds (``fund``) unless nothing is ``held``.
    """
    sold = sold or pool(seller)
    rules = rules or rule_set()
    slot = slot_of(starts_at)
    book = sold.grade.book
    cost = compute_micro + transport_micro
    limit = (Decimal(cost) / 1_000_000 / units / hours * 2 + 1).quantize(Decimal("0.000001"))
    offer = Offer.objects.create(
        provider=seller,
        pool=sold,
        book=book,
        units=sold.units,
        start_slot=slot - 100,
        end_slot=slot + hours + 100,
        prices=[limit],
        max_duration_slots=1_000,
        state="open",
        created_at=starts_at,
    )
    order = Order.objects.create(
        buyer=buyer,
        book=book,
        grade_ids=[sold.grade_id],
        limit_prices=[limit],
        units=units,
        duration_slots=hours,
        earliest_slot=slot,
        latest_slot=slot + hours,
        time_in_force="gtc",
        expires_at=starts_at,
        held_micro=max(cost, 1),
        filled_units=units,
        spent_micro=cost,
        state="filled",
        placed_at=starts_at,
    )
    newest = Trade.objects.filter(book=book).order_by("-batch").first()
    made = Trade.objects.create(
        id=new_id(),
        book=book,
        batch=(newest.batch if newest else 0) + 1,
        position=0,
        order=order,
        offer=offer,
        pool=sold,
        grade=sold.grade,
        buyer=buyer,
        seller=seller,
        buyer_region_id=buyer.region_code,
        seller_region_id=sold.centre.region_id,
        rule_set=rules,
        resting_side="offer",
        units=units,
        start_slot=slot,
        end_slot=slot + hours,
        starts_at=starts_at,
        ends_at=starts_at + hours * HOUR,
        price_per_unit_hour=limit,
        compute_micro=compute_micro,
        transport_micro=transport_micro,
        path_link_ids=[row.id for row in links],
        traded_at=starts_at - HOUR,
    )
    if held:
        hold = ledger.CreateHold(
            id=made.id,
            account=chart.account(buyer.id, chart.AVAILABLE, buyer.region_code),
            amount=cost,
            code="trade.hold",
            reference=made.id,
            expires_at=made.ends_at + timedelta(seconds=rules.reporting_grace_seconds),
        )
        (result,) = ledger.post([(hold,)], now=starts_at)
        assert result.ok, result
    return made


def auction(delivery: datetime = START) -> Auction:
    """An auction of the day from ``delivery`` on, its gate open in the half day before."""
    made = Auction.objects.create(
        delivery_date=delivery.date(),
        first_slot=slot_of(delivery),
        end_slot=slot_of(delivery) + 24,
        opens_at=delivery - 12 * HOUR,
        closes_at=delivery - 3 * HOUR,
        clear_by_at=delivery - 2 * HOUR,
        publish_by_at=delivery - HOUR,
        solver_seconds=30,
        lowest_price=Decimal("0.01"),
        highest_price=Decimal(100),
        announced_at=delivery - 24 * HOUR,
    )
    made.state, made.opened_at = "open", made.opens_at
    made.save()
    return made


def auction_entry(of: Auction, owner: Organisation, sold: Pool, side: str) -> AuctionEntry:
    """A unit in the first hour for a yuan, without a hold."""
    made = AuctionEntry.objects.create(
        auction=of,
        side=side,
        organisation=owner,
        grade=sold.grade,
        region=sold.centre.region,
        pool=sold if side == "sell" else None,
        held_micro=1_000_000 if side == "buy" else 0,
        entered_at=of.opens_at,
    )
    units = [1] + [0] * (of.hours - 1)
    AuctionLine.objects.create(entry=made, position=0, kind="step", price=1, units=units)
    return made


def balance(owner: uuid.UUID, code: str, region_code: str) -> int:
    """What an account stands at, in its normal side."""
    key = chart.account(owner, code, region_code)
    return ledger_reads.balances([key])[key].balance


def held(buyer: Organisation) -> int:
    """What rests on a buyer's holds."""
    key = chart.account(buyer.id, chart.AVAILABLE, buyer.region_code)
    return ledger_reads.balances([key])[key].held
