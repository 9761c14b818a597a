"""What tests of the day-ahead auction stand on: a timetable, an open gate, orders and offers."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from accounts.actors import Actor
from core.money import to_micro
from exchange.capacity.models import Pool
from exchange.market.day_ahead import gate, services
from exchange.market.day_ahead.models import Auction, AuctionEntry
from exchange.market.day_ahead.requests import (
    AuctionOfferRequest,
    AuctionOrderRequest,
    LineRequest,
    LinkRequest,
    ScheduleRequest,
)
from exchange.topology.models import Link
from tests import factories
from tests.integration.market import builders as make

ZONE = ZoneInfo("Asia/Shanghai")
# make.NOW is 10:20 of 23 November in Shanghai; the gate for the 24th closes at noon.
TOMORROW = date(2026, 11, 24)
FIRST = make.slot_start_at  # to read instants of slots
CLOSES = datetime(2026, 11, 23, 12, tzinfo=ZONE)
AFTER = CLOSES + timedelta(minutes=1)


def timetable(**facts) -> None:
    services.set_schedule(
        actor=factories.operator("market"),
        request=ScheduleRequest(
            **(
                {
                    "valid_from_date": TOMORROW,
                    "announced_days": 1,
                    "opens_at": time(8),
                    "closes_at": time(12),
                    "clear_by_at": time(13),
                    "publish_by_at": time(14),
                    "lowest_price_micro": 1,
                    "highest_price_micro": to_micro(Decimal(1000)),
                }
                | facts
            )
        ),
        now=make.NOW,
    )


def opened() -> Auction:
    """Tomorrow's auction with its gate open."""
    timetable()
    assert gate.announce_due(now=make.NOW) == 1
    auction = Auction.objects.get()
    assert gate.advance(auction_id=auction.id, now=make.NOW) == "open"
    auction.refresh_from_db()
    return auction


def line(auction: Auction, price: str, units: int, hours: tuple[int, ...], **facts) -> LineRequest:
    """Units in hours of the delivery day, counted from its first."""
    return LineRequest(
        kind=facts.pop("kind", "step"),
        price_micro=to_micro(Decimal(price)),
        units_by_slot={auction.first_slot + hour: units for hour in hours},
        **facts,
    )


def buy(
    actor: Actor, auction: Auction, *lines: LineRequest, zone: str = "zhengzhou", **facts
) -> AuctionEntry:
    return services.place_order(
        actor=actor,
        auction_id=auction.id,
        request=AuctionOrderRequest(grade=make.NPU, zone=zone, lines=lines),
        now=facts.get("now", make.NOW),
    )


def sell(actor: Actor, auction: Auction, pool: Pool, *lines: LineRequest, **facts) -> AuctionEntry:
    return services.make_offer(
        actor=actor,
        auction_id=auction.id,
        request=AuctionOfferRequest(pool=pool.id, lines=lines, **facts),
        now=make.NOW,
    )


def link(a: str, b: str, *, units: int, price: str) -> Link:
    """What the link between two cities carries in the auction, each way."""
    one, other = sorted((a, b))
    row = Link.objects.get(region_a=one, region_b=other)
    services.set_link(
        actor=factories.operator("market"),
        request=LinkRequest(
            link_id=row.id,
            price_micro=to_micro(Decimal(price)),
            forward_units=(units,) * 24,
            backward_units=(units,) * 24,
        ),
        now=make.NOW,
    )
    return row


def advance(auction: Auction, now: datetime = AFTER) -> str:
    state = gate.advance(auction_id=auction.id, now=now)
    auction.refresh_from_db()
    return state
