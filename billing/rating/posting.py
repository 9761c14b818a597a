"""From a rated use to the ledger: which accounts it moves. Pure but for the words it uses.

The buyer pays in its own region's books; what is due elsewhere goes through the clearing accounts
of the two regions, which mirror each other:

    buyer's region B     available(buyer) → clearing[B→R], for each region R of a payee
    payee's region R     clearing[R→B]    → payable(payee), commission, tax payable
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from billing.rating.components import Part
from billing.rating.models import Component
from exchange.pricing.chart import (
    AVAILABLE,
    COMMISSION,
    CONGESTION_RENT,
    PAYABLE,
    PLATFORM,
    TAX_PAYABLE,
    account,
    clearing,
)
from ledger.services import AccountKey, Leg, PostTransfer

CHARGE_USAGE = "charge.usage"


def charge_transfer(
    *,
    charge_id: UUID,
    usage_record_id: UUID,
    trade_id: UUID,
    buyer_id: UUID,
    buyer_region: str,
    parts: Sequence[Part],
    now: datetime,
) -> PostTransfer:
    """The transfer of a charge above zero: a partial post of the trade's hold."""
    by_region: dict[str, dict[AccountKey, int]] = defaultdict(lambda: defaultdict(int))
    for part in parts:
        by_region[part.region][_account_of(part)] += part.amount_micro
    legs = [
        Leg(account(buyer_id, AVAILABLE, buyer_region), sum(part.amount_micro for part in parts))
    ]
    for region, amounts in by_region.items():
        if region != buyer_region:
            total = sum(amounts.values())
            legs.append(Leg(clearing(buyer_region, region), -total))
            legs.append(Leg(clearing(region, buyer_region), total))
        legs += [Leg(key, -amount) for key, amount in amounts.items()]
    return PostTransfer(
        id=charge_id,
        code=CHARGE_USAGE,
        reference=usage_record_id,
        effective_at=now,
        legs=tuple(legs),
        hold=trade_id,
    )


def accounts_of(transfers: Iterable[PostTransfer]) -> set[AccountKey]:
    """Every account that the transfers move."""
    return {leg.account for transfer in transfers for leg in transfer.legs}


def _account_of(part: Part) -> AccountKey:
    match part.component:
        case Component.SELLER_NET | Component.TRANSPORT_NET:
            return account(part.payee or PLATFORM, PAYABLE, part.region)
        case Component.COMMISSION:
            return account(PLATFORM, COMMISSION, part.region)
        case Component.CONGESTION:
            return account(PLATFORM, CONGESTION_RENT, part.region)
        case Component.COMPUTE_VAT | Component.TRANSPORT_VAT:
            return account(PLATFORM, TAX_PAYABLE, part.region)
    raise ValueError(f"no account for component {part.component!r}")
