"""The worker's work: take a book, match its batch, write it in one transaction.

A book's state is kept in memory between batches and used only where its version is still that of
the book; anything that goes wrong forgets it, and the next turn reads it again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import psycopg
import structlog
from django.db import IntegrityError, connection, transaction

from exchange.capacity.models import Book
from exchange.market import admission, loading, translation, writing
from exchange.market.terms import Network
from exchange.topology import selectors as topology

if TYPE_CHECKING:
    from exchange.market.engine import BookState

log = structlog.get_logger(__name__)

MAX_BATCHES = 50
_LOST_RACES = 3
# Capacity, or what of it may be resold, was taken back after the batch was admitted.
_TAKEN_BACK = ("pool_never_oversold", "resale_within_its_trade")
_LOCK_SPACE = 0x6D617463  # "matc", the advisory locks of matchers; the key is the book's id


@dataclass(slots=True)
class _Kept:
    version: int
    network: Network
    state: BookState


_kept: dict[int, _Kept] = {}


def match_book(*, book_id: int, now: datetime) -> int:
    """Admit, match and write the batches of a book until nothing waits; returns their number.

    What comes in while the last batch is matched has a wake-up of its own on its way.

    Safe to call from any number of workers at once: the advisory lock only saves double work, the
    version that each write compares and sets is the guard.
    """
    for batches in range(MAX_BATCHES):
        batch = admission.admit(book_id, now=now)
        if batch is None:
            return batches
        if not _match_batch(batch):
            return batches
        if batch.took_all:
            return batches + 1
    return MAX_BATCHES


def forget_states() -> None:
    """Forget what is kept in memory; the next batch reads its book again."""
    _kept.clear()


def _match_batch(batch: admission.Batch) -> bool:
    """Whether this worker wrote the batch (another one may have been faster)."""
    for attempt in range(_LOST_RACES):
        try:
            return _match_once(batch)
        except IntegrityError as error:
            _kept.pop(batch.book.id, None)
            if _broken_constraint(error) not in _TAKEN_BACK:
                raise
            log.warning("capacity_taken_back", book=batch.book.code, attempt=attempt)
            admission.admit_capacity_changes(batch.book.id)
            again = admission.admit(batch.book.id, now=batch.admission.admitted_at)
            if again is None or again.admission.batch != batch.admission.batch:
                return False
            if len(again.events) == len(batch.events):
                raise  # nothing was taken back, neither by this worker nor by another
            batch = again
        except Exception:
            _kept.pop(batch.book.id, None)
            raise
    return False


def _match_once(batch: admission.Batch) -> bool:
    now_s = math.ceil(batch.admission.admitted_at.timestamp())
    with transaction.atomic():
        if not _only_one_here(batch.book):
            return False
        state = _state_of(batch.book, now_s)
        said = translation.translate(batch)
        result = state.apply(said.events, now_s)
        if not writing.write_batch(batch, said, result):
            _kept.pop(batch.book.id, None)
            return False
    _kept[batch.book.id].version = batch.admission.batch
    return True


def _state_of(book: Book, now_s: int) -> BookState:
    network = topology.network()
    kept = _kept.pop(book.id, None)
    if kept is None or kept.version != book.version or kept.network is not network:
        kept = _Kept(book.version, network, loading.load_state(book, network, now_s=now_s))
    # While a batch is under way its version fits nothing, so that an error leaves nothing behind.
    kept.version = -1
    _kept[book.id] = kept
    return kept.state


def _broken_constraint(error: IntegrityError) -> str | None:
    cause = error.__cause__
    return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else None


def _only_one_here(book: Book) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_LOCK_SPACE, book.id])
        return bool(cursor.fetchone()[0])
