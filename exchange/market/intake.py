"""The rules that an order or an offer must keep before it is stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from core.errors import FieldProblem
from core.money import Rounding, divide, to_decimal, to_micro
from core.slots import SECONDS_PER_SLOT, is_slot_boundary, slot_at_or_after, slot_of, slot_start_at
from exchange.capacity import selectors as capacity
from exchange.capacity.models import Pool, PoolState
from exchange.market.broken import Rules
from exchange.market.errors import OfferRefused, OrderRefused
from exchange.market.models import Offer, OfferState, Order
from exchange.market.orderly import banding
from exchange.market.requests import OfferRequest, OrderRequest
from exchange.topology import selectors as topology

HORIZON_SLOTS = 60 * 24
MAX_UNITS = 1_000_000
MAX_PRICE_MICRO = 1_000_000 * 1_000_000
MAX_HELD_MICRO = 10**17
MAX_GRADES = 50
ROUNDED_UP_AT_MOST = 2  # a fill rounds compute and transport up to a micro-yuan each


def hold_micro(
    *,
    limit_prices: Sequence[Decimal],
    units: int,
    duration_slots: int,
    on_demand: bool,
    max_cost_micro: int | None,
    spent_micro: int = 0,
) -> int:
    """What must be held for ``units`` still to be filled: the most that they can come to cost.

    The dearest limit for all units and seconds (an on-demand order may take the rest of a slot
    besides), rounded up, a fill of single units each rounded up too, and never more than the
    ceiling leaves.
    """
    if not units:
        return 0
    seconds = (duration_slots + int(on_demand)) * SECONDS_PER_SLOT
    dearest = max(to_micro(price) for price in limit_prices)
    most = divide(dearest * units * seconds, SECONDS_PER_SLOT, Rounding.UP)
    most += ROUNDED_UP_AT_MOST * units
    return most if max_cost_micro is None else min(most, max_cost_micro - spent_micro)


def order_hold(order: Order, *, remaining_units: int, spent_micro: int) -> int:
    """What the hold of ``order`` must still cover with so much of it left and spent, in micro."""
    return hold_micro(
        limit_prices=order.limit_prices,
        units=remaining_units,
        duration_slots=order.duration_slots,
        on_demand=order.on_demand,
        max_cost_micro=order.max_cost_micro,
        spent_micro=spent_micro,
    )


def order_of(request: OrderRequest, *, buyer_id: UUID, now: datetime) -> Order:
    """The unsaved order of a request; ``OrderRefused`` names every rule that it breaks.

    Two queries: the grades, and the regions where any are named.
    """
    rules = Rules([])
    grades = _grades(request, rules)
    _check_quantities(request, rules)
    _check_constraints(request, rules)
    regions = _regions(request, rules)
    window = _window(request, rules, now)
    if rules.problems:
        raise OrderRefused("The order breaks rules of the market.", fields=rules.problems)
    order = _unsaved(request, grades, regions, window, buyer_id=buyer_id, now=now)
    order.held_micro = order_hold(order, remaining_units=order.units, spent_micro=0)
    _check_against_the_market(order, request, rules)
    if rules.problems:
        raise OrderRefused("The order breaks rules of the market.", fields=rules.problems)
    return order


def _unsaved(
    request: OrderRequest,
    grades: Sequence[capacity.NamedGrade],
    regions: topology.RegionTree,
    window: tuple[int, int],
    *,
    buyer_id: UUID,
    now: datetime,
) -> Order:
    earliest, latest = window
    return Order(
        buyer_id=buyer_id,
        book=grades[0].book,
        client_reference=request.client_reference,
        grade_ids=[grade.id for grade in grades],
        limit_prices=[to_decimal(limit.limit_micro) for limit in request.grades],
        units=request.units,
        min_units=request.min_units,
        duration_slots=request.duration_hours,
        on_demand=request.on_demand,
        earliest_slot=earliest,
        latest_slot=latest,
        placement=request.placement,
        rtt_region_id=request.rtt_region,
        max_rtt_us=None if request.max_rtt_ms is None else int(request.max_rtt_ms * 1000),
        regions_allowed=(
            None
            if request.regions_allowed is None
            else _with_children(request.regions_allowed, regions)
        ),
        regions_excluded=_with_children(request.regions_excluded, regions),
        min_green_share=request.min_green_share,
        max_pue=request.max_pue,
        min_reliability=request.min_reliability,
        data_region_id=request.data_region,
        data_in_gb_per_unit=request.data_in_gb_per_unit,
        data_out_gb_per_unit=request.data_out_gb_per_unit,
        accepts_reclaimable=request.accepts_reclaimable,
        max_cost_micro=request.max_cost_micro,
        time_in_force=request.time_in_force,
        good_till_at=request.good_till_at,
        expires_at=expires_at(
            latest=latest,
            duration_hours=request.duration_hours,
            good_till_at=request.good_till_at,
        ),
        placed_at=now,
    )


def _check_against_the_market(order: Order, request: OrderRequest, rules: Rules) -> None:
    """What depends on the whole order and on how the market stands: cost, a halt, the band."""
    if not rules.require(
        order.held_micro <= MAX_HELD_MICRO,
        "units",
        f"the order could cost more than {to_decimal(MAX_HELD_MICRO):f} yuan",
        "ask for fewer units or hours, or a lower limit",
    ):
        return
    rules.require(
        request.time_in_force not in ("ioc", "fok") or not order.book.is_halted,
        "time_in_force",
        f"trading in the book {order.book.code} is halted: nothing can be filled at once",
        "send gtc or gtd, which wait until trading goes on, or try again later",
    )
    if not request.allow_outside_band:
        banding.check_order(order, rules)


def _grades(request: OrderRequest, rules: Rules) -> list[capacity.NamedGrade]:
    codes = [limit.grade for limit in request.grades]
    if not rules.require(
        0 < len(codes) <= MAX_GRADES, "grades", f"1 to {MAX_GRADES} grades", "name fewer grades"
    ):
        return []
    rules.require(
        len(set(codes)) == len(codes), "grades", "a grade stands once", "name each grade once"
    )
    known = capacity.grades_named(codes)
    for index, limit in enumerate(request.grades):
        rules.require(
            limit.grade in known,
            f"grades[{index}].grade",
            "unknown grade",
            "GET /api/v1/grades lists them",
        )
        rules.require(
            0 < limit.limit_micro <= MAX_PRICE_MICRO,
            f"grades[{index}].limit_price_per_unit_hour",
            "a limit is above zero and at most a million yuan",
            "give the highest all-in price per unit-hour that you accept",
        )
    books = {grade.book.id for grade in known.values()}
    rules.require(
        len(books) <= 1,
        "grades",
        "the grades of one order lie in one book",
        "place an order for each resource class",
    )
    return [known[code] for code in codes if code in known]


def _check_quantities(request: OrderRequest, rules: Rules) -> None:
    rules.require(
        0 < request.units <= MAX_UNITS, "units", f"1 to {MAX_UNITS} units", "ask for that many"
    )
    rules.require(
        0 < request.min_units <= request.units,
        "min_units",
        "at least 1 and at most the units ordered",
        "lower min_units",
    )
    rules.require(
        0 < request.duration_hours <= HORIZON_SLOTS,
        "duration_hours",
        f"1 to {HORIZON_SLOTS} hours",
        "ask for whole hours within the horizon",
    )
    rules.require(
        request.max_cost_micro is None or 0 < request.max_cost_micro <= MAX_HELD_MICRO,
        "max_cost",
        f"a ceiling is above zero and at most {to_decimal(MAX_HELD_MICRO):f} yuan",
        "leave it out, or give the most that the whole order may cost",
    )
    for field in ("data_in_gb_per_unit", "data_out_gb_per_unit"):
        rules.require(
            0 <= getattr(request, field) <= 1_000_000,
            field,
            "0 to 1,000,000 GB",
            "give GB for each unit",
        )


def _check_constraints(request: OrderRequest, rules: Rules) -> None:
    for field in ("min_green_share", "min_reliability"):
        rules.require(
            0 <= getattr(request, field) <= 1, field, "a share from 0 to 1", "0.8 is 80 %"
        )
    rules.require(
        request.max_pue is None or 1 <= request.max_pue <= 5, "max_pue", "1 to 5", "1.25, say"
    )
    rules.require(
        (request.rtt_region is None) == (request.max_rtt_ms is None),
        "max_rtt_ms",
        "a round-trip bound and its region come together",
        "give rtt_region and max_rtt_ms, or neither",
    )
    rules.require(
        request.max_rtt_ms is None or 0 < request.max_rtt_ms <= 10_000,
        "max_rtt_ms",
        "above 0 and at most 10,000 ms",
        "give the bound in milliseconds",
    )
    moves_data = request.data_in_gb_per_unit or request.data_out_gb_per_unit
    rules.require(
        not moves_data or request.data_region is not None,
        "data_region",
        "data to move names its region",
        "give data_region",
    )


def _regions(request: OrderRequest, rules: Rules) -> topology.RegionTree:
    """The tree of regions, read only where the order names any."""
    named: dict[str, Iterable[str | None]] = {
        "rtt_region": [request.rtt_region],
        "data_region": [request.data_region],
        "regions_allowed": request.regions_allowed or (),
        "regions_excluded": request.regions_excluded,
    }
    wanted = {code for codes in named.values() for code in codes if code is not None}
    known = topology.region_tree() if wanted else topology.RegionTree({})
    for field, codes in named.items():
        unknown = sorted(code for code in codes if code is not None and code not in known)
        rules.require(
            not unknown,
            field,
            f"unknown region {', '.join(unknown)}",
            "GET /api/v1/regions lists them",
        )
    named_allowed = request.regions_allowed
    rules.require(
        named_allowed is None or len(named_allowed) > 0,
        "regions_allowed",
        "names at least one region",
        "leave it out to allow all",
    )
    if named_allowed:
        left = set(_with_children(named_allowed, known)) - set(
            _with_children(request.regions_excluded, known)
        )
        rules.require(
            bool(left),
            "regions_excluded",
            "leaves something of what is allowed",
            "all regions allowed are excluded: exclude fewer",
        )
    return known


def _with_children(codes: Iterable[str], regions: topology.RegionTree) -> list[str]:
    """The regions and all that lies below them: a province stands for its cities."""
    return sorted({below for code in codes for below in regions.below(code)})


def _window(request: OrderRequest, rules: Rules, now: datetime) -> tuple[int, int]:
    hours = min(max(request.duration_hours, 1), HORIZON_SLOTS)
    for field in ("earliest_start_at", "latest_end_at"):
        at = getattr(request, field)
        rules.require(
            at is None or is_slot_boundary(at),
            field,
            "delivery covers whole UTC hours",
            "give a full hour, such as 2026-11-23T08:00:00Z",
        )
    if request.on_demand:
        earliest = slot_of(now)
        rules.require(
            request.earliest_start_at is None,
            "earliest_start_at",
            "an on-demand order starts at once",
            "leave it out, or set on_demand to false",
        )
    else:
        earliest = slot_at_or_after(request.earliest_start_at or now)
        rules.require(
            earliest >= slot_of(now),
            "earliest_start_at",
            "the window lies in the past",
            "give an hour that is still to come",
        )
    needed = hours + int(request.on_demand)
    latest = earliest + needed
    if request.latest_end_at is not None:
        latest = slot_of(request.latest_end_at)
    rules.require(
        latest >= earliest + needed,
        "latest_end_at",
        "the window is shorter than the duration",
        f"it must end at {slot_start_at(earliest + needed).isoformat()} or later",
    )
    rules.require(
        latest <= slot_of(now) + HORIZON_SLOTS + 1,
        "latest_end_at",
        f"delivery ends within {HORIZON_SLOTS // 24} days",
        "give an earlier end",
    )
    check_good_till(request.time_in_force, request.good_till_at, rules, now)
    return earliest, latest


def check_good_till(
    time_in_force: str, good_till_at: datetime | None, rules: Rules, now: datetime
) -> None:
    """Note what is wrong with the buyer's own deadline."""
    rules.require(
        (time_in_force == "gtd") == (good_till_at is not None),
        "good_till_at",
        "goes with time_in_force gtd, and gtd with it",
        "give both or neither",
    )
    rules.require(
        good_till_at is None or good_till_at > now,
        "good_till_at",
        "lies in the past",
        "give an instant that is still to come",
    )


