"""What tests of capacity stand on: loaded reference data, providers, sold capacity."""

from __future__ import annotations

import io
import itertools
import uuid
from datetime import UTC, datetime
from decimal import Decimal

from django.core.management import call_command

from accounts.actors import Actor
from accounts.credit_code import made_up
from accounts.models import Organisation
from core.slots import slot_of, slot_start_at
from exchange.capacity import services
from exchange.capacity.models import Book, Centre, Grade, Pool
from exchange.capacity.rules import CentreTerms, PoolTerms
from exchange.market.models import Offer, Order, Trade
from exchange.pricing.models import RuleSet

NOW = datetime(2026, 11, 23, 2, 20, tzinfo=UTC)
SLOT = slot_of(NOW)
NPU = "intelligent.ascend-910b.1"
_numbers = itertools.count(uuid.uuid4().int % 10**9)


def load_reference() -> None:
    call_command("load_reference", verbosity=0, stdout=io.StringIO())


def organisation(*kinds: str) -> Organisation:
    number = next(_numbers)
    return Organisation.objects.create(
        name=f"Firm {number}",
        credit_code=made_up(number),
        kinds=list(kinds),
        region_code="zhengzhou",
        verification="verified",
        created_at=NOW,
    )


def actor_for(
    owner: Organisation, *, verified: bool = True, scopes: set[str] | None = None
) -> Actor:
    return Actor(
        kind="key",
        id=uuid.uuid4(),
        label="cx_test",
        organisation_id=owner.id,
        organisation_kinds=frozenset(owner.kinds),
        organisation_verified=verified,
        region_code=owner.region_code,
        scopes=frozenset(
            {"capacity:read", "capacity:write", "offers:write"} if scopes is None else scopes
        ),
        operator_roles=frozenset(),
    )


def provider() -> Actor:
    return actor_for(organisation("provider"))


def centre_terms(code: str = "c1", **changes) -> CentreTerms:
    facts = {
        "code": code,
        "name": f"Centre {code}",
        "region": "zhengzhou",
        "standard_racks": 100,
        "pue": Decimal("1.200"),
        "green_share": Decimal("0.4000"),
    }
    return CentreTerms(**(facts | changes))


def centre(actor: Actor, code: str = "c1", **changes) -> Centre:
    return services.register_centre(actor=actor, centre=centre_terms(code, **changes), now=NOW)


def pool(actor: Actor, at: Centre, code: str = "p1", grade: str = NPU, units: int = 64) -> Pool:
    return services.register_pool(
        actor=actor, centre_id=at.id, pool=PoolTerms(code, grade, units), now=NOW
    )


def offer(of: Pool, price: str = "5.00", *, start_slot: int = SLOT, slots: int = 240) -> Offer:
    return Offer.objects.create(
        provider_id=of.centre.provider_id,
        pool=of,
        book_id=of.grade.book_id,
        units=of.units,
        start_slot=start_slot,
        end_slot=start_slot + slots,
        prices=[Decimal(price)],
        max_duration_slots=slots,
        state="open",
        created_at=NOW,
    )


def sell(of: Pool, units: int, *, start_slot: int, slots: int) -> Trade:
    """A trade, written as the market writes it: the database counts what is sold."""
    buyer = organisation("buyer")
    hours = units * slots * 10
    order = Order.objects.create(
        buyer=buyer,
        book_id=of.grade.book_id,
        grade_ids=[of.grade_id],
        limit_prices=[Decimal(10)],
        units=units,
        duration_slots=slots,
        earliest_slot=start_slot,
        latest_slot=start_slot + slots,
        time_in_force="gtc",
        expires_at=slot_start_at(start_slot),
        held_micro=hours * 1_000_000,
        placed_at=NOW,
    )
    sold = offer(of, start_slot=start_slot, slots=slots)
    return Trade.objects.create(
        id=uuid.uuid4(),
        book=Book.objects.get(id=of.grade.book_id),
        batch=next(_numbers),
        position=0,
        order=order,
        offer=sold,
        pool=of,
        grade=Grade.objects.get(id=of.grade_id),
        buyer=buyer,
        seller_id=of.centre.provider_id,
        buyer_region_id="zhengzhou",
        seller_region_id="zhengzhou",
        rule_set=RuleSet.objects.get(),
        resting_side="offer",
        units=units,
        start_slot=start_slot,
        end_slot=start_slot + slots,
        starts_at=slot_start_at(start_slot),
        ends_at=slot_start_at(start_slot + slots),
        price_per_unit_hour=Decimal(5),
        compute_micro=units * slots * 5_000_000,
        traded_at=NOW,
    )
