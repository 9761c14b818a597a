"""The state of a pool, as a table. Health is another thing: see ``PoolHealth``."""

from __future__ import annotations

POOL_TRANSITIONS: dict[tuple[str, str], str] = {
    ("active", "pause"): "paused",
    ("active", "withdraw"): "withdrawn",
    ("paused", "resume"): "active",
    ("paused", "withdraw"): "withdrawn",
}

# Health that a provider may report; that a pool is unreachable is found by the platform.
REPORTED_HEALTH = ("healthy", "degraded", "maintenance")
SELLABLE_HEALTH = ("healthy", "degraded")