def expires_at(*, latest: int, duration_hours: int, good_till_at: datetime | None) -> datetime:
    """The last instant at which the window can still be met, or the buyer's own deadline."""
    last_start_at = slot_start_at(latest - duration_hours)
    return min(last_start_at, good_till_at or last_start_at)


def offers_of(
    requests: Sequence[OfferRequest], *, provider_id: UUID, pools: dict[UUID, Pool], now: datetime
) -> list[Offer]:
    """Unsaved offers; ``pools`` are the provider's own, by id, with their grades.

    ``OfferRefused`` names every rule broken by any of them, its index first.
    """
    problems: list[FieldProblem] = []
    offers = []
    bands = banding.OfferBands(pools.values())
    for index, request in enumerate(requests):
        rules = Rules(problems, f"offers[{index}]." if len(requests) > 1 else "")
        broken_before = len(problems)
        pool = pools.get(request.pool)
        rules.require(
            pool is not None and pool.state != PoolState.WITHDRAWN,
            "pool",
            "unknown pool",
            "name a pool of your own that is not withdrawn",
        )
        check_offer_terms(request, rules, pool_units=pool.units if pool else None, now=now)
        if pool is not None and not request.allow_outside_band:
            bands.check(pool, request.prices_micro, rules, is_reclaimable=request.is_reclaimable)
        if pool is not None and len(problems) == broken_before:
            offers.append(_offer(request, pool, provider_id, now))
    if problems:
        raise OfferRefused("The offer breaks rules of the market.", fields=problems)
    return offers


