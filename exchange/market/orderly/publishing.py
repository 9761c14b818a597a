"""The sweep that owns the index: every hour that is over and not yet published, the oldest first.

It reads committed rows and locks nothing of a book, so that it costs the matcher nothing. Another
publisher at the same hour is refused by the table (``index_hour_published_once``).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction

from core import outbox
from core.ids import derived_id
from core.models import OutboxEvent
from core.money import to_decimal, to_micro
from core.slots import SECONDS_PER_SLOT, slot_of, slot_start_at
from exchange.capacity.models import Book
from exchange.market.orderly.index import PairVolume, Price, Volume, counted, price_of
from exchange.market.orderly.models import IndexHour, IndexPublication

BATCH_WAIT: Final = timedelta(minutes=1)
"""How long an hour waits for a batch of its own that is still being written."""

MAX_HOURS: Final = 48
"""Hours of one book in one turn of the sweep; after a long stop the next turns go on."""

_LOCK_SPACE: Final = 0x696E6478  # "indx", saves double work; the key is the book's id
_Place = tuple[int, str]  # grade, region

_DUE = """
    SELECT b.version, b.index_min_unit_hours, p.id, p.slot, p.last_batch,
           (SELECT a.admitted_at FROM exchange_admission a
             WHERE a.book_id = b.id AND a.batch = b.admitted AND b.admitted > b.version),
           (SELECT a.admitted_at FROM exchange_admission a
             WHERE a.book_id = b.id AND a.batch = (
                   SELECT min(t.batch) FROM exchange_trade t WHERE t.book_id = b.id))
      FROM exchange_book b
      LEFT JOIN LATERAL (
           SELECT id, slot, last_batch FROM exchange_indexpublication
            WHERE book_id = b.id ORDER BY slot DESC LIMIT 1) p ON true
     WHERE b.id = %(book)s
"""

# Admissions of a book are in order of time, so this reads from the newest back to the hour's end.
_LAST_BATCH = """
    SELECT batch FROM exchange_admission
     WHERE book_id = %(book)s AND batch >= %(first)s AND batch <= %(version)s
       AND admitted_at < %(ends_at)s
     ORDER BY batch DESC LIMIT 1
"""

_PAIRS = """
    SELECT grade_id, seller_region_id, buyer_id, seller_id,
           sum(units * extract(epoch FROM ends_at - starts_at))::bigint,
           sum(compute_micro)::bigint, count(*)
      FROM exchange_trade
     WHERE book_id = %(book)s AND batch BETWEEN %(first)s AND %(last)s AND NOT is_reclaimable
     GROUP BY grade_id, seller_region_id, buyer_id, seller_id
"""


@dataclass(frozen=True, slots=True)
class _Due:
    """The next hour of a book, as of one look at it."""

    slot: int
    first_batch: int
    version: int
    min_unit_hours: int
    before_id: int | None  # the publication of the hour before
    open_since: datetime | None  # when the batch that is not yet written was admitted


def publish_index(*, now: datetime) -> int:
    """Publish every hour that is due, each in a transaction of its own; returns how many."""
    books = Book.objects.order_by("id").values_list("id", flat=True)
    published = 0
    for book_id in books:
        for _ in range(MAX_HOURS):
            if not _publish_next(book_id, now):
                break
            published += 1
    return published


@transaction.atomic
def _publish_next(book_id: int, now: datetime) -> bool:
    if not _only_one_here(book_id):
        return False
    due = _due(book_id)
    if due is None or not _may_be_published(due, now):
        return False
    publication = IndexPublication.objects.create(
        book_id=book_id,
        slot=due.slot,
        first_batch=due.first_batch,
        last_batch=_last_batch(book_id, due),
        min_unit_hours=due.min_unit_hours,
        published_at=now,
    )
    hours = _hours(publication, due.before_id)
    IndexHour.objects.bulk_create(hours, batch_size=2000)
    _tell(hours, now)
    return True


def _due(book_id: int) -> _Due | None:
    """The hour after the last one published, else that of the first trade; None without trades."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE, {"book": book_id})
        version, min_unit_hours, before, slot, last, open_since, begun_at = cursor.fetchone()
    if before is None:
        if begun_at is None:
            return None
        return _Due(slot_of(begun_at), 1, version, min_unit_hours, None, open_since)
    return _Due(slot + 1, last + 1, version, min_unit_hours, before, open_since)


def _may_be_published(due: _Due, now: datetime) -> bool:
    ends_at = slot_start_at(due.slot + 1)
    if now < ends_at:
        return False
    is_written = due.open_since is None or due.open_since >= ends_at
    return is_written or now >= ends_at + BATCH_WAIT


def _last_batch(book_id: int, due: _Due) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            _LAST_BATCH,
            {
                "book": book_id,
                "first": due.first_batch,
                "version": due.version,
                "ends_at": slot_start_at(due.slot + 1),
            },
        )
        row = cursor.fetchone()
    return int(row[0]) if row else due.first_batch - 1


def _hours(publication: IndexPublication, before_id: int | None) -> list[IndexHour]:
    volumes = _volumes(publication)
    before = {
        (hour.grade_id, hour.region_id): Price(to_micro(hour.price_per_unit_hour), hour.priced_slot)
        for hour in IndexHour.objects.filter(publication=before_id)
    }
    starts_at, hours = slot_start_at(publication.slot), []
    for grade_id, region in sorted(volumes.keys() | before.keys()):
        volume = volumes.get((grade_id, region), Volume())
        price = price_of(
            volume,
            slot=publication.slot,
            before=before.get((grade_id, region)),
            min_unit_seconds=publication.min_unit_hours * SECONDS_PER_SLOT,
        )
        if price is not None:
            hours.append(
                IndexHour(
                    id=derived_id(starts_at, "index", grade_id, region),
                    publication=publication,
                    grade_id=grade_id,
                    region_id=region,
                    slot=publication.slot,
                    price_per_unit_hour=to_decimal(price.price_micro),
                    priced_slot=price.slot,
                    unit_seconds=volume.unit_seconds,
                    compute_micro=volume.compute_micro,
                    trades=volume.trades,
                )
            )
    return hours


def _volumes(publication: IndexPublication) -> dict[_Place, Volume]:
    pairs: dict[_Place, list[PairVolume]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(
            _PAIRS,
            {
                "book": publication.book_id,
                "first": publication.first_batch,
                "last": publication.last_batch,
            },
        )
        for grade_id, region, *pair in cursor.fetchall():
            pairs[grade_id, region].append(PairVolume(*pair))
    return {place: counted(found) for place, found in pairs.items()}


def _tell(hours: list[IndexHour], now: datetime) -> None:
    outbox.emit_many(
        OutboxEvent(
            kind="market.index",
            organisation_id=None,
            subject_id=hour.id,
            payload={
                "grade_id": hour.grade_id,
                "region": hour.region_id,
                "hour": slot_start_at(hour.slot).isoformat(),
                "price_per_unit_hour": str(hour.price_per_unit_hour),
                "is_carried": hour.is_carried,
                "unit_hours": str(hour.unit_hours),
                "trades": hour.trades,
            },
            occurred_at=now,
        )
        for hour in hours
    )


def _only_one_here(book_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_LOCK_SPACE, book_id])
        return bool(cursor.fetchone()[0])
