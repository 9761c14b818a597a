"""Every wake-up from one room to another, on one page: topics, queues, sweeps, checks."""

from __future__ import annotations

from typing import Any, Final

# Modules in which Celery finds tasks.
TASK_MODULES: Final[list[str]] = []

# Topic (core.wakeups.wake) → the task that answers it.
WAKE_UPS: Final[dict[str, str]] = {}

# Matching has workers of its own, so that nothing else delays it.
TASK_ROUTES: Final[dict[str, dict[str, str]]] = {
    "exchange.market.tasks.match_*": {"queue": "market"},
    "*.tasks.sweep_*": {"queue": "sweeps"},
}

# Sweeps that find what a lost wake-up left; intervals in seconds of wall time.
BEAT_SCHEDULE: Final[dict[str, dict[str, Any]]] = {}

# Modules with a `checks()` that `manage.py verify` runs.
VERIFY_CHECKS: Final[list[str]] = []
