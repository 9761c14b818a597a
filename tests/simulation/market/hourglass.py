"""The day's clock, which goes on with what its members do, however fast the machine is.

A file has a number for each member, who alone adds to it; the time is their sum.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core import clock

START = datetime(2026, 11, 23, 2, 20, tzinfo=UTC)
_SIZE = 8


@dataclass(frozen=True, slots=True)
class Hourglass:
    """Stands in for ``core.clock.Clock``."""

    grains: memoryview  # whole milliseconds, one number for each member
    speed: float = 1.0

    def now(self) -> datetime:
        """The start, and all that has run through."""
        return START + timedelta(milliseconds=sum(self.grains))

    def pass_on(self, member: int, duration: timedelta) -> None:
        """Let time go on by the share of one member."""
        self.grains[member] += duration // timedelta(milliseconds=1)


def fill(path: Path, members: int) -> None:
    """A new day for so many members."""
    path.write_bytes(bytes(_SIZE * members))


def go_by(path: str | Path) -> Hourglass:
    """Make the day's clock this process's."""
    with Path(path).open("r+b") as file:
        glass = Hourglass(memoryview(mmap.mmap(file.fileno(), 0)).cast("q"))
    clock.CLOCK = glass  # type: ignore[assignment]  # it has what is asked of a clock
    return glass
