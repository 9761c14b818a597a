"""What a use of a lease costs, by component. Pure.

Amounts are taken as differences of cumulative totals, so that many small records never drift from
one large: with ``x`` of ``X`` unit-seconds charged, the compute of a trade comes to
``C(x) = C * x / X``, and each part of it is a function of the total alone. The parts are cut off
one after the other, each by a share below one of what is left, so that no part ever falls when the
total rises, and together they always make the total:

    value-added tax of g     g * r / (1 + r)          contained in the price
    commission               g * c = rest * c * (1 + r), of the rest after tax
    the seller's net         what is left

Transport is shared among the carriers of the path by what each link costs, in the same manner. Of
an auction's trade, congestion rent is cut off first: it is the platform's to keep for the links,
no price of a service, and carries no tax.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from billing.rating.models import Component
from core.money import Rounding, divide

BP = 10_000


@dataclass(frozen=True, slots=True)
class Carriage:
    """A link of the path: who carries (None: the platform), in which region's books, its weight:
    the price of a GB, or in an auction that of a unit-hour."""

    carrier: UUID | None
    region: str
    price_micro: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What a trade and its rule set say about money; amounts at full delivery, rates in bp."""

    seller: UUID
    seller_region: str
    compute_micro: int
    transport_micro: int
    full_unit_seconds: int
    commission_bp: int
    compute_vat_bp: int
    transport_vat_bp: int
    carriages: tuple[Carriage, ...] = ()
    congestion_micro: int = 0  # a part of the transport
    congestion_region: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a charge, who has it coming (None: the platform), and in which region."""

    component: str
    payee: UUID | None
    region: str
    amount_micro: int


@dataclass(frozen=True, slots=True)
class Rated:
    """A charge before it is written; the parts sum to ``compute_micro + transport_micro``."""

    compute_micro: int
    transport_micro: int
    parts: tuple[Part, ...]

    @property
    def amount_micro(self) -> int:
        """What the buyer pays."""
        return self.compute_micro + self.transport_micro


def rate(terms: Terms, *, before: int, after: int) -> Rated:
    """The charge for the unit-seconds from ``before`` to ``after`` of a lease's total."""
    if not 0 <= before <= after <= terms.full_unit_seconds:
        raise ValueError("a lease is charged forwards and within its full delivery")
    compute = _cumulative(terms.compute_micro, terms, before, after)
    transport = _cumulative(terms.transport_micro, terms, before, after)
    earlier = dict(_parts(terms, compute[0], transport[0]))
    merged: dict[tuple[str, UUID | None, str], int] = {}
    for key, total in _parts(terms, compute[1], transport[1]):
        merged[key] = total - earlier[key]
    return Rated(
        compute_micro=compute[1] - compute[0],
        transport_micro=transport[1] - transport[0],
        parts=tuple(Part(*key, amount) for key, amount in merged.items() if amount),
    )


def _cumulative(whole: int, terms: Terms, before: int, after: int) -> tuple[int, int]:
    earlier, later = (
        divide(whole * x, terms.full_unit_seconds, Rounding.HALF_EVEN) for x in (before, after)
    )
    return earlier, later


_Key = tuple[str, UUID | None, str]


def _parts(terms: Terms, compute: int, transport: int) -> Iterable[tuple[_Key, int]]:
    """The components of cumulative totals, each payee and region once."""
    totals: dict[_Key, int] = {}
    for key, amount in (*_compute_parts(terms, compute), *_transport_parts(terms, transport)):
        totals[key] = totals.get(key, 0) + amount
    return totals.items()


def _compute_parts(terms: Terms, gross: int) -> Iterator[tuple[_Key, int]]:
    vat = _vat(gross, terms.compute_vat_bp)
    rest = gross - vat
    commission = divide(
        rest * terms.commission_bp * (BP + terms.compute_vat_bp), BP * BP, Rounding.HALF_EVEN
    )
    yield (Component.SELLER_NET.value, terms.seller, terms.seller_region), rest - commission
    yield (Component.COMMISSION.value, None, terms.seller_region), commission
    yield (Component.COMPUTE_VAT.value, None, terms.seller_region), vat


def _transport_parts(terms: Terms, gross: int) -> Iterator[tuple[_Key, int]]:
    if terms.congestion_micro:
        rent = divide(gross * terms.congestion_micro, terms.transport_micro, Rounding.HALF_EVEN)
        yield (Component.CONGESTION.value, None, terms.congestion_region), rent
        gross -= rent
    weights = [max(carriage.price_micro, 0) for carriage in terms.carriages]
    if gross and not sum(weights):
        raise ValueError("transport is charged, but no link of the path costs anything")
    left, weight_left = gross, sum(weights)
    for carriage, weight in zip(terms.carriages, weights, strict=True):
        if not weight:
            continue
        share = divide(left * weight, weight_left, Rounding.HALF_EVEN)
        left, weight_left = left - share, weight_left - weight
        vat = _vat(share, terms.transport_vat_bp)
        yield (Component.TRANSPORT_NET.value, carriage.carrier, carriage.region), share - vat
        yield (Component.TRANSPORT_VAT.value, None, carriage.region), vat


def _vat(gross: int, rate_bp: int) -> int:
    """The tax contained in a tax-inclusive amount."""
    return divide(gross * rate_bp, BP + rate_bp, Rounding.HALF_EVEN)
