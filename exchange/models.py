"""Re-exported for Django's loader; import models from their rooms."""

from exchange.capacity.models import (
    Book,
    BookEvent,
    Centre,
    CentreHour,
    DeviceFigure,
    DeviceModel,
    Grade,
    Pool,
    PoolDay,
)
from exchange.market.day_ahead.models import (
    Auction,
    AuctionAnswer,
    AuctionEntry,
    AuctionLine,
    AuctionLink,
    AuctionProblem,
    AuctionReservation,
    AuctionReservationEnd,
    AuctionResult,
    AuctionSchedule,
)
from exchange.market.models import (
    Admission,
    Offer,
    Order,
    OrderAmendment,
    Trade,
    TradeRelease,
)
from exchange.market.orderly.models import Halt, IndexHour, IndexPublication, OrderLimit
from exchange.market.standing.models import StandingOrder, StandingRoll
from exchange.pricing.models import RuleSet
from exchange.scheduling.models import Lease, LeaseAccess, LeaseEvent, Reclaim
from exchange.topology.models import Link, Region

__all__ = [
    "Admission",
    "Auction",
    "AuctionAnswer",
    "AuctionEntry",
    "AuctionLine",
    "AuctionLink",
    "AuctionProblem",
    "AuctionReservation",
    "AuctionReservationEnd",
    "AuctionResult",
    "AuctionSchedule",
    "Book",
    "BookEvent",
    "Centre",
    "CentreHour",
    "DeviceFigure",
    "DeviceModel",
    "Grade",
    "Halt",
    "IndexHour",
    "IndexPublication",
    "Lease",
    "LeaseAccess",
    "LeaseEvent",
    "Link",
    "Offer",
    "Order",
    "OrderAmendment",
    "OrderLimit",
    "Pool",
    "PoolDay",
    "Reclaim",
    "Region",
    "RuleSet",
    "StandingOrder",
    "StandingRoll",
    "Trade",
    "TradeRelease",
]
