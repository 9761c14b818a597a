"""``manage.py verify``: everything that must hold over all data, a line each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils.module_loading import import_string

from core.verify import Finding


class Command(BaseCommand):
    help = "Check the invariants over all data; exit status 1 where one does not hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--only", default="", help="a prefix of the checks to print")

    def handle(self, *args: Any, **options: Any) -> None:
        failed = 0
        for finding in findings():
            if not finding.check.startswith(options["only"]):
                continue
            failed += not finding.ok
            mark = "ok  " if finding.ok else "FAIL"
            self.stdout.write(f"{mark}  {finding.check:<36} {finding.detail}")
        if failed:
            self.stderr.write(f"{failed} of the checks do not hold")
            sys.exit(1)


def findings() -> Iterator[Finding]:
    """All findings of the checks that ``config.wiring`` lists, each check in one snapshot."""
    checks: list[str] = list(import_string("config.wiring.VERIFY_CHECKS"))
    for path in checks:
        try:
            check: Callable[[], Iterator[Finding]] = import_string(path)
            with transaction.atomic():
                # One snapshot: what is written meanwhile must not look like a difference.
                with transaction.get_connection().cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                found = list(check())
        except Exception as error:
            found = [Finding(path, False, f"{type(error).__name__}: {error}")]
        yield from found
