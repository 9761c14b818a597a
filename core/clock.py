"""The exchange's one clock.

Everything that asks for the time asks here, and passes it on as ``now``. In a rehearsal the clock
may run faster than the wall: ``EXCHANGE_CLOCK=<start>@<wall>x<speed>`` (two ISO instants and a
factor) makes every process that shares the environment agree on one compressed time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Clock:
    """Maps wall time to the exchange's time: ``start + (wall - wall_start) * speed``."""

    start_at: datetime
    wall_start_at: datetime
    speed: float

    def now(self) -> datetime:
        """The current instant of the exchange, aware, in UTC."""
        elapsed = datetime.now(UTC) - self.wall_start_at
        return self.start_at + elapsed * self.speed

    def wall_seconds(self, duration: timedelta) -> float:
        """How many seconds of wall time ``duration`` of exchange time takes."""
        return duration.total_seconds() / self.speed

    @classmethod
    def parse(cls, text: str) -> Clock:
        """Read ``<start>@<wall>x<speed>``; ``ValueError`` names what is wrong."""
        try:
            start, rest = text.split("@")
            wall, speed = rest.rsplit("x", 1)
            clock = cls(
                datetime.fromisoformat(start).astimezone(UTC),
                datetime.fromisoformat(wall).astimezone(UTC),
                float(speed),
            )
        except ValueError as error:
            raise ValueError(f"EXCHANGE_CLOCK must be <start>@<wall>x<speed>: {error}") from error
        if not clock.speed > 0:
            raise ValueError("EXCHANGE_CLOCK must have a speed above zero")
        return clock


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_configured = os.environ.get("EXCHANGE_CLOCK")
CLOCK = Clock.parse(_configured) if _configured else Clock(_EPOCH, _EPOCH, 1.0)


def now() -> datetime:
    """The current instant of the exchange, aware, in UTC."""
    return CLOCK.now()


def passes_in(wall: timedelta) -> timedelta:
    """How much of the exchange's time passes while so much wall time does.

    For what takes wall time whatever the clock's speed: a transaction, a request on its way.
    """
    return wall * CLOCK.speed
