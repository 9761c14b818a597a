"""What periods refuse.

Unavailable
└── NoOpenPeriod        the next period is just being opened
NotFound
└── PeriodNotFound
"""

from __future__ import annotations

from core.errors import NotFound, Unavailable


class NoOpenPeriod(Unavailable):
    slug = "no-open-period"
    title = "The next period is just being opened"


class PeriodNotFound(NotFound):
    slug = "period-not-found"
    title = "No such period"
