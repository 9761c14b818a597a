"""What tests of billing stand on: running leases within a region and across regions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from accounts.actors import Actor
from accounts.models import Organisation
from billing.metering.rules import ReportedUse
from billing.metering.services import UsageReceipt, report_usage
from exchange.market.models import Trade
from exchange.scheduling import services as scheduling
from tests import factories as make
from tests.factories import HOUR, START


@dataclass
class Deal:
    """A trade with its running lease, and who stands on its two sides."""

    trade: Trade
    buyer: Organisation
    seller: Organisation
    as_seller: Actor = field(init=False)

    def __post_init__(self) -> None:
        self.as_seller = make.actor_of(self.seller)

    def use(
        self,
        name: str = "r1",
        *,
        start: timedelta = timedelta(0),
        end: timedelta = HOUR,
        unit_seconds: int | None = None,
        lease_id: UUID | None = None,
    ) -> ReportedUse:
        """A record of the lease; all that it could deliver unless said otherwise."""
        began_at, ended_at = self.trade.starts_at + start, self.trade.starts_at + end
        full = self.trade.units * int((ended_at - began_at).total_seconds())
        return ReportedUse(
            lease_id=lease_id or self.trade.pk,
            source_record_id=name,
            period_start_at=began_at,
            period_end_at=ended_at,
            active_unit_seconds=full if unit_seconds is None else unit_seconds,
        )

    def report(self, *uses: ReportedUse, now: datetime | None = None) -> UsageReceipt:
        """The provider reports."""
        return report_usage(actor=self.as_seller, records=uses, now=now or self.trade.ends_at)


def run(
    *,
    buyer: Organisation | None = None,
    seller: Organisation | None = None,
    buyer_region: str = "zhengzhou",
    seller_region: str = "zhengzhou",
    active: bool = True,
    **facts,
) -> Deal:
    """A trade whose lease is active from its very start."""
    buyer = buyer or make.organisation("buyer", region_code=buyer_region)
    seller = seller or make.organisation("provider", region_code=seller_region)
    cost = facts.get("compute_micro", 80_000_000) + facts.get("transport_micro", 0)
    make.fund(buyer, cost)
    trade = make.trade(buyer, seller, **facts)
    scheduling.pull_leases(now=START)
    deal = Deal(trade, buyer, seller)
    if active:
        scheduling.transition_lease(
            actor=deal.as_seller, lease_id=trade.pk, event="activate", now=trade.starts_at
        )
    return deal
