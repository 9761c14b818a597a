"""Transfers and entries in partitions by range of ids: prepared, and off until an operator cuts.

Ids rise with time, so a moment is a bound. A cut ends the table (later: its last partition) at a
moment to come and begins the next one there; no row is moved. The last partition has no end, so
that posting never depends on somebody cutting in time.

The key of entries does not contain the id that they are cut by, so it is unique within a partition
only; what it said across them a guard of its own says (``_STANDS_ONCE``). A statement on a
partition fires none of the parent's triggers, so each partition has them too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import psycopg

from ledger.sql import PERIOD_LOCK

# Each table and the id that it is cut by; the entries of a transfer lie where it lies.
_TABLES = {"ledger_transfer": "id", "ledger_entry": "transfer_id"}

# Who brings an account's next version has its lock, who repeats one finds it committed; so of two
# entries with one version the later statement sees both, whatever partitions they are in.
_STANDS_ONCE = """CREATE FUNCTION ledger_entry_stands_once() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off AS $$
DECLARE bad uuid;
BEGIN
    SELECT (array_agg(w.transfer_id))[1] INTO bad FROM written w
     WHERE 1 < (SELECT count(*) FROM ledger_entry e
                 WHERE e.account_id = w.account_id AND e.version = w.version);
    IF bad IS NOT NULL THEN
        RAISE EXCEPTION 'transfer % repeats a version of an account', bad
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'ledger_entry_stands_once';
    END IF;
    RETURN NULL;
END $$"""
_ONCE = """CREATE TRIGGER ledger_entry_stands_once AFTER INSERT ON public.ledger_entry
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_entry_stands_once()"""


class PartitioningRefused(Exception):
    """The tables cannot be cut at these moments."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The statements of a cut: those that read all rows while others post, and the switch.

    Each of ``proofs`` is a transaction of its own; ``switch`` is one, and takes no time.
    """

    proofs: list[str]
    switch: list[str]


@dataclass(frozen=True, slots=True)
class _Table:
    """A table as it stands: its last partition, or what will be its first."""

    name: str
    key: str
    is_cut: bool
    last: str
    begins: UUID | None
    indexes: list[tuple[str, str | None]]  # and how the parent gets it; None where it cannot
    triggers: list[str]
    grants: list[tuple[str, str]]  # right, role


def first_id(at: datetime) -> UUID:
    """The lowest id of a moment."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def months_after(now: datetime, count: int) -> list[datetime]:
    """The beginnings (UTC) of the months to come."""
    months = range(now.year * 12 + now.month, now.year * 12 + now.month + count)
    return [datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in months]


def last_cut(connection: psycopg.Connection[Any]) -> UUID | None:
    """Where the last partition begins; ``None`` where there are no partitions."""
    return _read(connection, "ledger_transfer").begins


def plan(connection: psycopg.Connection[Any], moments: Sequence[datetime]) -> Plan:
    """How to cut both tables at ``moments``, which rise and lie after the last cut."""
    bounds = [first_id(moment) for moment in moments]
    tables = [_read(connection, name) for name in _TABLES]
    begins = tables[0].begins or UUID(int=0)
    if not bounds or any(a >= b for a, b in pairwise([begins, *bounds])):
        raise PartitioningRefused("moments rise, and come after the last one that was cut at")
    proofs = []
    for table in tables:
        relation = table.last if table.is_cut else table.name
        after = f"{table.key} >= '{table.begins}' AND " if table.begins else ""
        proofs += [
            (
                f"ALTER TABLE {relation} ADD CONSTRAINT {table.name}_ends"
                f" CHECK ({after}{table.key} < '{bounds[0]}') NOT VALID"
            ),
            f"ALTER TABLE {relation} VALIDATE CONSTRAINT {table.name}_ends",
        ]
    # Who posts shares the first lock before any other: so nobody is caught half way.
    switch = [
        f"SELECT pg_advisory_xact_lock({PERIOD_LOCK})",
        f"LOCK TABLE {', '.join(_TABLES)} IN ACCESS EXCLUSIVE MODE",
    ]
    for table in tables:
        switch += _cut(table, moments, bounds)
    return Plan(proofs, switch)


def carry_out(connection: psycopg.Connection[Any], cut: Plan) -> None:
    """Prove that all rows lie before the cut, then switch; ``connection`` commits by itself.

    Waits five seconds for whoever reads or writes for long, then gives up.
    """
    connection.execute("SET lock_timeout = '5s'")
    try:
        _forget_proofs(connection)
        for statement in cut.proofs:
            connection.execute(statement.encode())
        with connection.transaction():
            for statement in cut.switch:
                connection.execute(statement.encode())
    except psycopg.errors.CheckViolation as error:
        _forget_proofs(connection)
        raise PartitioningRefused("there are ids already at or after the cut") from error
    except psycopg.errors.LockNotAvailable as error:
        try:
            _forget_proofs(connection)
        except psycopg.errors.LockNotAvailable:
            raise PartitioningRefused(
                "somebody reads or writes for long. What was proved stays, and refuses ids from the"
                " moment of the cut on: run it again before then"
            ) from error
        raise PartitioningRefused("somebody reads or writes for long: run it again") from error
    # Autovacuum looks after partitions, never after what they are partitions of.
    for name in _TABLES:
        connection.execute(f"ANALYZE {name}".encode())


