"""Whether an exchange's trades are those that the pure engine makes of its admission log.

Reads the database of an exchange that is set up (`manage.py replay_admissions`): every book's
batches, from the first on, are told to a fresh engine as they were admitted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exchange.capacity.models import Book
from exchange.market.engine import BookState
from exchange.market.retelling import Line, NotRetellable, retell, trades_written


@dataclass(frozen=True, slots=True)
class Compared:
    """One book: trades written, and the first place where the engine says otherwise, if any."""

    book: str
    batches: int
    trades: int
    difference: str


def compare() -> Iterator[Compared]:
    """Every book that has admitted anything."""
    for book in Book.objects.filter(version__gt=0).order_by("id"):
        written = trades_written(book)
        try:
            difference = _difference(written, retell(book, BookState).trades)
        except NotRetellable as reason:
            difference = str(reason)
        yield Compared(book.code, book.version, len(written), difference)


def _difference(written: list[Line], made: list[Line]) -> str:
    for number, (row, line) in enumerate(zip(written, made, strict=False)):
        if row != line:
            return f"trade {number} is {row}, the engine makes {line}"
    if len(written) != len(made):
        return f"{len(written)} trades are written, the engine makes {len(made)}"
    return ""
