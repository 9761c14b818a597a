"""The states of orders and offers, as tables. Only the writer of a batch moves them."""

from __future__ import annotations

ORDER_LIVE = ("pending", "open", "partially_filled")
OFFER_LIVE = ("pending", "open", "paused")

ORDER_TRANSITIONS: dict[tuple[str, str], str] = {
    ("pending", "admit"): "open",
    ("pending", "reject"): "rejected",
    ("open", "fill_in_part"): "partially_filled",
    ("open", "fill"): "filled",
    ("open", "cancel"): "cancelled",
    ("open", "expire"): "expired",
    ("partially_filled", "fill_in_part"): "partially_filled",
    ("partially_filled", "fill"): "filled",
    ("partially_filled", "cancel"): "cancelled",
    ("partially_filled", "expire"): "expired",
}

OFFER_TRANSITIONS: dict[tuple[str, str], str] = {
    ("pending", "admit"): "open",
    ("pending", "withdraw"): "withdrawn",
    ("open", "pause"): "paused",
    ("open", "withdraw"): "withdrawn",
    ("open", "expire"): "expired",
    ("paused", "resume"): "open",
    ("paused", "withdraw"): "withdrawn",
    ("paused", "expire"): "expired",
}
