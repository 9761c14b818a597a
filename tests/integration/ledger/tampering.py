"""Sealing, tampering past every guard, and what ``verify`` then finds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from psycopg.conninfo import conninfo_to_dict

from ledger import verify
from ledger.services import seal_transfers
from tests.unit.ledger.books import NOW


def seal_all(count: int) -> None:
    """Seal ``count`` transfers: other tests' transactions on this server may delay it."""
    until = time.monotonic() + 60
    while count > 0 and time.monotonic() < until:
        count -= seal_transfers(now=NOW)
        time.sleep(0.02)
    assert count == 0


def broken(**options: object) -> set[str]:
    """The checks that find something."""
    return {finding.check for finding in verify.checks(**options) if not finding.ok}


@contextmanager
def connected_as(url: str) -> Iterator[None]:
    """Django's connection in the hands of another role."""
    settings = connection.settings_dict
    before = settings["USER"], settings["PASSWORD"]
    role = conninfo_to_dict(url)
    connection.close()
    connection.close_pool()
    settings["USER"], settings["PASSWORD"] = role["user"], role["password"]
    yield
    connection.close()
    connection.close_pool()
    settings["USER"], settings["PASSWORD"] = before


def found_after(tampering: str, *, guarded: bool = False, **options: object) -> set[str]:
    """What a tampering breaks; it is rolled back. Needs the superuser unless it is ``guarded``."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            if not guarded:
                cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute(tampering)
            assert cursor.rowcount > 0, tampering
        found = broken(**options)
        transaction.set_rollback(True)
    return found
