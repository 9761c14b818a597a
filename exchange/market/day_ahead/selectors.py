"""Reads of auctions. Auctions and their results are public to members; who entered what is not."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Prefetch, QuerySet

from accounts.actors import Actor
from core.errors import Conflict, NotFound
from exchange.market.day_ahead.models import (
    Auction,
    AuctionEntry,
    AuctionLine,
    AuctionLink,
    AuctionSchedule,
    AuctionState,
)


def auctions() -> QuerySet[Auction]:
    """All auctions."""
    return Auction.objects.all()


def auction(auction_id: UUID) -> Auction:
    """One auction; ``NotFound``."""
    found = Auction.objects.filter(id=auction_id).first()
    if found is None:
        raise NotFound("There is no such auction.")
    return found


def published(auction_id: UUID) -> Auction:
    """An auction with its problem and result; ``Conflict`` before it is published.

    What was frozen stays closed until then: it would tell of limits while they still matter.
    """
    found = Auction.objects.select_related("problem", "result").filter(id=auction_id).first()
    if found is None:
        raise NotFound("There is no such auction.")
    if found.state != AuctionState.PUBLISHED:
        raise Conflict(f"The auction is {found.state}, not published.", state=found.state)
    return found


def entries_visible_to(actor: Actor, side: str) -> QuerySet[AuctionEntry]:
    """One's own orders or offers with their lines; all of them for the operator's people."""
    lines = AuctionLine.objects.select_related("answer", "reservation").order_by("position")
    entries = (
        AuctionEntry.objects.filter(side=side)
        .select_related("auction", "grade")
        .prefetch_related(Prefetch("lines", queryset=lines))
    )
    return entries if actor.is_operator() else entries.filter(organisation_id=actor.own_id)


def schedules() -> QuerySet[AuctionSchedule]:
    """All versions of the timetable."""
    return AuctionSchedule.objects.all()


def links() -> QuerySet[AuctionLink]:
    """What links carry in auctions."""
    return AuctionLink.objects.select_related("link")
