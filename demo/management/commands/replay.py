"""``manage.py replay``: real supply and demand through the market's mechanisms, compared."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from demo.mechanisms import command
from demo.mechanisms.options import OptionError
from demo.mechanisms.plots import NoPlots
from demo.traces import TraceError


class Command(BaseCommand):
    """Works on files and memory only; see docs/replay.md."""

    requires_system_checks: list[str] = []
    help = "Run real files through posted prices, the continuous book, and an auction before it."

    def add_arguments(self, parser: CommandParser) -> None:
        """The same as those of ``python -m demo.mechanisms``."""
        command.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it, and say plainly what is wrong with a file."""
        try:
            command.run(options, command.console_for(self.stdout))
        except (TraceError, OptionError, NoPlots, command.Differs) as error:
            raise CommandError(str(error)) from error
