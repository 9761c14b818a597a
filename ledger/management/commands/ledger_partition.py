"""``manage.py ledger_partition``: cut transfers and entries into partitions, from now on.

Run again it cuts further ahead. docs/operations says when that pays; mostly it does not.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError, CommandParser

from core import clock
from ledger.partitions import (
    PartitioningRefused,
    carry_out,
    first_id,
    last_cut,
    months_after,
    plan,
)


class Command(BaseCommand):
    """Connects as the owner of the tables (``DATABASE_OWNER_URL``)."""

    help = "Cut the ledger's transfers and entries at the beginnings of months to come."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--months", type=int, default=12, help="how many months ahead")
        parser.add_argument(
            "--at",
            action="append",
            type=date.fromisoformat,
            metavar="YYYY-MM-DD",
            help="cut at the beginning (UTC) of this day instead; may be given several times",
        )
        parser.add_argument("--dry-run", action="store_true", help="print the SQL, change nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        now = clock.now()
        url = os.environ.get("DATABASE_OWNER_URL") or os.environ["DATABASE_URL"]
        with psycopg.connect(url, autocommit=True) as connection:
            try:
                if options["at"]:
                    moments = [datetime.combine(day, time(), UTC) for day in options["at"]]
                    if min(moments) <= now:
                        raise PartitioningRefused("a cut lies in the future, where no ids are yet")
                else:
                    last = last_cut(connection)
                    moments = [
                        month
                        for month in months_after(now, options["months"])
                        if last is None or first_id(month) > last
                    ]
                    if not moments:
                        self.stdout.write("cut so far ahead already")
                        return
                cut = plan(connection, moments)
                if options["dry_run"]:
                    lines = [*cut.proofs, "BEGIN", *cut.switch, "COMMIT"]
                    self.stdout.write(";\n".join(lines) + ";")
                    return
                carry_out(connection, cut)
            except PartitioningRefused as refused:
                raise CommandError(str(refused)) from refused
        self.stdout.write(f"cut at {', '.join(f'{moment:%Y-%m-%d}' for moment in moments)}")
