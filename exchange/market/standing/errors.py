"""What standing orders refuse."""

from __future__ import annotations

from core.errors import Conflict, NotFound


class StandingOrderNotFound(NotFound):
    slug = "standing-order-not-found"
    title = "No such standing order"


class StandingVersionStale(Conflict):
    slug = "standing-version-stale"
    title = "The standing order was changed meanwhile"
