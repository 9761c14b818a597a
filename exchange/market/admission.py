"""Admission: which events make the next batch of a book, in what sequence, at what ``now``.

Committed before anything is matched, so that whoever takes over from a killed worker matches the
same batch to the same trades.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from core.slots import slot_of
from exchange.capacity.models import Book, BookEvent, BookEventKind
from exchange.market import locks
from exchange.market.models import Admission, Order, OrderState

BATCH_EVENTS = 2000

# Halts come first, whatever the order of arrival: nothing more is matched once one is admitted.
# Then capacity: nothing is sold that was taken back before.
_HALTS = [BookEventKind.TRADING_HALTED.value]
_CAPACITY_FIRST = [
    BookEventKind.POOL_CHANGED.value,
    BookEventKind.CAPACITY_RELEASED.value,
    BookEventKind.CAPACITY_RESERVED.value,
    BookEventKind.CAPACITY_RETURNED.value,
]

_ADMIT = """
    UPDATE exchange_bookevent e SET batch = %(batch)s, position = chosen.position
      FROM (SELECT id, row_number() OVER (
                   ORDER BY kind = ANY(%(halts)s) DESC, kind = ANY(%(first)s) DESC, id) - 1
                   AS position
              FROM (SELECT id, kind FROM exchange_bookevent
                     WHERE book_id = %(book)s AND batch IS NULL
                     ORDER BY kind = ANY(%(halts)s) DESC, kind = ANY(%(first)s) DESC, id
                     LIMIT %(limit)s) waiting) chosen
     WHERE e.id = chosen.id
"""

_ADMIT_FIRST = """
    UPDATE exchange_bookevent e SET batch = %(batch)s, position = chosen.position
      FROM (SELECT id, first.position - row_number() OVER (ORDER BY id DESC) AS position
              FROM exchange_bookevent,
                   (SELECT coalesce(min(position), 0) AS position FROM exchange_bookevent
                     WHERE book_id = %(book)s AND batch = %(batch)s) first
             WHERE book_id = %(book)s AND batch IS NULL AND kind = ANY(%(first)s)) chosen
     WHERE e.id = chosen.id
"""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that is admitted and not yet written."""

    book: Book
    admission: Admission
    events: list[BookEvent]
    ticks: bool  # a new slot has begun since the batch before, and on-demand orders may rest
    took_all: bool = False  # it has everything that waited when it was admitted, just now


@transaction.atomic
def admit(book_id: int, *, now: datetime) -> Batch | None:
    """The open batch of a book: the one left by another worker, else a new one.

    None where there is nothing to do.
    """
    book = locks.book_for_update(book_id)
    if book.admitted != book.version:
        admission, *before = Admission.objects.filter(book=book).order_by("-batch")[:2]
        return _batch(book, admission, before[0] if before else None)
    previous = Admission.objects.filter(book=book).order_by("-batch").first()
    ticks = previous is not None and slot_of(previous.admitted_at) < slot_of(now)
    admitted = _admit_waiting(book)
    if not admitted and not (ticks and _rests_on_demand(book)):
        return None
    # A clock of another host may be behind: the book's own time never runs backwards.
    admitted_at = max(now, previous.admitted_at) if previous else now
    book.admitted += 1
    admission = Admission.objects.create(book=book, batch=book.admitted, admitted_at=admitted_at)
    book.save(update_fields=["admitted"])
    return _batch(book, admission, previous, took_all=admitted < BATCH_EVENTS)


@transaction.atomic
def admit_capacity_changes(book_id: int) -> int:
    """Put waiting changes of capacity before the other events of the open batch.

    For a batch whose trades lost a race: capacity was taken back after its admission and the
    database refused to oversell. The log stays whole, so that its replay gives the same trades.
    Returns how many events were added.
    """
    book = locks.book_for_update(book_id)
    if book.admitted == book.version:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            _ADMIT_FIRST, {"batch": book.admitted, "book": book.id, "first": _CAPACITY_FIRST}
        )
        return int(cursor.rowcount)


def _batch(
    book: Book, admission: Admission, previous: Admission | None, *, took_all: bool = False
) -> Batch:
    events = BookEvent.objects.filter(book=book, batch=admission.batch).order_by("position")
    ticks = previous is not None and slot_of(previous.admitted_at) < slot_of(admission.admitted_at)
    return Batch(book, admission, list(events), ticks, took_all)


def _admit_waiting(book: Book) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            _ADMIT,
            {
                "batch": book.admitted + 1,
                "book": book.id,
                "halts": _HALTS,
                "first": _CAPACITY_FIRST,
                "limit": BATCH_EVENTS,
            },
        )
        return int(cursor.rowcount)


def _rests_on_demand(book: Book) -> bool:
    resting = (OrderState.OPEN, OrderState.PARTIALLY_FILLED)
    return Order.objects.filter(book=book, state__in=resting, on_demand=True).exists()
