"""How billing's rooms check all their data: queries that count what is looked at, and wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.db import connection

from core.verify import Finding


def findings(checks: Mapping[str, tuple[str, str]]) -> Iterator[Finding]:
    """A finding for each check: its name, a sentence, and a query for (looked at, wrong)."""
    for name, (sentence, sql) in checks.items():
        with connection.cursor() as cursor:
            cursor.execute(sql)
            looked_at, wrong = cursor.fetchone()
        yield Finding(name, wrong == 0, f"{looked_at} {sentence}; {wrong} do not")
