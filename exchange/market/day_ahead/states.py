"""The states of auctions and of what was entered into them, as tables."""

from __future__ import annotations

AUCTION_LIVE = ("announced", "open", "closed", "cleared")
AUCTION_OVER = ("published", "cancelled", "failed")

# Each live state has a deadline in the auction's row; the sweep of `tasks` owns what is overdue.
AUCTION_TRANSITIONS: dict[tuple[str, str], str] = {
    ("announced", "open"): "open",
    ("announced", "cancel"): "cancelled",
    ("open", "close"): "closed",
    ("open", "cancel"): "cancelled",
    ("closed", "clear"): "cleared",
    ("closed", "fail"): "failed",
    ("closed", "cancel"): "cancelled",
    ("cleared", "publish"): "published",
    ("cleared", "fail"): "failed",
    ("cleared", "cancel"): "cancelled",
}

ENTRY_TRANSITIONS: dict[tuple[str, str], str] = {
    ("entered", "cancel"): "cancelled",
    ("entered", "answer"): "answered",
    ("entered", "return"): "returned",
}
