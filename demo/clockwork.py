"""The exchange's clock during the demonstration: ordinary pace, then a day in minutes, then again.

A running process cannot change its clock, so web, workers and beat are stopped and started with
another one. The servers stay up. Exchange time never runs backwards.
"""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from core.clock import Clock
from exchangectl.process import Child
from exchangectl.running import Running

OPERATOR_ZONE: Final = ZoneInfo("Asia/Shanghai")
_PROCESSES: Final = ("web", "beat", "general", "matcher")


def midnight_today() -> datetime:
    """The operator's last midnight, in UTC."""
    today = datetime.now(OPERATOR_ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
    return today.astimezone(UTC)


def ticking_from(start_at: datetime, speed: float) -> Clock:
    """A clock that shows `start_at` now and runs `speed` times as fast as the wall's."""
    return Clock(start_at, datetime.now(UTC), speed)


def as_text(clock: Clock) -> str:
    """The clock as `EXCHANGE_CLOCK` has it."""
    return f"{clock.start_at.isoformat()}@{clock.wall_start_at.isoformat()}x{clock.speed}"


def change_pace(exchange: Running, speed: float) -> None:
    """Stop web, workers and beat, and start them at another pace, from the instant then reached.

    To be called in the thread that started the exchange: its processes end with that thread.
    """
    children = [exchange.children[name] for name in _PROCESSES]
    with ThreadPoolExecutor(len(children)) as pool:
        list(pool.map(Child.stop, children))
    # Only now nobody looks at the old clock any more: the new one begins where that one stands.
    reached = Clock.parse(exchange.env["EXCHANGE_CLOCK"]).now()
    setting = {"EXCHANGE_CLOCK": as_text(ticking_from(reached, speed))}
    exchange.env.update(setting)
    exchange.owner_env.update(setting)
    for child in children:
        child.env = {**child.env, **setting}
        child.start()
    for child in children:
        child.wait_until(partial(_is_ready, child, exchange.base_url), timeout_s=60)


def _is_ready(child: Child, base_url: str) -> bool:
    if child.name != "web":
        mark = Path(child.env["EXCHANGE_READY_FILE"])
        return mark.exists() and mark.read_text() == str(child.pid)
    try:
        with urllib.request.urlopen(f"{base_url}/readyz", timeout=5) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


class DayClock:
    """The compressed day for those who take part in it."""

    def __init__(self, clock: Clock, midnight: datetime) -> None:
        self.clock, self.midnight = clock, midnight

    def now(self) -> datetime:
        """The current instant of the exchange."""
        return self.clock.now()

    def at(self, hours: float) -> datetime:
        """The instant so many hours after midnight."""
        return self.midnight + timedelta(hours=hours)

    def hours(self) -> float:
        """How many hours have passed since midnight."""
        return (self.now() - self.midnight) / timedelta(hours=1)

    def wall_seconds_until(self, hours: float) -> float:
        """Seconds of wall time until so many hours after midnight; negative when past."""
        return self.clock.wall_seconds(self.at(hours) - self.now())

    async def sleep_until(self, hours: float) -> None:
        """Wait until so many hours after midnight."""
        wait = self.wall_seconds_until(hours)
        if wait > 0:
            await asyncio.sleep(wait)

    def wall_ms(self, duration: timedelta) -> float:
        """Milliseconds of wall time that a span of exchange time took."""
        return self.clock.wall_seconds(duration) * 1000
