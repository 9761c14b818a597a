"""Hash chains over append-only tables, sealed in batches so that writers never queue.

A row carries the id of the transaction that wrote it (``xid``). ``seal`` takes the rows of all
transactions that ended since the last seal, hashes them in the order of their key and appends
seals, each of which covers the seal before it. Only rows below ``pg_snapshot_xmin`` are taken: no
transaction can add one there any more, so a range is complete for ever.

The hash of a row is SHA-256 over the JSON array of its columns, of a range over the row hashes
laid end to end, of a seal as in ``seal_hash``. Hashes leave the server in chunks and are laid end
to end here, so neither side holds a range in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from core.verify import Finding

GENESIS = bytes(32)

# Rows that one seal covers, unless a single transaction wrote more: transactions stay whole.
SEAL_ROWS = 50_000
# Rows that one statement of ``follow`` looks at: they are sorted in the server's memory.
_PAGE_ROWS = 20_000
# No transaction comes to this id, the highest of all.
_LAST_XID = 2**64 - 1


@dataclass(frozen=True, slots=True)
class SealedTable:
    """A table and the columns that its chain covers. ``instants`` are its timestamptz columns."""

    name: str
    table: str
    seals: str
    key: str
    columns: tuple[str, ...]
    instants: tuple[str, ...] = ()

    def row_hash_sql(self, alias: str) -> str:
        """SQL of the hash of one row."""
        parts = [
            f"{alias}.\"{column}\" AT TIME ZONE 'UTC'"
            if column in self.instants
            else f'{alias}."{column}"'
            for column in self.columns
        ]
        return f"sha256(convert_to(jsonb_build_array({', '.join(parts)})::text, 'UTF8'))"

    def rows_sql(self, *, judged: bool) -> str:
        """SQL of (key, xid, hash, wrong) of the rows from ``xid_from`` to below ``xid_to``.

        ``judged``: whether ``wrong`` must be found out; sealing does not ask.
        """
        return f"""
            SELECT r."{self.key}" AS key, r.xid, {self.row_hash_sql("r")} AS hash, false AS wrong
              FROM "{self.table}" r
             WHERE r.xid >= %(xid_from)s::text::xid8 AND r.xid < %(xid_to)s::text::xid8
        """  # noqa: S608 - names of our own tables


@dataclass(frozen=True, slots=True)
class Link:
    """One seal as it is stored."""

    number: int
    xid_from: int
    xid_to: int
    row_count: int
    rows_digest: bytes
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class ChainFinding(Finding):
    """What was found of a chain above the seal ``after``, up to ``head``."""

    after: Link | None = None
    head: Link | None = None


def seal_hash(
    *, number: int, xid_from: int, xid_to: int, row_count: int, rows_digest: bytes, previous: bytes
) -> bytes:
    """The hash of a seal: its numbers and digests in one line, the seal before it included."""
    line = f"{number}|{xid_from}|{xid_to}|{row_count}|{rows_digest.hex()}|{previous.hex()}"
    return hashlib.sha256(line.encode("ascii")).digest()


def broken_links(links: Iterable[Link], *, after: Link | None = None) -> Iterator[str]:
    """What is wrong with a chain by itself: numbers, ranges, previous hashes and own hashes."""
    for link in links:
        expected = after.number + 1 if after else 1
        if link.number != expected:
            yield f"seal {expected} is missing"
            return
        yield from _broken_link(link, after)
        after = link


def _broken_link(link: Link, before: Link | None) -> Iterator[str]:
    xid, previous = (before.xid_to, before.hash) if before else (0, GENESIS)
    if link.xid_from != xid or link.xid_to <= link.xid_from:
        yield f"seal {link.number} does not begin where the one before it ends"
    if link.previous_hash != previous:
        yield f"seal {link.number} does not name the hash of the one before it"
    own = seal_hash(
        number=link.number,
        xid_from=link.xid_from,
        xid_to=link.xid_to,
        row_count=link.row_count,
        rows_digest=link.rows_digest,
        previous=link.previous_hash,
    )
    if own != link.hash:
        yield f"seal {link.number} does not have the hash of its own content"


def seal(sealed: SealedTable, *, now: datetime, limit: int = SEAL_ROWS) -> int:
    """Seal the rows that no running transaction can add to any more; returns how many.

    Of whole transactions, up to ``limit`` rows a seal, each seal in a transaction of its own (or
    in the caller's). Nothing is written where there is nothing new, or another process is sealing.
    """
    total, mark = 0, None
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [sealed.seals]
            )
            if not cursor.fetchone()[0]:
                return total
            if mark is None:
                # The mark is taken first; the next statement's snapshot sees every row below it.
                cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())")
                mark = int(cursor.fetchone()[0])
            row_count = _seal_next(cursor, sealed, mark, now=now, limit=limit)
        if not row_count:
            return total
        total += row_count


def _seal_next(cursor: Any, sealed: SealedTable, mark: int, *, now: datetime, limit: int) -> int:
    """Append one seal over rows below ``mark``; how many, 0 where there are none."""
    last = last_link(sealed)
    xid_from = last.xid_to if last else 0
    first, beyond = _cut(cursor, sealed, xid_from, mark, limit)
    if first is None:
        return 0
    xid_to = mark if beyond is None else beyond
    ((row_count, rows_digest, _),) = _digests(sealed, [xid_from, xid_to], judged=False)
    number, previous = (last.number + 1, last.hash) if last else (1, GENESIS)
    own = seal_hash(
        number=number,
        xid_from=xid_from,
        xid_to=xid_to,
        row_count=row_count,
        rows_digest=rows_digest,
        previous=previous,
    )
    cursor.execute(
        f'INSERT INTO "{sealed.seals}" (number, xid_from, xid_to, row_count, rows_digest,'  # noqa: S608
        " previous_hash, hash, sealed_at)"
        " VALUES (%s, %s::text::xid8, %s::text::xid8, %s, %s, %s, %s, %s)",
        [number, str(xid_from), str(xid_to), row_count, rows_digest, previous, own, now],
    )
    return row_count


def _cut(
    cursor: Any, sealed: SealedTable, xid_from: int, mark: int | None, limit: int
) -> tuple[int | None, int | None]:
    """The first transaction from ``xid_from`` on, and where its successors exceed ``limit`` rows.

    The second is the end of a range of whole transactions of at most ``limit`` rows, or of a
    single one that wrote more; ``None`` where all that is left, up to ``mark``, is within it.
    """
    below = "" if mark is None else "AND xid < %(mark)s::text::xid8"
    row = f"""SELECT xid FROM "{sealed.table}" WHERE xid >= %(xid_from)s::text::xid8 {below}
               ORDER BY xid"""  # noqa: S608 - names of our own tables
    cursor.execute(
        f"SELECT ({row} LIMIT 1), ({row} OFFSET %(limit)s LIMIT 1)",
        {"xid_from": str(xid_from), "mark": str(mark), "limit": limit},
    )
    first, beyond = cursor.fetchone()
    if beyond is None:
        return (None if first is None else int(first)), None
    return int(first), max(int(beyond), int(first) + 1)


def _digests(
    sealed: SealedTable, bounds: list[int], *, judged: bool
) -> list[tuple[int, bytes, int]]:
    """(rows, digest, rows that are wrong) of each range between two bounds, in one statement."""
    ranges = len(bounds) - 1
    digests = [hashlib.sha256() for _ in range(ranges)]
    rows, wrong = [0] * ranges, [0] * ranges
    # A thousand hashes come as one row; by a cursor, since a range may be one huge transaction.
    with connection.chunked_cursor() as cursor:
        cursor.execute(
            f"""
            SELECT number, string_agg(hash, ''::bytea ORDER BY key), count(*),
                   count(*) FILTER (WHERE wrong)
              FROM (SELECT n.*, (row_number() OVER (PARTITION BY number ORDER BY key) - 1) / 1000
                                AS chunk
                      FROM (SELECT r.*, width_bucket(r.xid, %(bounds)s::text[]::xid8[]) AS number
                              FROM ({sealed.rows_sql(judged=judged)}) r) n) chunked
             GROUP BY number, chunk ORDER BY number, chunk
            """,  # noqa: S608 - names of our own tables
            {
                "bounds": [str(bound) for bound in bounds],
                "xid_from": str(bounds[0]),
                "xid_to": str(bounds[-1]),
            },
        )
        for number, hashes, count, bad in cursor:
            digests[number - 1].update(hashes)
            rows[number - 1] += count
            wrong[number - 1] += bad
    return [(rows[n], digests[n].digest(), wrong[n]) for n in range(ranges)]


_LINK = "SELECT number, xid_from, xid_to, row_count, rows_digest, previous_hash, hash FROM"


def _link(row: tuple[Any, ...]) -> Link:
    number, xid_from, xid_to, count, digest, previous, own = row
    return Link(
        number, int(xid_from), int(xid_to), count, bytes(digest), bytes(previous), bytes(own)
    )


def last_link(sealed: SealedTable) -> Link | None:
    """The head of the chain."""
    with connection.cursor() as cursor:
        cursor.execute(f'{_LINK} "{sealed.seals}" ORDER BY number DESC LIMIT 1')
        row = cursor.fetchone()
    return None if row is None else _link(row)


def link_of(sealed: SealedTable, number: int) -> Link | None:
    """The seal of this number."""
    with connection.cursor() as cursor:
        cursor.execute(f'{_LINK} "{sealed.seals}" WHERE number = %s', [number])
        row = cursor.fetchone()
    return None if row is None else _link(row)


@dataclass(slots=True)
class Walk:
    """What was seen along a chain; ``wrong_rows`` by the judgement of the table's ``rows_sql``."""

    after: Link | None
    head: Link | None
    faults: list[str] = field(default_factory=list)
    seals: int = 0
    sealed_rows: int = 0
    open_rows: int = 0
    wrong_rows: int = 0

    @property
    def rows(self) -> int:
        """All rows that were looked at."""
        return self.sealed_rows + self.open_rows

    def finding(self, sealed: SealedTable) -> ChainFinding:
        """The chain's line in the output of ``manage.py verify``."""
        detail = "; ".join(self.faults[:5]) or (
            f"{self.sealed_rows} rows under {self.seals} seals, {self.open_rows} not yet sealed"
        )
        if self.after:
            detail += f"; continued from seal {self.after.number}, nothing below was looked at"
        return ChainFinding(f"{sealed.name}.chain", not self.faults, detail, self.after, self.head)


def verify_chain(sealed: SealedTable) -> Iterator[Finding]:
    """Follow the chain from its first row to its last; a finding names the first broken seals."""
    yield follow(sealed).finding(sealed)


def follow(sealed: SealedTable, *, after: Link | None = None) -> Walk:
    """Look at every seal and every row above the seal ``after`` (of all, without it).

    Rows are read a page at a time in the order of their transactions, whatever has become of the
    seals over them; those in no seal, too.
    """
    walk = Walk(after=after, head=after)
    if after:
        walk.faults += _broken_by_itself(after)
    known, page, rows = after, _Page(after.xid_to if after else 0), 0
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(
            f'{_LINK} "{sealed.seals}" WHERE number > %s ORDER BY number',
            [after.number if after else 0],
        )
        whole = True
        for link in map(_link, cursor):
            if whole:
                faults = list(broken_links([link], after=known))
                walk.faults += faults
                # After a gap each seal would be said to be out of its place.
                whole = not any("is missing" in fault for fault in faults)
            known = walk.head = link
            walk.seals += 1
            page.add(link)
            rows += link.row_count
            if rows >= _PAGE_ROWS or len(page.bounds) >= _PAGE_ROWS:
                page, rows = _look_at(sealed, page, walk), 0
        page = _look_at(sealed, page, walk)
        _look_at_open_rows(sealed, page.bounds[-1], walk)
    return walk


def _broken_by_itself(link: Link) -> list[str]:
    """Whether a seal has the hash of its own content, whatever stands before it."""
    return [fault for fault in _broken_link(link, None) if "its own content" in fault]


class _Page:
    """Neighbouring seals whose rows one statement looks at, and any hole between them."""

    def __init__(self, start: int) -> None:
        self.bounds = [start]
        self.links: list[Link | None] = []

    def add(self, link: Link) -> None:
        for bound, over in ((link.xid_from, None), (link.xid_to, link)):
            # A range that goes backwards is a fault of its own; here it is empty.
            if bound > self.bounds[-1]:
                self.bounds.append(bound)
                self.links.append(over)


def _look_at(sealed: SealedTable, page: _Page, walk: Walk) -> _Page:
    """Compare the seals of a page with their rows; an empty page that begins where it ends."""
    if page.links:
        found = _digests(sealed, page.bounds, judged=True)
        for link, (rows, digest, wrong) in zip(page.links, found, strict=True):
            walk.wrong_rows += wrong
            if link is None:
                walk.open_rows += rows
                continue
            walk.sealed_rows += rows
            if rows != link.row_count:
                walk.faults.append(f"seal {link.number} covers {link.row_count} rows, {rows} found")
            elif digest != link.rows_digest:
                walk.faults.append(f"a row under seal {link.number} was changed")
    return _Page(page.bounds[-1])


def _look_at_open_rows(sealed: SealedTable, xid: int, walk: Walk) -> None:
    while True:
        with connection.cursor() as cursor:
            first, beyond = _cut(cursor, sealed, xid, None, _PAGE_ROWS)
        if first is None:
            return
        upto = _LAST_XID if beyond is None else beyond
        ((rows, _, wrong),) = _digests(sealed, [xid, upto], judged=True)
        walk.open_rows += rows
        walk.wrong_rows += wrong
        if beyond is None:
            return
        xid = upto
