"""The closing of the gate: capacity is reserved, and what the engine is asked is frozen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from core.money import to_micro
from core.slots import SLOTS_PER_DAY
from exchange.capacity import inbox
from exchange.capacity.models import BookEvent, BookEventKind, Pool, PoolDay
from exchange.market.auction.problem import (
    Block,
    FlowLimit,
    Link,
    MinimumIncome,
    Problem,
    Side,
    Step,
)
from exchange.market.day_ahead import locks
from exchange.market.day_ahead.models import (
    Auction,
    AuctionEntry,
    AuctionLine,
    AuctionLink,
    AuctionProblem,
    AuctionReservation,
    EntrySide,
    EntryState,
    LineKind,
)
from exchange.market.day_ahead.reservations import runs_of
from exchange.market.models import Offer, OfferState

Units = list[int]
"""By slot, from the auction's first on."""


def freeze(auction: Auction, *, now: datetime) -> AuctionProblem:
    """Reserve what is offered, tell the books, and store the problem.

    The auction is locked and closed, in the caller's transaction. What a pool no longer has (its
    units may have been sold since) is not offered: steps shrink to what is free in each hour,
    blocks that do not fit are left out, in the order in which offers were entered.
    """
    lines = list(
        AuctionLine.objects.filter(entry__auction=auction, entry__state=EntryState.ENTERED)
        .select_related("entry__grade")
        .order_by("entry__entered_at", "entry_id", "position")
    )
    selling = [line for line in lines if line.entry.side == EntrySide.SELL]
    reserved = _reserve(auction, selling, now)
    units: dict[UUID, Units] = {
        line.id: line.units for line in lines if line.entry.side == EntrySide.BUY
    } | reserved
    problem = _problem(auction, [line for line in lines if line.id in units], units)
    return AuctionProblem.objects.create(
        auction=auction, document=problem.as_json(), sha256=problem.digest(), frozen_at=now
    )


def _reserve(auction: Auction, lines: list[AuctionLine], now: datetime) -> dict[UUID, Units]:
    pools = {
        pool.id: pool
        for pool in locks.pools_for_update({line.entry.offered_pool_id for line in lines})
    }
    free = _free(auction, pools)
    kept = _kept(lines, free)
    entries = {line.entry_id: line.entry for line in lines if line.id in kept}
    if not entries:
        return {}
    totals: dict[UUID, Units] = {key: [0] * auction.hours for key in entries}
    for line in lines:
        if line.id in kept:
            total = totals[line.entry_id]
            totals[line.entry_id] = [a + b for a, b in zip(total, kept[line.id], strict=True)]
    Offer.objects.bulk_create(
        _offer(auction, entry, pools, totals[key], now) for key, entry in entries.items()
    )
    events = _tell_books(auction, entries, pools, totals, now)
    AuctionReservation.objects.bulk_create(
        [
            AuctionReservation(
                line=line,
                auction=auction,
                pool_id=line.entry.offered_pool_id,
                offer_id=line.entry_id,
                first_slot=auction.first_slot,
                units=kept[line.id],
                event=events[line.entry_id],
                reserved_at=now,
            )
            for line in lines
            if line.id in kept
        ],
        batch_size=5000,
    )
    return kept


