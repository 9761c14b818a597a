"""The states of a section of the market (a book, a region), as a table."""

from __future__ import annotations

HALT_TRANSITIONS: dict[tuple[str, str], str] = {
    ("open", "halt"): "halted",
    ("halted", "resume"): "open",
}
