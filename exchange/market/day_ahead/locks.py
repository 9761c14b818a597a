"""Every row lock of the auction, in this order: books by id, the auction, its entries, pools by id.

Locks on an auction's row are ``FOR NO KEY UPDATE``; whoever enters shares it, by trigger.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db import connection

from accounts.actors import Actor
from core.errors import NotFound
from exchange.capacity.models import Book, Pool
from exchange.market.day_ahead.models import Auction, AuctionEntry

_LOCK_SPACE = 0x61756374  # "auct", the advisory locks of those who clear


def auction_for_update(auction_id: UUID) -> Auction:
    """The auction, locked against entries and moves; ``NotFound`` where there is none."""
    auction = Auction.objects.select_for_update(no_key=True).filter(id=auction_id).first()
    if auction is None:
        raise NotFound("There is no such auction.")
    return auction


def own_entry_for_update(actor: Actor, entry_id: UUID, side: str) -> AuctionEntry:
    """The caller's own order or offer, locked; ``NotFound`` where it is not theirs."""
    entry = (
        AuctionEntry.objects.select_for_update(no_key=True, of=("self",))
        .select_related("auction")
        .filter(id=entry_id, side=side, organisation_id=actor.own_id)
        .first()
    )
    if entry is None:
        raise NotFound(f"There is no such {'order' if side == 'buy' else 'offer'}.")
    return entry


def pools_for_update(pool_ids: Collection[UUID]) -> list[Pool]:
    """Pools with their centres and grades, locked against trades, by id."""
    return list(
        Pool.objects.select_for_update(no_key=True, of=("self",))
        .select_related("centre", "grade")
        .filter(id__in=pool_ids)
        .order_by("id")
    )


def books_for_update(book_ids: Collection[int]) -> list[Book]:
    """Books by id, locked against admissions and writers."""
    return list(Book.objects.select_for_update().filter(id__in=book_ids).order_by("id"))


def only_one_clears(auction_id: UUID) -> bool:
    """Whether this transaction is the one that clears; saves work, and guards nothing."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [_LOCK_SPACE, str(auction_id)]
        )
        return bool(cursor.fetchone()[0])


def auction_shared(auction_id: UUID) -> Auction:
    """The auction, shared with others who enter; whoever moves it waits. ``NotFound``."""
    rows = list(
        Auction.objects.raw("SELECT * FROM exchange_auction WHERE id = %s FOR SHARE", [auction_id])
    )
    if not rows:
        raise NotFound("There is no such auction.")
    return rows[0]


def auction_of_own_entry(actor: Actor, entry_id: UUID, side: str) -> UUID:
    """The auction that the caller's own order or offer is in; ``NotFound`` where not theirs."""
    auction_id = (
        AuctionEntry.objects.filter(id=entry_id, side=side, organisation_id=actor.own_id)
        .values_list("auction_id", flat=True)
        .first()
    )
    if auction_id is None:
        raise NotFound(f"There is no such {'order' if side == 'buy' else 'offer'}.")
    return auction_id
