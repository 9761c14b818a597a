"""What tests of the market stand on: a funded buyer, offered capacity, a book that is matched."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from accounts.actors import Actor
from core.money import to_micro
from core.slots import slot_start_at
from exchange.capacity.models import Book, Pool
from exchange.market import matching, services
from exchange.market.models import Offer, Order
from exchange.market.requests import GradeLimit, OfferRequest, OrderRequest
from exchange.pricing import chart
from ledger import selectors as ledger_reads
from ledger import services as ledger
from tests.integration.capacity import builders as capacity

NOW, SLOT, NPU = capacity.NOW, capacity.SLOT, capacity.NPU
SCOPES = {"orders:read", "orders:write", "offers:read", "offers:write", "capacity:write"}


def funded_buyer(yuan: int = 1_000_000) -> Actor:
    owner = capacity.organisation("buyer")
    available = chart.account(owner.id, chart.AVAILABLE, owner.region_code)
    bank = chart.account(chart.PLATFORM, chart.BANK, owner.region_code)
    ledger.open_accounts([chart.spec(available), chart.spec(bank)])
    if yuan:
        amount = yuan * 1_000_000
        top_up = ledger.PostTransfer(
            id=uuid.uuid4(),
            code="bank.top_up",
            reference=owner.id,
            effective_at=NOW,
            legs=(ledger.Leg(bank, amount), ledger.Leg(available, -amount)),
        )
        assert ledger.post([(top_up,)], now=NOW)[0].ok
    return capacity.actor_for(owner, scopes=SCOPES)


def with_leases(actor: Actor) -> Actor:
    """The same, with what it takes to deliver and to use."""
    return replace(actor, scopes=actor.scopes | {"leases:write", "leases:read", "usage:write"})


def balance(actor: Actor) -> ledger.Balance:
    key = chart.account(actor.organisation_id, chart.AVAILABLE, actor.region_code)
    return ledger_reads.balances([key])[key]


def seller() -> Actor:
    return capacity.actor_for(capacity.organisation("provider"), scopes=SCOPES)


def offered_pool(
    provider: Actor, *, units: int = 16, price: str = "10", code: str = "c1", **centre
) -> tuple[Pool, Offer]:
    """A pool of its own centre, all of it offered for ten days from the present hour."""
    pool = capacity.pool(provider, capacity.centre(provider, code, **centre), units=units)
    return pool, offer(provider, pool, price=price)


def offer(provider: Actor, pool: Pool, *, price: str = "10", **facts) -> Offer:
    request = offer_request(pool, price=price, **facts)
    (made,) = services.create_offers(actor=provider, requests=[request], now=NOW)
    return made


def offer_request(pool: Pool, *, price: str = "10", **facts) -> OfferRequest:
    return OfferRequest(
        pool=pool.id,
        **(
            {
                "units": pool.units,
                "start_at": slot_start_at(SLOT),
                "end_at": slot_start_at(SLOT + 240),
                "prices_micro": (to_micro(Decimal(price)),),
            }
            | facts
        ),
    )


def many_grades(number: int) -> tuple[GradeLimit, ...]:
    return tuple(GradeLimit(grade=f"no-such-{i}", limit_micro=1) for i in range(number))


def order_request(*, limit: str = "10", grade: str = NPU, **facts) -> OrderRequest:
    return OrderRequest(
        **(
            {
                "grades": (GradeLimit(grade=grade, limit_micro=to_micro(Decimal(limit))),),
                "units": 4,
                "duration_hours": 2,
                "latest_end_at": slot_start_at(SLOT + 24),
            }
            | facts
        ),
    )


def place(buyer: Actor, *, now: datetime = NOW, **facts) -> Order:
    return services.place_order(actor=buyer, request=order_request(**facts), now=now)


def book(code: str = "intelligent") -> Book:
    return Book.objects.get(code=code)


def match(*, now: datetime = NOW, code: str = "intelligent") -> int:
    return matching.match_book(book_id=book(code).id, now=now)


def later(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)
