"""``manage.py verify``: everything that must hold over all data, a line each.

What takes long on large books can continue from where an earlier run ended well (``--since``), and
a hash that was published outside of the database can be asked for (``--head``).
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils.module_loading import import_string

from core import clock
from core.verify import Finding


class Command(BaseCommand):
    help = "Check the invariants over all data; exit status 1 where one does not hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--only", default="", help="a prefix of the checks to print")
        parser.add_argument(
            "--since",
            nargs="?",
            type=int,
            const=0,
            metavar="SEAL",
            help="look at the ledger only above this seal, or above the last that was verified",
        )
        parser.add_argument(
            "--head", metavar="NUMBER:HASH", help="a seal that the ledger's chain must contain"
        )
        parser.add_argument("--by", default="", help="who verifies; else the name at login")

    def handle(self, *args: Any, **options: Any) -> None:
        failed = 0
        for finding in findings(
            since=options["since"], head=options["head"], by=options["by"] or _login()
        ):
            if not finding.check.startswith(options["only"]):
                continue
            failed += not finding.ok
            mark = "ok  " if finding.ok else "FAIL"
            self.stdout.write(f"{mark}  {finding.check:<36} {finding.detail}")
        if failed:
            self.stderr.write(f"{failed} of the checks do not hold")
            sys.exit(1)


def findings(
    *, since: int | None = None, head: str | None = None, by: str = "verify"
) -> Iterator[Finding]:
    """All findings of the checks that ``config.wiring`` lists, each check in one snapshot.

    ``since`` and ``head`` are for those that can continue from an earlier run, and keep how far
    this one came, ``by`` whom; where that cannot be kept they add a finding that says so.
    """
    checks: list[str] = list(import_string("config.wiring.VERIFY_CHECKS"))
    continued: dict[str, str] = import_string("config.wiring.VERIFY_CONTINUED")
    for path in checks:
        options = {"since": since, "head": head} if path in continued else {}
        try:
            check: Callable[..., Iterator[Finding]] = import_string(path)
            with transaction.atomic():
                # One snapshot: what is written meanwhile must not look like a difference.
                with transaction.get_connection().cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                found = list(check(**options))
            if path in continued:
                found += import_string(continued[path])(found, by=by, now=clock.now())
        except Exception as error:
            found = [Finding(path, False, f"{type(error).__name__}: {error}")]
        yield from found


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "verify"
