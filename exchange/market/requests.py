"""What a buyer or provider asks for, checked in form and not yet against the rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class GradeLimit:
    """An acceptable grade and the all-in price per unit-hour that is paid at most."""

    grade: str
    limit_micro: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """A buy order as asked for; instants are aware, data in GB for each unit."""

    grades: tuple[GradeLimit, ...]
    units: int
    duration_hours: int
    min_units: int = 1
    on_demand: bool = False
    earliest_start_at: datetime | None = None
    latest_end_at: datetime | None = None
    placement: str = "anywhere"
    rtt_region: str | None = None
    max_rtt_ms: Decimal | None = None
    regions_allowed: tuple[str, ...] | None = None
    regions_excluded: tuple[str, ...] = ()
    min_green_share: Decimal = Decimal(0)
    max_pue: Decimal | None = None
    min_reliability: Decimal = Decimal(0)
    data_region: str | None = None
    data_in_gb_per_unit: Decimal = Decimal(0)
    data_out_gb_per_unit: Decimal = Decimal(0)
    accepts_reclaimable: bool = False
    max_cost_micro: int | None = None
    time_in_force: str = "gtc"
    good_till_at: datetime | None = None
    client_reference: str = ""
    allow_outside_band: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AmendRequest:
    """What of an order is to change; a field that is not in ``named`` stays as it is."""

    version: int
    named: frozenset[str]
    limits: tuple[GradeLimit, ...] = ()
    units: int = 0
    min_units: int = 0
    earliest_start_at: datetime | None = None
    latest_end_at: datetime | None = None
    max_cost_micro: int | None = None
    time_in_force: str = "gtc"
    good_till_at: datetime | None = None
    allow_outside_band: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferRequest:
    """A sell order as asked for; prices per unit-hour, one or one for each UTC hour."""

    pool: UUID
    units: int
    start_at: datetime
    end_at: datetime
    prices_micro: tuple[int, ...]
    max_duration_hours: int | None = None
    min_duration_hours: int = 1
    min_chunk_units: int = 1
    is_reclaimable: bool = False
    reclaim_notice_seconds: int | None = None
    allow_outside_band: bool = False
    reclaim_compensation_bp: int = 0
    reclaim_least_micro: int = 0
    allows_resale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResaleRequest:
    """Whole slots of a trade that its holder offers; prices as in an offer."""

    units: int
    start_at: datetime
    end_at: datetime
    prices_micro: tuple[int, ...]
    min_duration_hours: int = 1
    min_chunk_units: int = 1
    allow_outside_band: bool = False
