"""The end of what an auction held: reservations and holds, given back or used up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from core.states import next_state
from exchange.capacity import inbox
from exchange.capacity.models import BookEvent, BookEventKind
from exchange.market.day_ahead.models import (
    Auction,
    AuctionEntry,
    AuctionReservation,
    AuctionReservationEnd,
    EntrySide,
    EntryState,
)
from exchange.market.day_ahead.reservations import runs_of
from exchange.market.day_ahead.states import ENTRY_TRANSITIONS
from ledger import services as ledger


def give_back(auction: Auction, *, now: datetime) -> None:
    """Give back everything that a cancelled or failed auction holds, in the caller's transaction.

    The auction is locked, and its state says already that it is over.
    """
    end_reservations(auction, {}, now=now)
    entered = AuctionEntry.objects.filter(auction=auction, state=EntryState.ENTERED)
    held = list(entered.filter(side=EntrySide.BUY).order_by("id").values_list("id", flat=True))
    after = next_state(ENTRY_TRANSITIONS, EntryState.ENTERED, "return", what="an entry")
    entered.update(state=after, closed_at=now)
    groups: list[ledger.Group] = [(ledger.ReleaseHold(hold=entry_id),) for entry_id in held]
    for result in ledger.post(groups, now=now):
        if not result.ok:
            raise RuntimeError(f"the ledger refused to give back a hold: {result}")


def end_reservations(
    auction: Auction, taken: Mapping[UUID, Mapping[int, int]], *, now: datetime
) -> None:
    """End all reservations; ``taken`` are the units by slot that trades took, by line.

    The books are told what comes back to them. In the database it is free at once.
    """
    rows = list(
        AuctionReservation.objects.filter(auction=auction).select_related("offer").order_by("line")
    )
    returned = {
        row.line_id: [
            units - taken.get(row.line_id, {}).get(slot, 0)
            for slot, units in enumerate(row.units, row.first_slot)
        ]
        for row in rows
    }
    events = _tell_books(auction, rows, returned, now)
    AuctionReservationEnd.objects.bulk_create(
        [
            AuctionReservationEnd(
                reservation=row,
                returned=returned[row.line_id],
                event=events.get(row.offer_id),
                ended_at=now,
            )
            for row in rows
        ],
        batch_size=5000,
    )


def _tell_books(
    auction: Auction,
    rows: list[AuctionReservation],
    returned: Mapping[UUID, list[int]],
    now: datetime,
) -> dict[UUID, BookEvent]:
    totals: defaultdict[int, dict[UUID, list[int]]] = defaultdict(dict)
    for row in rows:
        of_book = totals[row.offer.book_id]
        total = of_book.get(row.offer_id, [0] * auction.hours)
        of_book[row.offer_id] = [a + b for a, b in zip(total, returned[row.line_id], strict=True)]
    told: dict[UUID, BookEvent] = {}
    for book_id in sorted(totals):
        back = {offer: units for offer, units in totals[book_id].items() if any(units)}
        events = [
            inbox.InboxEvent(
                BookEventKind.CAPACITY_RETURNED,
                offer,
                {"runs": runs_of(units, auction.first_slot)},
            )
            for offer, units in back.items()
        ]
        if events:
            made = inbox.append(book_id=book_id, events=events, now=now)
            told |= dict(zip(back, made, strict=True))
    return told
