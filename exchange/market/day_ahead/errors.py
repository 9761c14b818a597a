"""What the day-ahead auction refuses."""

from __future__ import annotations

from core.errors import Conflict, InvalidInput


class EntryRefused(InvalidInput):
    slug = "auction-entry-refused"
    title = "The auction order or offer breaks a rule"


class GateNotOpen(Conflict):
    slug = "gate-not-open"
    title = "The auction takes no orders and offers now"


class AuctionRefused(InvalidInput):
    slug = "auction-refused"
    title = "The auction or its timetable breaks a rule"
