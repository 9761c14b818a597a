"""The figures of the day: what the market did since the operator's midnight, and what waits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from django.db.models import Count, F, Q, Sum
from django.db.models.functions import TruncHour
from django.urls import reverse
from django.utils.translation import ngettext_lazy

from accounts.models import Organisation
from billing.metering.models import UnratedRecord
from billing.periods.models import SettlementPeriod
from billing.rating.models import Charge
from billing.settlement.models import SettlementBatch
from console import cells
from core.slots import slot_of
from exchange.capacity.models import Centre, ResourceClass
from exchange.market.models import Order, Trade
from exchange.scheduling.models import Lease
from exchange.topology.models import Region

# The plan's targets: average utilisation above 70 %; below 50 % new projects must be argued.
UTILISATION_TARGET: Final = Decimal("0.70")
UTILISATION_FLOOR: Final = Decimal("0.50")
NAMED: Final = 5  # of what waits, so many are named
_GROUND: Final = 124.0  # where the bars of the hours stand in their drawing
_TALLEST: Final = 118.0


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of the day's turnover, with its bar: ``height`` is in the drawing's units."""

    starts_at: datetime
    amount_micro: int
    trades: int
    x: int
    height: float

    @property
    def y(self) -> float:
        """The bar's upper edge."""
        return round(_GROUND - self.height, 2)

    @property
    def middle(self) -> int:
        """Where the hour is written."""
        return self.x + 17


@dataclass(frozen=True, slots=True)
class MarketFigures:
    """Orders and trades since the operator's midnight."""

    orders: int
    orders_filled: int
    orders_live: int
    fill_rate: Decimal | None  # filled unit-hours of those ordered
    trades: int
    volume_micro: int
    unit_hours: int
    hours: list[Hour]

    @property
    def peak_micro(self) -> int:
        """The turnover of the busiest hour."""
        return max((hour.amount_micro for hour in self.hours), default=0)


@dataclass(frozen=True, slots=True)
class Use:
    """What was sold of what there was, in unit-hours."""

    sold: int
    capacity: int

    @property
    def share(self) -> Decimal | None:
        """Sold of capacity; None where there is no capacity."""
        return Decimal(self.sold) / self.capacity if self.capacity else None

    @property
    def width(self) -> float:
        """The share as a bar of at most 100."""
        return round(min(float(self.share or 0), 1.0) * 100, 1)

    @property
    def look(self) -> str:
        """``reached``, ``short`` of the target, or ``low``: below the plan's rule."""
        if self.share is None:
            return "none"
        if self.share >= UTILISATION_TARGET:
            return "reached"
        return "short" if self.share >= UTILISATION_FLOOR else "low"


@dataclass(frozen=True, slots=True)
class CityUse:
    """A city's row: its use by class, None where it has no pool of the class."""

    region: Region
    by_class: list[Use | None]
    mean: Decimal | None

    @property
    def total(self) -> Use:
        """The mean over its classes, as a use (units of different classes do not add up)."""
        return Use(int((self.mean or 0) * 10_000), 10_000)


@dataclass(frozen=True, slots=True)
class Utilisation:
    """Utilisation of the day so far by city and class."""

    classes: list[str]
    cities: list[CityUse]
    totals: list[Use | None]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that waits for a person: how much of what, and where to go."""

    count: int
    what: str
    href: str = ""
    is_bad: bool = False
    links: list[tuple[str, str]] = field(default_factory=list)


def day_starts_at(now: datetime) -> datetime:
    """The operator's last midnight."""
    zone = ZoneInfo(settings.OPERATOR_TIME_ZONE)
    return datetime.combine(now.astimezone(zone).date(), time(), zone)


