"""What is asked of an auction, checked in form and not yet against the rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRequest:
    """A step or block at one price. ``units_by_slot`` maps slots to units above zero.

    ``parent`` is the position, in the same request, of the block without which this one is not
    accepted.
    """

    kind: str
    price_micro: int
    units_by_slot: dict[int, int]
    least_ratio: Decimal = Decimal(1)
    parent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuctionOrderRequest:
    """What a buyer wants of a grade in a zone."""

    grade: str
    zone: str
    lines: tuple[LineRequest, ...]
    client_reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuctionOfferRequest:
    """What a provider gives of a pool. The least income is for all its steps together."""

    pool: UUID
    lines: tuple[LineRequest, ...]
    minimum_income_micro: int | None = None
    minimum_income_per_unit_hour_micro: int = 0
    client_reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRequest:
    """A timetable: times of the day before delivery, in the operator's time zone."""

    valid_from_date: date
    opens_at: time
    closes_at: time
    clear_by_at: time
    publish_by_at: time
    lowest_price_micro: int
    highest_price_micro: int
    is_running: bool = True
    announced_days: int = 2
    solver_seconds: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class TimesRequest:
    """An auction announced by hand; what is left out follows the timetable."""

    delivery_date: date
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    clear_by_at: datetime | None = None
    publish_by_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRequest:
    """What a link carries in auctions: units each way by hour of the delivery day."""

    link_id: int
    price_micro: int
    forward_units: tuple[int, ...]
    backward_units: tuple[int, ...]