def check_offer_terms(
    request: OfferRequest, rules: Rules, *, pool_units: int | None, now: datetime
) -> None:
    """Note every rule of the market that the terms of one offer break."""
    for field in ("start_at", "end_at"):
        rules.require(
            is_slot_boundary(getattr(request, field)),
            field,
            "delivery covers whole UTC hours",
            "give a full hour",
        )
    rules.require(
        slot_of(request.end_at) > max(slot_of(request.start_at), slot_of(now)),
        "end_at",
        "the window is empty or past",
        "end after the start, and in the future",
    )
    rules.require(
        request.end_at - now <= timedelta(hours=2 * HORIZON_SLOTS),
        "end_at",
        f"an offer ends within {2 * HORIZON_SLOTS // 24} days",
        "give an earlier end, and offer again later",
    )
    rules.require(
        0 < request.units <= (pool_units or MAX_UNITS),
        "units",
        "at least 1 and at most what the pool has",
        "offer no more than the pool's units",
    )
    rules.require(
        len(request.prices_micro) in (1, 24), "prices", "one price, or 24", "one for each UTC hour"
    )
    rules.require(
        all(0 < price <= MAX_PRICE_MICRO for price in request.prices_micro),
        "prices",
        "a price is above zero and at most a million yuan",
        "give yuan per unit-hour",
    )
    rules.require(
        0 < request.min_chunk_units <= max(request.units, 1),
        "min_chunk_units",
        "at least 1 and at most the units offered",
        "lower min_chunk_units",
    )
    longest = request.max_duration_hours or HORIZON_SLOTS
    rules.require(
        0 < request.min_duration_hours <= longest <= HORIZON_SLOTS,
        "max_duration_hours",
        f"min_duration_hours to {HORIZON_SLOTS}",
        "let the longest duration be at least the smallest",
    )
    rules.require(
        not request.is_reclaimable or (request.reclaim_notice_seconds or 0) > 0,
        "reclaim_notice_seconds",
        "a reclaimable offer states its notice",
        "give the notice in seconds",
    )
    _check_compensation(request, rules)


