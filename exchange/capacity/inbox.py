"""The way into a book: whatever changes what its matcher sees is a row here first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from core.wakeups import wake
from exchange.capacity.models import BookEvent, BookEventKind, Pool, PoolHealth, PoolState

BOOK_WAKE_UP = "book"


@dataclass(frozen=True, slots=True)
class InboxEvent:
    """One thing to enter a book: its kind, the pool, offer, order or trade, and new values."""

    kind: BookEventKind
    subject_id: UUID
    payload: dict[str, Any] = field(default_factory=dict)


def append(*, book_id: int, events: Sequence[InboxEvent], now: datetime) -> list[BookEvent]:
    """Put events into a book's inbox, in the caller's transaction, and wake its worker after."""
    rows = BookEvent.objects.bulk_create(
        [
            BookEvent(
                book_id=book_id,
                kind=event.kind,
                subject_id=event.subject_id,
                payload=event.payload,
                occurred_at=now,
            )
            for event in events
        ],
        batch_size=5000,
    )
    wake(BOOK_WAKE_UP, book_id=book_id)
    return rows


def pool_terms(pool: Pool) -> dict[str, Any]:
    """What a matcher looks at of a pool, its centre loaded: the payload of ``POOL_CHANGED``.

    ``units`` is what may be sold at once, 0 while the pool is paused, withdrawn, out of reach
    or not healthy enough to take anything new. Shares are in basis points, PUE in thousandths.
    """
    sellable = (
        pool.centre.is_reachable
        and pool.state == PoolState.ACTIVE
        and pool.health in (PoolHealth.HEALTHY, PoolHealth.DEGRADED)
    )
    return {
        "units": pool.available_units if sellable else 0,
        "green_share_bp": int(pool.centre.green_share * 10_000),
        "pue_milli": int(pool.centre.pue * 1000),
        "reliability_bp": int(pool.reliability * 10_000),
    }


def pools_changed(*, pools: Sequence[Pool], now: datetime) -> None:
    """Tell the books of ``pools`` (centre and grade loaded) what has become of them."""
    by_book: dict[int, list[InboxEvent]] = {}
    for pool in pools:
        event = InboxEvent(BookEventKind.POOL_CHANGED, pool.id, pool_terms(pool))
        by_book.setdefault(pool.grade.book_id, []).append(event)
    for book_id in sorted(by_book):
        append(book_id=book_id, events=by_book[book_id], now=now)