def market_figures(*, now: datetime) -> MarketFigures:
    """Three queries: orders, trades, trades by hour."""
    since = day_starts_at(now)
    ordered = F("units") * F("duration_slots")
    orders = Order.objects.filter(placed_at__gte=since).aggregate(
        count=Count("pk"),
        filled=Count("pk", filter=Q(state="filled")),
        live=Count("pk", filter=Q(state__in=["pending", "open", "partially_filled"])),
        unit_hours=Sum(ordered),
        filled_unit_hours=Sum(F("filled_units") * F("duration_slots")),
    )
    cost = F("compute_micro") + F("transport_micro")
    trades = Trade.objects.filter(traded_at__gte=since)
    total = trades.aggregate(
        count=Count("pk"),
        volume=Sum(cost),
        unit_hours=Sum(F("units") * (F("end_slot") - F("start_slot"))),
    )
    by_hour = {
        row["hour"]: row
        for row in trades.annotate(hour=TruncHour("traded_at"))
        .values("hour")
        .annotate(amount=Sum(cost), count=Count("pk"))
        .order_by("hour")
    }
    wanted = orders["unit_hours"]
    return MarketFigures(
        orders=orders["count"],
        orders_filled=orders["filled"],
        orders_live=orders["live"],
        fill_rate=Decimal(orders["filled_unit_hours"]) / wanted if wanted else None,
        trades=total["count"],
        volume_micro=int(total["volume"] or 0),
        unit_hours=int(total["unit_hours"] or 0),
        hours=_hours(since, {hour: (int(r["amount"]), r["count"]) for hour, r in by_hour.items()}),
    )


def _hours(since: datetime, by_hour: dict[datetime, tuple[int, int]]) -> list[Hour]:
    largest = max((amount for amount, _count in by_hour.values()), default=0)
    hours = []
    for offset in range(24):
        starts_at = since + timedelta(hours=offset)
        amount, count = by_hour.get(starts_at, (0, 0))
        height = round(_TALLEST * amount / largest, 2) if largest else 0.0
        hours.append(Hour(starts_at, amount, count, offset * 40 + 3, height))
    return hours


_UTILISATION_SQL = """
    WITH slots AS (SELECT generate_series(%(first)s, %(last)s) AS slot)
    SELECT centre.region_id, grade.resource_class,
           coalesce(sum(day.sold[slots.slot %% 24 + 1]), 0)::bigint, sum(pool.units)::bigint
      FROM exchange_pool pool
      JOIN exchange_centre centre ON centre.id = pool.centre_id
      JOIN exchange_grade grade ON grade.id = pool.grade_id
     CROSS JOIN slots
      LEFT JOIN exchange_poolday day ON day.pool_id = pool.id AND day.day = slots.slot / 24
     WHERE pool.state <> 'withdrawn'
       AND slots.slot >= floor(extract(epoch FROM pool.created_at) / 3600)
     GROUP BY centre.region_id, grade.resource_class
"""


def utilisation(*, now: datetime) -> Utilisation:
    """Unit-hours sold of those registered, from the operator's midnight to the hour's end."""
    with connection.cursor() as cursor:
        cursor.execute(
            _UTILISATION_SQL, {"first": slot_of(day_starts_at(now)), "last": slot_of(now)}
        )
        rows = {(region, cls): Use(sold, units) for region, cls, sold, units in cursor.fetchall()}
    classes = [cls for cls in ResourceClass.values if any(c == cls for _region, c in rows)]
    regions = Region.objects.in_bulk({region for region, _cls in rows})
    cities = [
        _city(regions[code], [rows.get((code, cls)) for cls in classes]) for code in sorted(regions)
    ]
    cities.sort(key=lambda city: (-(city.mean or 0), city.region.code))
    totals: list[Use | None] = [
        Use(
            sum(use.sold for (_region, c), use in rows.items() if c == cls),
            sum(use.capacity for (_region, c), use in rows.items() if c == cls),
        )
        for cls in classes
    ]
    return Utilisation(classes, cities, totals)


def _city(region: Region, by_class: list[Use | None]) -> CityUse:
    shares = [use.share for use in by_class if use is not None and use.share is not None]
    return CityUse(region, by_class, sum(shares, Decimal()) / len(shares) if shares else None)


