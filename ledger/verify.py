"""The ledger replayed: everything that must hold over all rows, each with its own finding.

The entries are read twice, whatever there is of them: in the order of their accounts, sorted on
disk, for versions, balances, times and periods; and in the order of their transfers, a page at a
time, for what makes a transfer whole and for the hash chain. All rows stay on the server, which
answers with counts.

``--since`` looks at the transfers above a seal, and of the accounts that they moved at the entries
from there on: what was tampered with below is not looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from core.sealing import ChainFinding, Link, follow, link_of
from core.verify import Finding
from ledger.models import Verification
from ledger.replay import REPLAY, REPLAY_SINCE, RULES, RULES_SINCE
from ledger.sealing import SEALED

_REPLAYED = (
    ("ledger.entries", "entries have a transfer and an account, versions and balances that run"),
    ("ledger.balances", "accounts stand where their entries leave them"),
    ("ledger.recorded", "accounts were recorded at times that never fall"),
    ("ledger.periods", "kept balances are what the entries of their periods say"),
)


class UnknownSeal(Exception):
    """The chain has no seal to continue from, or not the one that was verified."""


def checks(*, since: int | None = None, head: str | None = None) -> Iterator[Finding]:
    """Replay the ledger from its entries and follow its chain; runs beside the writers.

    ``since``: a seal to continue from; 0 for the last at which ``remember`` was called. ``head``:
    ``NUMBER:HASH``, a seal that the chain must contain. All of it sees one snapshot, except inside
    a transaction of the caller's.
    """
    joined = connection.in_atomic_block
    with transaction.atomic():
        if not joined:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        try:
            # A full run asks too: a chain that lost its end, or all of it, is whole by itself.
            point = _point(since or 0)
        except UnknownSeal as error:
            yield Finding("ledger.verified", False, str(error))
            point = None
            if since is not None:
                return
        yield from _replay(point if since is not None else None)
        if head is not None:
            yield _head(head)


def remember(found: Sequence[Finding], *, by: str, now: datetime) -> list[Finding]:
    """Keep how far the chain was verified, where nothing was found wrong.

    Not of a run that left something out: one that began above what was verified until then. On a
    read-only server nothing can be kept, which is said and no fault.
    """
    chain = next((f for f in found if isinstance(f, ChainFinding)), None)
    if chain is None or chain.head is None or not all(f.ok for f in found):
        return []
    below = chain.after
    if below and not Verification.objects.filter(seal=below.number, hash=below.hash).exists():
        return []
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only")
        if cursor.fetchone() == ("on",):
            said = "this server is read-only: `verify --since` will not know of this run"
            return [Finding("ledger.verified", True, said)]
    Verification.objects.create(
        seal=chain.head.number, hash=chain.head.hash, verified_at=now, verified_by=by
    )
    return []


def _point(number: int) -> Link | None:
    """The seal to continue from; ``None`` where nothing was verified yet."""
    verified = Verification.objects.order_by("-id")
    if number:
        verified = verified.filter(seal=number)
    last = verified.first()
    if last is None and not number:
        return None
    link = link_of(SEALED, last.seal if last else number)
    if link is None:
        raise UnknownSeal(f"there is no seal {last.seal if last else number} to continue from")
    if last and bytes(last.hash) != link.hash:
        raise UnknownSeal(f"seal {link.number} is not the one that was verified")
    return link


def _replay(after: Link | None) -> Iterator[Finding]:
    walk = follow(SEALED, after=after)
    yield _finding(
        "ledger.transfers",
        "transfers have their declared entries and balance in each asset and region",
        walk.rows,
        walk.wrong_rows,
    )
    xid = str(after.xid_to) if after else "0"
    with connection.cursor() as cursor:
        cursor.execute(REPLAY_SINCE if after else REPLAY, {"xid": xid})
        counts = cursor.fetchone()
        for (name, sentence), looked_at, wrong in zip(
            _REPLAYED, counts[::2], counts[1::2], strict=True
        ):
            yield _finding(name, sentence, looked_at, wrong)
        for name, (sentence, sql) in (RULES_SINCE if after else RULES).items():
            cursor.execute(sql, {"xid": xid})
            yield _finding(name, sentence, *cursor.fetchone())
    yield walk.finding(SEALED)


def _finding(name: str, sentence: str, looked_at: int, wrong: int) -> Finding:
    return Finding(name, wrong == 0, f"{looked_at} {sentence}; {wrong} do not")


def _head(wanted: str) -> Finding:
    """Whether the chain contains a seal with exactly this number and hash."""
    number, _, own = wanted.partition(":")
    link: Any = link_of(SEALED, int(number)) if number.isdigit() else None
    ok = link is not None and link.hash.hex() == own.strip().lower()
    detail = f"the chain contains seal {wanted}" if ok else f"the chain has no seal {wanted}"
    return Finding("ledger.head", ok, detail)