def _check_compensation(request: OfferRequest, rules: Rules) -> None:
    for field, value, most, unit in (
        ("reclaim_compensation_bp", request.reclaim_compensation_bp, 10_000, "basis points"),
        ("reclaim_least_compensation", request.reclaim_least_micro, MAX_HELD_MICRO, "micro-yuan"),
    ):
        rules.require(
            0 <= value <= most and (request.is_reclaimable or not value),
            field,
            f"0 to {most} {unit}, and 0 unless the offer is reclaimable",
            "state it with is_reclaimable",
        )


def offer_terms(request: OfferRequest) -> dict[str, Any]:
    """The columns of an offer that its request decides, as they also stand in a change's event."""
    return {
        "units": request.units,
        "start_slot": slot_of(request.start_at),
        "end_slot": slot_of(request.end_at),
        "prices": [to_decimal(price) for price in request.prices_micro],
        "min_duration_slots": request.min_duration_hours,
        "max_duration_slots": request.max_duration_hours or HORIZON_SLOTS,
        "min_chunk_units": request.min_chunk_units,
        "is_reclaimable": request.is_reclaimable,
        "reclaim_notice_seconds": request.reclaim_notice_seconds,
        "reclaim_compensation_bp": request.reclaim_compensation_bp,
        "reclaim_least_micro": request.reclaim_least_micro,
        "allows_resale": request.allows_resale,
    }


def _offer(request: OfferRequest, pool: Pool, provider_id: UUID, now: datetime) -> Offer:
    return Offer(
        provider_id=provider_id,
        pool=pool,
        book_id=pool.grade.book_id,
        state=OfferState.PENDING,
        created_at=now,
        **offer_terms(request),
    )
