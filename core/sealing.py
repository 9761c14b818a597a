"""Hash chains over append-only tables, sealed in batches so that writers never queue.

A row carries the id of the transaction that wrote it (``xid``). ``seal`` takes the rows of all
transactions that ended since the last seal, hashes them in the order of their key and appends
one seal, whose hash covers the seal before it. Only rows below ``pg_snapshot_xmin`` are taken: no
transaction can add one there any more, so a range is complete for ever.

The hash of a row is SHA-256 over the JSON array of its columns, of a range over the row hashes
laid end to end, of a seal as in ``seal_hash``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from core.verify import Finding

GENESIS = bytes(32)


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


def seal_hash(
    *, number: int, xid_from: int, xid_to: int, row_count: int, rows_digest: bytes, previous: bytes
) -> bytes:
    """The hash of a seal: its numbers and digests in one line, the seal before it included."""
    line = f"{number}|{xid_from}|{xid_to}|{row_count}|{rows_digest.hex()}|{previous.hex()}"
    return hashlib.sha256(line.encode("ascii")).digest()


def broken_links(links: list[Link]) -> Iterator[str]:
    """What is wrong with a chain by itself: numbers, ranges, previous hashes and own hashes."""
    previous, xid = GENESIS, 0
    for expected, link in enumerate(links, start=1):
        if link.number != expected:
            yield f"seal {expected} is missing"
            return
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
        previous, xid = link.hash, link.xid_to


def seal(sealed: SealedTable, *, now: datetime) -> int:
    """Seal the rows that no running transaction can add to any more; returns how many.

    Nothing is written where there is nothing new, or where another process is sealing.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [sealed.seals])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(
            f'SELECT number, xid_to, hash FROM "{sealed.seals}" ORDER BY number DESC LIMIT 1'  # noqa: S608
        )
        last = cursor.fetchone()
        number, xid_from, previous = (
            (last[0] + 1, int(last[1]), bytes(last[2])) if last else (1, 0, GENESIS)
        )
        # The mark is taken first; the next statement's snapshot sees every row below it.
        cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())")
        xid_to = int(cursor.fetchone()[0])
        if xid_to <= xid_from:
            return 0
        row_count, rows_digest = _digest(cursor, sealed, xid_from, xid_to)
        if not row_count:
            return 0
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


def _digest(cursor, sealed: SealedTable, xid_from: int, xid_to: int) -> tuple[int, bytes]:  # type: ignore[no-untyped-def]
    cursor.execute(
        f"SELECT count(*), sha256(COALESCE(string_agg({sealed.row_hash_sql('r')}, ''::bytea"  # noqa: S608
        f' ORDER BY r."{sealed.key}"), \'\'::bytea)) FROM "{sealed.table}" r'
        " WHERE r.xid >= %s::text::xid8 AND r.xid < %s::text::xid8",
        [str(xid_from), str(xid_to)],
    )
    row_count, digest = cursor.fetchone()
    return int(row_count), bytes(digest)


def links_of(sealed: SealedTable) -> list[Link]:
    """The chain as it is stored, first seal first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number, xid_from, xid_to, row_count, rows_digest, previous_hash, hash"  # noqa: S608
            f' FROM "{sealed.seals}" ORDER BY number'
        )
        return [
            Link(n, int(a), int(b), count, bytes(digest), bytes(previous), bytes(own))
            for n, a, b, count, digest, previous, own in cursor.fetchall()
        ]


def verify_chain(sealed: SealedTable) -> Iterator[Finding]:
    """Follow the chain from its first row to its last; a finding names the first broken seals."""
    links = links_of(sealed)
    wrong = list(broken_links(links))
    rows = 0
    with connection.cursor() as cursor:
        for link in links:
            row_count, digest = _digest(cursor, sealed, link.xid_from, link.xid_to)
            rows += row_count
            if row_count != link.row_count:
                wrong.append(f"seal {link.number} covers {link.row_count} rows, {row_count} found")
            elif digest != link.rows_digest:
                wrong.append(f"a row under seal {link.number} was changed")
        cursor.execute(
            f'SELECT count(*) FROM "{sealed.table}" WHERE xid >= %s::text::xid8',  # noqa: S608
            [str(links[-1].xid_to if links else 0)],
        )
        open_rows = cursor.fetchone()[0]
    detail = "; ".join(wrong[:5]) or (
        f"{rows} rows under {len(links)} seals, {open_rows} not yet sealed"
    )
    yield Finding(f"{sealed.name}.chain", not wrong, detail)
