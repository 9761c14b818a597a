"""What the demonstration shows while it runs: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_LINE_EVERY_S: Final = 10.0
# Of a file or a pipe, which has no width of its own.
_WIDTH: Final = 110


class Stage:
    """One thing that progresses towards a total."""

    def __init__(self, screen: Screen, name: str, total: int) -> None:
        self._screen, self._name, self._total = screen, name, total
        self._done, self._note, self._line_at = 0, "", time.monotonic()
        self._task: TaskID | None = None
        if screen.bars is not None:
            self._task = screen.bars.add_task(name, total=total, note="")

    def advance(self, by: int = 1, note: str | None = None) -> None:
        """Move on by so many; `note` stands beside the bar."""
        self.reach(self._done + by, note)

    def reach(self, done: int, note: str | None = None) -> None:
        """Move on to so many."""
        finished = self._done < self._total <= done
        self._done, self._note = min(done, self._total), self._note if note is None else note
        if self._task is not None and self._screen.bars is not None:
            self._screen.bars.update(self._task, completed=self._done, note=self._note)
        elif finished or time.monotonic() - self._line_at > _LINE_EVERY_S:
            self._line_at = time.monotonic()
            self._screen.say(f"{self._name}: {self._done:,} of {self._total:,} {self._note}")


class Screen:
    """Bars and lines on one console."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, width=_WIDTH)
        self.bars: Progress | None = None
        if self.console.is_terminal:
            self.bars = Progress(
                TextColumn("{task.description:<28}"),
                BarColumn(bar_width=32),
                TextColumn("{task.completed:>7,.0f}/{task.total:,.0f}"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
                console=self.console,
            )

    def __enter__(self) -> Self:
        if self.bars is not None:
            self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bars is not None:
            self.bars.stop()

    def say(self, line: str) -> None:
        """A line of text."""
        self.console.print(line, markup=False, soft_wrap=True)

    def stage(self, name: str, total: int) -> Stage:
        """A new thing that progresses."""
        return Stage(self, name, total)
