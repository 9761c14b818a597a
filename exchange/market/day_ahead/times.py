"""When auctions are held: the timetable made into rows with deadlines."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction

from core.slots import slot_at_or_after, slot_start_at
from exchange.market.day_ahead.models import Auction, AuctionSchedule
from exchange.market.day_ahead.requests import TimesRequest

_DAY = timedelta(days=1)


def schedule_for(delivery_date: date) -> AuctionSchedule | None:
    """The newest version of the timetable that holds for a delivery day."""
    return (
        AuctionSchedule.objects.filter(valid_from_date__lte=delivery_date).order_by("-id").first()
    )


def auction_of(request: TimesRequest, *, schedule: AuctionSchedule, now: datetime) -> Auction:
    """The unsaved auction of a delivery day; days and times are the operator's."""
    day, before = request.delivery_date, request.delivery_date - _DAY
    return Auction(
        delivery_date=day,
        first_slot=slot_at_or_after(_at(day, time(0))),
        end_slot=slot_at_or_after(_at(day + _DAY, time(0))),
        opens_at=request.opens_at or _at(before, schedule.opens_at),
        closes_at=request.closes_at or _at(before, schedule.closes_at),
        clear_by_at=request.clear_by_at or _at(before, schedule.clear_by_at),
        publish_by_at=request.publish_by_at or _at(before, schedule.publish_by_at),
        solver_seconds=schedule.solver_seconds,
        lowest_price=schedule.lowest_price,
        highest_price=schedule.highest_price,
        announced_at=now,
    )


def due_days(now: datetime) -> list[tuple[date, AuctionSchedule]]:
    """Delivery days whose auction the timetable asks for, and that never had one."""
    today = now.astimezone(_zone()).date()
    schedules = list(AuctionSchedule.objects.order_by("-id"))
    days = []
    for ahead in range(1, 15):
        day = today + ahead * _DAY
        schedule = next((s for s in schedules if s.valid_from_date <= day), None)
        if schedule is None or not schedule.is_running or ahead > schedule.announced_days:
            continue
        if now < _at(day - _DAY, schedule.closes_at):
            days.append((day, schedule))
    known = set(
        Auction.objects.filter(delivery_date__in=[day for day, _ in days]).values_list(
            "delivery_date", flat=True
        )
    )
    return [(day, schedule) for day, schedule in days if day not in known]


def store(auction: Auction) -> bool:
    """Write a new auction; False where another one for the day was faster."""
    try:
        with transaction.atomic():
            auction.save(force_insert=True)
    except IntegrityError as error:
        if "one_auction_for_a_day" not in str(error):
            raise
        return False
    return True


def starts_at(auction: Auction) -> datetime:
    """When delivery begins."""
    return slot_start_at(auction.first_slot)


def _at(day: date, at: time) -> datetime:
    return datetime.combine(day, at, tzinfo=_zone())


def _zone() -> ZoneInfo:
    return ZoneInfo(settings.OPERATOR_TIME_ZONE)
