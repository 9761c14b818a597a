"""Celery's doors to the auction. Each may run twice or beside itself without harm."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from core import clock
from core.wakeups import awake, wake
from exchange.market.day_ahead import gate


@shared_task
def advance(*, auction_id: str) -> str:
    """Take an auction as far as it goes by now."""
    awake(gate.AUCTION_WAKE_UP, auction_id=auction_id)
    return gate.advance(auction_id=UUID(auction_id), now=clock.now())


@shared_task
def sweep() -> int:
    """Announce what the timetable asks for, and wake those with something to be done."""
    now = clock.now()
    gate.announce_due(now=now)
    due = gate.due_auctions(now=now)
    for auction_id in due:
        wake(gate.AUCTION_WAKE_UP, auction_id=str(auction_id))
    return len(due)