def leases_by_state() -> dict[str, int]:
    """How many leases are in each state that is not over."""
    live = Lease.objects.filter(state__in=["scheduled", "provisioning", "active", "suspended"])
    return dict(live.values_list("state").annotate(Count("pk")).order_by("state"))


@dataclass(frozen=True, slots=True)
class OpenPeriod:
    """The period that takes charges now, and what it has taken."""

    period: SettlementPeriod | None
    charges: int
    amount_micro: int


def open_period() -> OpenPeriod:
    """The open period with the sum of its charges."""
    period = SettlementPeriod.objects.filter(state="open").first()
    if period is None:
        return OpenPeriod(None, 0, 0)
    sums = Charge.objects.filter(period=period).aggregate(
        count=Count("pk"), amount=Sum("amount_micro")
    )
    return OpenPeriod(period, sums["count"], int(sums["amount"] or 0))


_WAITS: Final = {
    "failed": ngettext_lazy("batch failed: see why", "batches failed: see why", "count"),
    "submitted": ngettext_lazy("batch waits for approval", "batches wait for approval", "count"),
    "draft": ngettext_lazy("draft waits to be submitted", "drafts wait to be submitted", "count"),
    "closing": ngettext_lazy(
        "period is cut off and has no batch", "periods are cut off and have no batch", "count"
    ),
    "uncharged": ngettext_lazy(
        "usage record could not be charged", "usage records could not be charged", "count"
    ),
    "organisations": ngettext_lazy(
        "organisation waits for verification", "organisations wait for verification", "count"
    ),
    "centres": ngettext_lazy("centre does not answer", "centres do not answer", "count"),
    "leases": ngettext_lazy("lease is suspended", "leases are suspended", "count"),
}


def _waits(what: str, count: int, href: str = "", *, is_bad: bool = False) -> Waiting:
    return Waiting(count, str(_WAITS[what] % {"count": count}), href, is_bad)


def waiting(*, suspended_leases: int) -> list[Waiting]:
    """What waits for a person, what presses most first; only what there is."""
    settlement = reverse("console:periods")
    batches = dict(
        SettlementBatch.objects.filter(state__in=["draft", "submitted", "failed"])
        .values_list("state")
        .annotate(Count("pk"))
        .order_by("state")
    )
    closing = (
        SettlementPeriod.objects.filter(state="closing")
        .exclude(batches__state__in=["draft", "submitted", "approved", "executing", "settled"])
        .count()
    )
    organisations = Organisation.objects.filter(verification="submitted").count()
    found = [
        _waits("failed", batches.get("failed", 0), settlement, is_bad=True),
        _waits("submitted", batches.get("submitted", 0), settlement),
        _waits("draft", batches.get("draft", 0), settlement),
        _waits("closing", closing, settlement),
        _uncharged(),
        _waits("organisations", organisations, reverse("console:organisations")),
        _silent_centres(),
        _waits("leases", suspended_leases, is_bad=True),
    ]
    return [one for one in found if one.count]


def _uncharged() -> Waiting:
    """Usage records that the ledger refused to charge; the first few by id. Two queries."""
    refused = UnratedRecord.objects.filter(refused_at__isnull=False).order_by("pk")
    one = _waits("uncharged", refused.count(), is_bad=True)
    ids = refused.values_list("pk", flat=True)[:NAMED]
    named = [(f"{str(each)[:8]}…{str(each)[-6:]}", cells.thing_url("usage", each)) for each in ids]
    return replace(one, links=named)


def _silent_centres() -> Waiting:
    """Centres that do not answer; the first few by name. Two queries."""
    silent = Centre.objects.filter(is_reachable=False).order_by("id")
    one = _waits("centres", silent.count(), is_bad=True)
    named = [(each.name, cells.thing_url("centre", each.id)) for each in silent[:NAMED]]
    return replace(one, links=named)
