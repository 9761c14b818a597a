"""The rules that an auction's order or offer must keep before it is stored."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from core.ids import new_id
from core.money import to_decimal, to_micro
from core.slots import slot_start_at
from exchange.capacity import selectors as capacity
from exchange.capacity.models import Pool, PoolState
from exchange.market.broken import Rules
from exchange.market.day_ahead.errors import EntryRefused
from exchange.market.day_ahead.models import Auction, AuctionEntry, AuctionLine, EntrySide
from exchange.market.day_ahead.requests import (
    AuctionOfferRequest,
    AuctionOrderRequest,
    LineRequest,
)
from exchange.market.intake import MAX_HELD_MICRO
from exchange.topology.models import Region

MAX_LINES = 200
MAX_UNITS = 1_000_000


def order_of(
    request: AuctionOrderRequest, *, auction: Auction, buyer_id: UUID
) -> tuple[AuctionEntry, list[AuctionLine]]:
    """The unsaved order of a request and its lines; ``EntryRefused`` names every broken rule."""
    rules = Rules([])
    grade = capacity.grades_named([request.grade]).get(request.grade)
    rules.require(
        grade is not None, "grade", "unknown grade", "GET /api/v1/grades lists the grades"
    )
    rules.require(
        Region.objects.filter(code=request.zone, kind="city").exists(),
        "zone",
        "a zone is a city of the region tree",
        "GET /api/v1/regions lists them",
    )
    _check_lines(request.lines, auction, rules)
    held = _most_micro(request.lines)
    rules.require(held <= MAX_HELD_MICRO, "lines", "cost too much together", "order less")
    if rules.problems or grade is None:
        raise EntryRefused("The order breaks rules of the auction.", fields=rules.problems)
    entry = AuctionEntry(
        auction=auction,
        side=EntrySide.BUY,
        organisation_id=buyer_id,
        grade_id=grade.id,
        region_id=request.zone,
        client_reference=request.client_reference,
        held_micro=held,
    )
    return entry, _lines(entry, request.lines, auction)


def offer_of(
    request: AuctionOfferRequest, *, auction: Auction, provider_id: UUID
) -> tuple[AuctionEntry, list[AuctionLine]]:
    """The unsaved offer of a request and its lines; ``EntryRefused`` names every broken rule."""
    rules = Rules([])
    pool = (
        Pool.objects.select_related("centre")
        .filter(id=request.pool, centre__provider_id=provider_id)
        .exclude(state=PoolState.WITHDRAWN)
        .first()
    )
    rules.require(
        pool is not None, "pool", "unknown pool", "name a pool of your own that is not withdrawn"
    )
    _check_lines(request.lines, auction, rules)
    if pool is not None:
        _check_capacity(request.lines, pool, rules)
    _check_income(request, rules)
    if rules.problems or pool is None:
        raise EntryRefused("The offer breaks rules of the auction.", fields=rules.problems)
    entry = AuctionEntry(
        auction=auction,
        side=EntrySide.SELL,
        organisation_id=provider_id,
        grade_id=pool.grade_id,
        region_id=pool.centre.region_id,
        pool=pool,
        client_reference=request.client_reference,
        minimum_income_micro=request.minimum_income_micro,
        minimum_income_per_unit_hour=to_decimal(request.minimum_income_per_unit_hour_micro),
    )
    return entry, _lines(entry, request.lines, auction)


def _check_lines(lines: Sequence[LineRequest], auction: Auction, rules: Rules) -> None:
    rules.require(
        0 < len(lines) <= MAX_LINES, "lines", f"1 to {MAX_LINES} lines", "send several orders"
    )
    low, high = to_micro(auction.lowest_price), to_micro(auction.highest_price)
    for position, line in enumerate(lines[:MAX_LINES]):
        where = f"lines[{position}]."
        rules.require(line.kind in ("step", "block"), where + "kind", "step or block", "choose one")
        rules.require(
            low <= line.price_micro <= high,
            where + "price_per_unit_hour",
            f"within the auction's limits, {to_decimal(low)} to {to_decimal(high)}",
            "give a price within them",
        )
        _check_slots(line, where, auction, rules)
        _check_block(line, position, lines, rules)


def _check_slots(line: LineRequest, where: str, auction: Auction, rules: Rules) -> None:
    rules.require(bool(line.units_by_slot), where + "slots", "at least one hour", "name an hour")
    outside = [
        slot for slot in line.units_by_slot if not auction.first_slot <= slot < auction.end_slot
    ]
    rules.require(
        not outside,
        where + "slots",
        "hours of the delivery day",
        f"from {slot_start_at(auction.first_slot).isoformat()} to before "
        f"{slot_start_at(auction.end_slot).isoformat()}",
    )
    rules.require(
        all(0 < units <= MAX_UNITS for units in line.units_by_slot.values()),
        where + "slots",
        f"1 to {MAX_UNITS} units in each hour named",
        "leave out the hours in which you want none",
    )


def _check_block(
    line: LineRequest, position: int, lines: Sequence[LineRequest], rules: Rules
) -> None:
    where = f"lines[{position}]."
    if line.kind != "block":
        rules.require(
            line.least_ratio == 1,
            where + "least_ratio",
            "goes with a block; a step takes any part",
            "leave it out",
        )
        rules.require(line.parent is None, where + "parent", "goes with a block", "leave it out")
        return
    rules.require(
        0 < line.least_ratio <= 1,
        where + "least_ratio",
        "a share above 0 and up to 1",
        "0.5 accepts half of the block or more",
    )
    rules.require(
        line.parent is None or (0 <= line.parent < position and lines[line.parent].kind == "block"),
        where + "parent",
        "the position of a block before this one",
        "put the parent first",
    )


def _check_capacity(lines: Sequence[LineRequest], pool: Pool, rules: Rules) -> None:
    given: dict[int, int] = {}
    for line in lines:
        for slot, units in line.units_by_slot.items():
            given[slot] = given.get(slot, 0) + units
    most = max(given.values(), default=0)
    rules.require(
        most <= pool.units,
        "lines",
        f"together no more than the {pool.units} units of the pool in any hour",
        "offer fewer units",
    )


def _check_income(request: AuctionOfferRequest, rules: Rules) -> None:
    fixed, variable = request.minimum_income_micro, request.minimum_income_per_unit_hour_micro
    rules.require(
        fixed is None or 0 <= fixed <= MAX_HELD_MICRO,
        "minimum_income",
        "not below zero, and within reason",
        "leave it out, or give yuan",
    )
    rules.require(
        0 <= variable <= 10**12 and (fixed is not None or variable == 0),
        "minimum_income_per_unit_hour",
        "goes with minimum_income, which may be 0",
        "give both, or neither",
    )
    rules.require(
        fixed is None or any(line.kind == "step" for line in request.lines),
        "minimum_income",
        "is for the steps of an offer; a block has its price",
        "leave it out",
    )


def _most_micro(lines: Sequence[LineRequest]) -> int:
    """The most that an order can come to: whole micro-yuan, since slots are whole hours."""
    return sum(line.price_micro * sum(line.units_by_slot.values()) for line in lines)


def _lines(
    entry: AuctionEntry, lines: Sequence[LineRequest], auction: Auction
) -> list[AuctionLine]:
    ids = [new_id() for _ in lines]
    slots = range(auction.first_slot, auction.end_slot)
    return [
        AuctionLine(
            id=ids[position],
            entry=entry,
            position=position,
            kind=line.kind,
            price=to_decimal(line.price_micro),
            units=[line.units_by_slot.get(slot, 0) for slot in slots],
            least_ratio=line.least_ratio,
            parent_id=None if line.parent is None else ids[line.parent],
        )
        for position, line in enumerate(lines)
    ]