def _free(auction: Auction, pools: Mapping[UUID, Pool]) -> dict[UUID, Units]:
    """What each pool may still sell in each slot; their rows are locked."""
    sold: dict[tuple[UUID, int], list[int]] = {
        (day.pool_id, day.day): day.sold
        for day in PoolDay.objects.filter(
            pool_id__in=pools,
            day__gte=auction.first_slot // SLOTS_PER_DAY,
            day__lte=auction.end_slot // SLOTS_PER_DAY,
        )
    }
    nothing = [0] * SLOTS_PER_DAY
    return {
        pool.id: [
            max(
                inbox.pool_terms(pool)["units"]
                - sold.get((pool.id, slot // SLOTS_PER_DAY), nothing)[slot % SLOTS_PER_DAY],
                0,
            )
            for slot in range(auction.first_slot, auction.end_slot)
        ]
        for pool in pools.values()
    }


def _kept(lines: Iterable[AuctionLine], free: dict[UUID, Units]) -> dict[UUID, Units]:
    """The units of each line that its pool still has; lines without any are missing."""
    kept: dict[UUID, Units] = {}
    for line in lines:
        pool_id = line.entry.offered_pool_id
        left = free[pool_id]
        units = [min(wanted, has) for wanted, has in zip(line.units, left, strict=True)]
        if line.kind == LineKind.BLOCK and (
            units != line.units or (line.parent_id is not None and line.parent_id not in kept)
        ):
            continue
        if any(units):
            kept[line.id] = units
            free[pool_id] = [has - u for has, u in zip(left, units, strict=True)]
    return kept


def _offer(
    auction: Auction, entry: AuctionEntry, pools: Mapping[UUID, Pool], total: Units, now: datetime
) -> Offer:
    """How the reservation stands in the continuous market: an offer that nobody can take."""
    pool = pools[entry.offered_pool_id]
    return Offer(
        id=entry.id,
        provider_id=entry.organisation_id,
        pool=pool,
        book_id=pool.grade.book_id,
        units=max(total),
        start_slot=auction.first_slot,
        end_slot=auction.end_slot,
        prices=[auction.lowest_price],
        max_duration_slots=auction.hours,
        state=OfferState.AUCTIONED,
        entry_batch=0,
        entry_position=0,
        auction_entry=entry,
        created_at=now,
    )


def _tell_books(
    auction: Auction,
    entries: Mapping[UUID, AuctionEntry],
    pools: Mapping[UUID, Pool],
    totals: Mapping[UUID, Units],
    now: datetime,
) -> dict[UUID, BookEvent]:
    by_book: defaultdict[int, list[UUID]] = defaultdict(list)
    for key, entry in entries.items():
        by_book[pools[entry.offered_pool_id].grade.book_id].append(key)
    told: dict[UUID, BookEvent] = {}
    for book_id in sorted(by_book):
        keys = by_book[book_id]
        rows = inbox.append(
            book_id=book_id,
            events=[
                inbox.InboxEvent(
                    BookEventKind.CAPACITY_RESERVED,
                    key,
                    {"runs": runs_of(totals[key], auction.first_slot)},
                )
                for key in keys
            ],
            now=now,
        )
        told |= dict(zip(keys, rows, strict=True))
    return told


def _problem(
    auction: Auction, lines: Sequence[AuctionLine], units: Mapping[UUID, Units]
) -> Problem:
    steps: list[Step] = []
    blocks: list[Block] = []
    earning: defaultdict[AuctionEntry, list[str]] = defaultdict(list)
    tokens = {line.id: str(line.token) for line in lines}
    for line in lines:
        by_slot = [(s, u) for s, u in enumerate(units[line.id], auction.first_slot) if u]
        entry, token = line.entry, tokens[line.id]
        if line.kind == LineKind.BLOCK:
            blocks.append(_block(line, by_slot, tokens))
            continue
        made = [
            Step(
                id=step_id(token, slot),
                side=Side(entry.side),
                grade=entry.grade.code,
                zone=entry.region_id,
                slot=slot,
                price_micro=line.price_micro,
                units=of_slot,
            )
            for slot, of_slot in by_slot
        ]
        steps += made
        if entry.minimum_income_micro is not None:
            earning[entry] += [step.id for step in made]
    links = _links(auction)
    zones = {line.entry.region_id for line in lines}
    zones |= {zone for link in links for zone in (link.from_zone, link.to_zone)}
    return Problem(
        zones=tuple(sorted(zones)),
        grades=tuple(sorted({line.entry.grade.code for line in lines})),
        slots=tuple(range(auction.first_slot, auction.end_slot)),
        steps=tuple(steps),
        blocks=tuple(blocks),
        links=tuple(links),
        minimum_incomes=tuple(
            MinimumIncome(
                id=min(ids).partition(".")[0],
                step_ids=tuple(ids),
                fixed_micro=entry.minimum_income_micro or 0,
                price_micro=to_micro(entry.minimum_income_per_unit_hour),
            )
            for entry, ids in earning.items()
        ),
        lowest_price_micro=to_micro(auction.lowest_price),
        highest_price_micro=to_micro(auction.highest_price),
    )


def step_id(token: str, slot: int) -> str:
    """The name of one slot of a line of steps in the problem."""
    return f"{token}.{slot}"


def _block(line: AuctionLine, by_slot: list[tuple[int, int]], tokens: Mapping[UUID, str]) -> Block:
    return Block(
        id=tokens[line.id],
        side=Side(line.entry.side),
        grade=line.entry.grade.code,
        zone=line.entry.region_id,
        price_micro=line.price_micro,
        units_by_slot=tuple(by_slot),
        least_ratio=line.ratio,
        parent=None if line.parent_id is None else tokens[line.parent_id],
    )


def _links(auction: Auction) -> list[Link]:
    """Open links that the operator gave units for auctions."""
    rows = AuctionLink.objects.select_related("link").filter(link__is_open=True).order_by("link")
    return [
        Link(
            id=str(row.link_id),
            from_zone=row.link.region_a_id,
            to_zone=row.link.region_b_id,
            price_micro=to_micro(row.price_per_unit_hour),
            limits=tuple(
                FlowLimit(
                    slot,
                    -row.backward_units[min(hour, 23)],
                    row.forward_units[min(hour, 23)],
                )
                for hour, slot in enumerate(range(auction.first_slot, auction.end_slot))
            ),
        )
        for row in rows
    ]
