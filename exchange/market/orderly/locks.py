"""Row locks of the operator's verbs. Each takes one row; the inbox takes none."""

from __future__ import annotations

from uuid import UUID

from exchange.capacity.models import Book
from exchange.market.orderly.errors import HaltNotFound
from exchange.market.orderly.models import Halt


def halt_for_update(halt_id: UUID) -> Halt:
    """The halt, locked; ``HaltNotFound``."""
    found = Halt.objects.select_for_update(of=("self",)).select_related("book")
    halt = found.filter(id=halt_id).first()
    if halt is None:
        raise HaltNotFound("There is no such halt.")
    return halt


def book_rules_for_update(code: str) -> Book:
    """The book, locked against admissions and writers until the transaction ends."""
    return Book.objects.select_for_update().get(code=code)
