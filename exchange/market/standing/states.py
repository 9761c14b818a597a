"""The states of a standing order and of its rolls, as tables."""

from __future__ import annotations

STANDING_LIVE = ("active", "waiting", "paused")
STANDING_ROLLING = ("active", "waiting")
ROLL_OPEN = ("in_pool", "in_market")

STANDING_TRANSITIONS: dict[tuple[str, str], str] = {
    ("active", "wait"): "waiting",  # funds, budget or price stand in the way; tried again
    ("active", "pause"): "paused",
    ("active", "end"): "ended",
    ("waiting", "wait"): "waiting",  # for another reason
    ("waiting", "go_on"): "active",
    ("waiting", "pause"): "paused",
    ("waiting", "end"): "ended",
    ("paused", "resume"): "active",
    ("paused", "end"): "ended",
}

ROLL_TRANSITIONS: dict[tuple[str, str], str] = {
    ("in_pool", "go_to_market"): "in_market",
    ("in_pool", "cover"): "covered",
    ("in_pool", "miss"): "missed",
    ("in_market", "cover"): "covered",
    ("in_market", "miss"): "missed",
}
