"""``manage.py replay_admissions``: are all trades those that their logs give?"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from demo.admissions import compare


class Command(BaseCommand):
    """A line for each book; fails where one differs."""

    help = "Tell every book's admission log to a fresh engine and compare its trades."

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare all books, then say whether any differs."""
        differing = 0
        for book in compare():
            differing += bool(book.difference)
            word = "differs" if book.difference else "ok"
            self.stdout.write(
                f"{word} {book.book}: {book.trades} trades of {book.batches} batches"
                + (f"; {book.difference}" if book.difference else "")
            )
        if differing:
            raise CommandError(f"{differing} books differ from their log")
