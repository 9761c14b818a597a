"""What an order would get now, and why not more. Nothing is stored or reserved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from accounts.actors import Actor
from core.errors import NotFound
from core.money import Rounding, divide, to_decimal
from core.slots import slot_start_at
from exchange.capacity.models import Book
from exchange.market import intake, loading, selectors
from exchange.market.engine import BookState
from exchange.market.explain import explain
from exchange.market.misses import NearMiss
from exchange.market.models import Offer, Order
from exchange.market.orderly import banding
from exchange.market.requests import OrderRequest
from exchange.market.terms import Fill, Network, PoolTerms
from exchange.market.warnings import Warned, warnings_of
from exchange.pricing.engine import compute_cost, transport_cost
from exchange.pricing.models import RuleSet
from exchange.pricing.selectors import rule_set_at
from exchange.topology import selectors as topology

_LATER_THAN_ALL = (2**62, 0)
_BP = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewFill:
    """One trade that would be made; money in micro-yuan at full delivery."""

    grade: str
    region: str
    centre_id: UUID
    units: int
    starts_at: datetime
    ends_at: datetime
    price_micro: int
    compute_micro: int
    transport_micro: int
    reclaim: Offer | None  # with the terms on which the provider may take it back; None: it may not


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewCost:
    """All fills together; VAT and commission are contained in the total, not added to it."""

    compute_micro: int
    transport_micro: int
    total_micro: int
    vat_micro: int
    commission_micro: int
    rule_set: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestChange:
    """A single change that would fill the order whole now, and what it would then cost."""

    change: str
    field: str
    value: str
    grade: str | None
    cost_micro: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The answer to "what would I get, and what stands in the way?"."""

    would_fill_units: int
    fills: list[PreviewFill]
    cost: PreviewCost
    hold_micro: int
    pools: int
    pools_that_fit: int
    tests: dict[str, int]
    nearest: list[NearestChange]
    warnings: list[Warned]


def preview_order(*, actor: Actor, request: OrderRequest, now: datetime) -> Preview:
    """Check the request as ``place_order`` does, and quote it against the book as it stands.

    What waits in the book's inbox is not yet counted. ``OrderRefused`` as when placing.
    """
    actor.require_scope("orders:read")
    if actor.organisation_id is None:
        raise NotFound("There is no organisation to preview for.")
    order = intake.order_of(request, buyer_id=actor.organisation_id, now=now)
    outside = banding.outside(order) if request.allow_outside_band else []
    return _answer(order, now, outside)


def explain_order(*, actor: Actor, order_id: UUID, now: datetime) -> Preview:
    """The same for what remains of an order of the caller; ``NotFound`` where it is not theirs."""
    order = selectors.orders_visible_to(actor).filter(id=order_id).first()
    if order is None:
        raise NotFound("There is no such order.")
    return _answer(order, now)


def _answer(order: Order, now: datetime, outside: Sequence[str] = ()) -> Preview:
    now_s = math.ceil(now.timestamp())
    network = topology.network()
    state = _state(order.book_id, network, now_s)
    terms = loading.order_terms(order, entry=_LATER_THAN_ALL)
    told = explain(state, terms, now_s)
    codes = selectors.grade_codes()
    pools = {pool.id: pool for pool in state.pools()}
    offers = Offer.objects.in_bulk([UUID(int=fill.offer) for fill in told.fills])
    fills = [
        _fill(fill, pools[fill.pool], codes, offers[UUID(int=fill.offer)]) for fill in told.fills
    ]
    remaining = order.units - order.filled_units
    return Preview(
        would_fill_units=sum(fill.units for fill in fills),
        fills=fills,
        cost=_cost(fills, rule_set_at(now)),
        hold_micro=intake.order_hold(
            order, remaining_units=remaining, spent_micro=order.spent_micro
        ),
        pools=told.pools_in_book,
        pools_that_fit=told.pools_that_fit,
        tests={test.name: test.turned_away for test in told.tests if test.turned_away},
        nearest=[_nearest(miss, codes) for miss in told.near_misses],
        warnings=[
            *_halted(order.book),
            *(Warned("price_band", said) for said in outside),
            *warnings_of(state, terms, told, now_s),
        ],
    )


def _state(book_id: int, network: Network, now_s: int) -> BookState:
    book = Book.objects.get(id=book_id)
    return loading.load_state(book, network, now_s=now_s, with_orders=False)


def _fill(fill: Fill, pool: PoolTerms, codes: dict[int, str], offer: Offer) -> PreviewFill:
    return PreviewFill(
        grade=codes[fill.grade],
        region=pool.region,
        centre_id=UUID(int=pool.centre),
        units=fill.units,
        starts_at=datetime.fromtimestamp(fill.start_s, UTC),
        ends_at=datetime.fromtimestamp(fill.end_s, UTC),
        price_micro=divide(fill.price_numerator, fill.seconds, Rounding.HALF_EVEN),
        compute_micro=compute_cost(price_numerator=fill.price_numerator, units=fill.units),
        transport_micro=transport_cost(
            transport_nano_per_unit=fill.transport_nano_per_unit, units=fill.units
        ),
        reclaim=offer if offer.is_reclaimable else None,
    )


def _cost(fills: Sequence[PreviewFill], rules: RuleSet) -> PreviewCost:
    compute = sum(fill.compute_micro for fill in fills)
    transport = sum(fill.transport_micro for fill in fills)
    vat = _contained(compute, rules.compute_vat_bp) + _contained(transport, rules.transport_vat_bp)
    return PreviewCost(
        compute_micro=compute,
        transport_micro=transport,
        total_micro=compute + transport,
        vat_micro=vat,
        commission_micro=divide(compute * rules.commission_bp, _BP, Rounding.HALF_EVEN),
        rule_set=rules.version,
    )


def _contained(gross_micro: int, rate_bp: int) -> int:
    """The value-added tax in a tax-inclusive amount: ``g * r / (1 + r)``."""
    return divide(gross_micro * rate_bp, _BP + rate_bp, Rounding.HALF_EVEN)


def _nearest(miss: NearMiss, codes: dict[int, str]) -> NearestChange:
    field, value = miss.field, miss.value
    if field.endswith("_slot"):
        field = {"latest_slot": "latest_end_at", "earliest_slot": "earliest_start_at"}[field]
        value = slot_start_at(int(str(value))).isoformat().replace("+00:00", "Z")
    elif field == "limits":
        field, value = "limit_price_per_unit_hour", f"{_limit(miss):.6f}"
    return NearestChange(
        change=miss.change,
        field=field,
        value=str(value),
        grade=None if miss.grade is None else codes[miss.grade],
        cost_micro=miss.cost_micro,
    )


def _limit(miss: NearMiss) -> object:
    return to_decimal(int(str(miss.value)))


def _halted(book: Book) -> list[Warned]:
    if book.is_halted:
        says = f"Trading in the book {book.code} is halted; the order would wait."
        return [Warned("halted", says)]
    if book.halts_in_force:
        return [Warned("halted_in_part", "Trading is halted in some regions.")]
    return []
