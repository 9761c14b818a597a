"""What the rules of an orderly market refuse."""

from __future__ import annotations

from core.errors import Conflict, NotFound


class TooManyOpenOrders(Conflict):
    slug = "too-many-open-orders"
    title = "The organisation has as many live orders as it may have"


class HaltNotFound(NotFound):
    slug = "halt-not-found"
    title = "No such halt"


class BookNotFound(NotFound):
    slug = "book-not-found"
    title = "No such book"
