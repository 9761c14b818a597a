"""What is reserved for auctions, as the continuous book counts it.

A reservation stands in the book under an offer of its own that nobody can trade against. The
engine needs no word for it: capacity that is reserved is released by less than nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from django.db.models import Q

from exchange.capacity.models import Book, BookEvent, BookEventKind
from exchange.market.day_ahead.models import AuctionReservation
from exchange.market.models import Offer
from exchange.market.terms import CapacityReleased, Claim, Event, OfferEntered, OfferTerms

KINDS = frozenset({BookEventKind.CAPACITY_RESERVED.value, BookEventKind.CAPACITY_RETURNED.value})

Run = tuple[int, int, int]
"""Start slot, end slot (exclusive), units."""


def runs_of(units: Sequence[int], first_slot: int) -> list[Run]:
    """Slots in a row with the same units above zero."""
    found: list[Run] = []
    for slot, wanted in enumerate(units, first_slot):
        if found and found[-1][1] == slot and found[-1][2] == wanted:
            found[-1] = (found[-1][0], slot + 1, wanted)
        elif wanted:
            found.append((slot, slot + 1, wanted))
    return found


class Reserved:
    """Says the events of a batch that reserve and return capacity to an engine."""

    def __init__(self, events: Iterable[BookEvent], terms: Callable[[Offer], OfferTerms]) -> None:
        self._terms = terms
        offers = {event.subject_id for event in events if event.kind in KINDS}
        self._offers: dict[UUID, Offer] = Offer.objects.in_bulk(offers) if offers else {}

    def say(self, event: BookEvent) -> list[Event]:
        """The engine's events: an offer that nobody can take, and the units that it holds."""
        offer = self._offers[event.subject_id]
        reserves = event.kind == BookEventKind.CAPACITY_RESERVED
        sign = -1 if reserves else 1
        moved: list[Event] = [
            CapacityReleased(offer.id.int, offer.pool_id.int, sign * units, start, end)
            for start, end, units in event.payload["runs"]
        ]
        return [OfferEntered(self._terms(offer)), *moved] if reserves else moved


def claims(book: Book, first_slot: int) -> list[Claim]:
    """What reservations hold as of ``book.version``, in slots from ``first_slot`` on.

    Of one that has ended: what it returned, until the book has taken that in.
    """
    told = Q(event__batch__lte=book.version)
    ended = Q(end__isnull=False)
    taken_in = Q(end__event__isnull=True) | Q(end__event__batch__lte=book.version)
    rows = (
        AuctionReservation.objects.filter(told, auction__end_slot__gt=first_slot, offer__book=book)
        .exclude(ended & taken_in)
        .order_by("line")
        .values_list("offer_id", "pool_id", "first_slot", "units", "end__returned")
    )
    return [
        Claim(offer.int, pool.int, units, start, end)
        for offer, pool, first, reserved, returned in rows
        for start, end, units in runs_of(reserved if returned is None else returned, first)
    ]
