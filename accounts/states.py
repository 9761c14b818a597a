"""The verification of an organisation, as a table."""

from __future__ import annotations

VERIFICATION = {
    ("draft", "submit"): "submitted",
    ("refused", "submit"): "submitted",  # with mended facts
    ("submitted", "verify"): "verified",
    ("submitted", "refuse"): "refused",
}
