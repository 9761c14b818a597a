"""Celery's doors to the market."""

from __future__ import annotations

from celery import shared_task
from django.db import transaction

from core import clock
from core.wakeups import awake, wake
from exchange.capacity.inbox import BOOK_WAKE_UP
from exchange.market import matching, selectors, services


@shared_task
def match_book(*, book_id: int) -> int:
    """Match what waits in one book."""
    awake(BOOK_WAKE_UP, book_id=book_id)
    return matching.match_book(book_id=book_id, now=clock.now())


@shared_task
def sweep_books() -> int:
    """Wake the books that have something waiting: what lost wake-ups left."""
    waiting = selectors.books_with_work(now=clock.now())
    for book_id in waiting:
        wake(BOOK_WAKE_UP, book_id=book_id)
    return len(waiting)


@shared_task
def expire() -> int:
    """Put orders whose time is over before their books."""
    with transaction.atomic():
        return services.request_expiries(now=clock.now())
