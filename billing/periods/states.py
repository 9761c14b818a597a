"""The states of a period, as a table."""

from __future__ import annotations

PERIOD_TRANSITIONS: dict[tuple[str, str], str] = {
    ("open", "cut_off"): "closing",
    ("closing", "close"): "closed",
}
