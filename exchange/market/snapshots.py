"""Best prices and depth as of a book's version, kept in the cache for all who follow the market.

Read from committed rows: the matcher does nothing for it. However many follow a book, it is read
at most once in ``FRESH_SECONDS``; where the cache is away it is read each time. PostgreSQL stays
the only truth: what is kept is forgotten soon, and no write depends on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from django.core.cache import cache

from core.slots import slot_of
from exchange.capacity.models import Book
from exchange.market import selectors
from exchange.market.selectors import BestPrice, Level

log = structlog.get_logger(__name__)

FRESH_SECONDS: Final = 1.0
_KEPT_SECONDS: Final = 60
DEPTH_LEVELS: Final = 20

Mark = tuple[int, int]
"""A book's version, and the slot for which it is looked at: when either moves, prices may have."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was read, no older than its mark."""

    mark: Mark
    at: datetime
    rows: list[Any]


def marks(*, at: datetime) -> dict[int, Mark]:
    """The present mark of every book, by its id; one query."""
    slot = slot_of(at)
    versions = Book.objects.order_by("id").values_list("id", "version")
    return {book_id: (version, slot) for book_id, version in versions}


def best_prices(book_id: int, mark: Mark, *, at: datetime) -> Snapshot:
    """The touch of every grade and region of a book: rows are ``BestPrice``."""

    def read() -> list[BestPrice]:
        return selectors.best_prices(at=at, grade=None, region=None, book_id=book_id)

    return _kept(f"market:best:{book_id}", mark, at, read)


def depth(grade: str, region: str | None, mark: Mark, *, at: datetime) -> Snapshot:
    """The best levels of a grade in the hour of ``at``: rows are ``Level``."""

    def read() -> list[Level]:
        return selectors.depth(at=at, grade=grade, region=region, levels=DEPTH_LEVELS)

    return _kept(f"market:depth:{grade}:{region or ''}", mark, at, read)


def _kept(key: str, mark: Mark, at: datetime, read: Callable[[], list[Any]]) -> Snapshot:
    try:
        kept: tuple[float, Snapshot] | None = cache.get(key)
    except Exception as error:  # without the cache it is only dearer
        log.warning("snapshot_not_kept", key=key, error=str(error))
        return Snapshot(mark, at, read())
    # The age is of the machine, so it goes by the wall clock also where the exchange's runs fast.
    if kept is not None and (kept[1].mark == mark or 0 <= time.time() - kept[0] < FRESH_SECONDS):
        return kept[1]
    snapshot = Snapshot(mark, at, read())
    try:
        cache.set(key, (time.time(), snapshot), _KEPT_SECONDS)
    except Exception as error:
        log.warning("snapshot_not_kept", key=key, error=str(error))
    return snapshot
