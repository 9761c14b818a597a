"""`python -m demo.mechanisms`: what `manage.py replay` does, where no exchange is set up."""

from __future__ import annotations

import argparse
import sys

from demo.mechanisms import command
from demo.mechanisms.options import OptionError
from demo.mechanisms.plots import NoPlots
from demo.traces import TraceError


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo.mechanisms", description=__doc__)
    command.add_arguments(parser)
    given = vars(parser.parse_args())
    try:
        command.run(given, command.console_for())
    except (TraceError, OptionError, NoPlots, command.Differs) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - it is a command
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
