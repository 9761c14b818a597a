"""The states of a settlement batch, as a table."""

from __future__ import annotations

BATCH_OPEN = ("draft", "submitted", "approved", "executing", "settled")

BATCH_TRANSITIONS: dict[tuple[str, str], str] = {
    ("draft", "submit"): "submitted",
    ("draft", "discard"): "rejected",
    ("submitted", "approve"): "approved",
    ("submitted", "reject"): "rejected",
    ("approved", "execute"): "executing",
    ("executing", "settle"): "settled",
    ("executing", "fail"): "failed",
}