def _forget_proofs(connection: psycopg.Connection[Any]) -> None:
    """Drop what an earlier run proved and did not come to use."""
    for name in _TABLES:
        for (relation,) in connection.execute(
            "SELECT conrelid::regclass::text FROM pg_constraint WHERE conname = %s",
            [f"{name}_ends"],
        ).fetchall():
            connection.execute(f"ALTER TABLE {relation} DROP CONSTRAINT {name}_ends".encode())


def _cut(table: _Table, moments: Sequence[datetime], bounds: Sequence[UUID]) -> Iterator[str]:
    if table.is_cut:
        yield f"ALTER TABLE {table.name} DETACH PARTITION {table.last}"
    else:
        yield from _begin(table)
    yield _attach(table, table.last, table.begins, bounds[0])
    yield f"ALTER TABLE {table.last} DROP CONSTRAINT {table.name}_ends"
    guards = [*table.triggers]
    if table.name == "ledger_entry" and not table.is_cut:
        guards.append(_ONCE)
    for moment, (begins, ends) in zip(moments, pairwise([*bounds, None]), strict=True):
        name = f"{table.name}_from_{moment:%Y%m%d}"
        yield f"CREATE TABLE {name} (LIKE {table.last} INCLUDING ALL)"
        yield from (_on(name, guard, table) for guard in guards)
        yield from (f"REVOKE ALL ON {name} FROM {role}" for _, role in table.grants)
        yield _attach(table, name, begins, ends)


def _begin(table: _Table) -> Iterator[str]:
    """Put an empty table in the place of this one, which becomes its first partition."""
    yield f"ALTER TABLE {table.name} RENAME TO {table.last}"
    for index, _ in table.indexes:
        yield f"ALTER INDEX {index} RENAME TO {index.replace(table.name, table.last, 1)}"
    yield (
        f"CREATE TABLE {table.name} (LIKE {table.last} INCLUDING ALL EXCLUDING INDEXES)"
        f" PARTITION BY RANGE ({table.key})"
    )
    yield f"ALTER TABLE {table.name} DROP CONSTRAINT {table.name}_ends"
    yield from (definition for _, definition in table.indexes if definition)
    yield from table.triggers
    if table.name == "ledger_entry":
        yield _STANDS_ONCE
        yield _ONCE
        yield _on(table.last, _ONCE, table)
    for right, role in table.grants:
        yield f"GRANT {right} ON {table.name} TO {role}"
        yield f"REVOKE {right} ON {table.last} FROM {role}"


def _attach(table: _Table, name: str, begins: UUID | None, ends: UUID | None) -> str:
    lower = f"'{begins}'" if begins else "MINVALUE"
    upper = f"'{ends}'" if ends else "MAXVALUE"
    return (
        f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES FROM ({lower}) TO ({upper})"
    )


def _on(name: str, trigger: str, table: _Table) -> str:
    return trigger.replace(f" ON public.{table.name}", f" ON public.{name}", 1)


_LAST = """
    SELECT c.relname, substring(pg_get_expr(c.relpartbound, c.oid) FROM 'FROM \\(''([^'']*)')
      FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = %s::regclass AND pg_get_expr(c.relpartbound, c.oid) LIKE '%%(MAXVALUE)'
"""
# A unique index of a partitioned table contains what it is partitioned by.
_INDEXES = """
    SELECT c.relname,
           CASE WHEN i.indisprimary AND a.attnum = ANY (i.indkey)
                THEN format('ALTER TABLE %%s ADD CONSTRAINT %%I %%s', i.indrelid::regclass,
                            c.relname,
                            (SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k
                              WHERE k.conindid = c.oid AND k.contype = 'p'))
                WHEN NOT i.indisunique OR a.attnum = ANY (i.indkey)
                THEN pg_get_indexdef(c.oid) END
      FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = %s
     WHERE i.indrelid = %s::regclass ORDER BY c.relname
"""
_TRIGGERS = """
    SELECT pg_get_triggerdef(oid) FROM pg_trigger
     WHERE tgrelid = %s::regclass AND NOT tgisinternal ORDER BY tgname
"""
_GRANTS = """
    SELECT g.privilege_type, quote_ident(r.rolname)
      FROM pg_class c CROSS JOIN aclexplode(c.relacl) g JOIN pg_roles r ON r.oid = g.grantee
     WHERE c.oid = %s::regclass AND g.grantee <> c.relowner ORDER BY 2, 1
"""


def _read(connection: psycopg.Connection[Any], name: str) -> _Table:
    key = _TABLES[name]
    last = connection.execute(_LAST, [name]).fetchone()
    return _Table(
        name=name,
        key=key,
        is_cut=last is not None,
        last=last[0] if last else f"{name}_first",
        begins=UUID(last[1]) if last else None,
        indexes=connection.execute(_INDEXES, [key, name]).fetchall(),
        triggers=[row[0] for row in connection.execute(_TRIGGERS, [name])],
        grants=connection.execute(_GRANTS, [name]).fetchall(),
    )
