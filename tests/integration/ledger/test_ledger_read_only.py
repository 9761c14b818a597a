"""Verifying on a standby, where nothing can be written."""

from __future__ import annotations

import time
from io import StringIO

from django.core.management import call_command
from django.db import connection

from ledger.models import Verification
from ledger.services import seal_transfers
from tests.unit.ledger.books import AVAILABLE, NOW, fund, open_books


def test_sound_books_verify_where_that_cannot_be_kept(fresh_database) -> None:
    open_books()
    fund(AVAILABLE, 1000)
    until = time.monotonic() + 60
    while not seal_transfers(now=NOW) and time.monotonic() < until:
        time.sleep(0.02)  # other tests' transactions on this server may delay it
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")
    out = StringIO()
    call_command("verify", only="ledger", stdout=out)
    assert "FAIL" not in out.getvalue()
    assert "this server is read-only" in out.getvalue()
    assert not Verification.objects.exists()
