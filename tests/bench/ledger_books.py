"""What the ledger's contests run on: databases of their own, processes that post, large books."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from exchangectl.preparing import manage
from exchangectl.running import ROOT, Running
from exchangectl.servers import APP_ROLE, OWNER_ROLE, PostgreSQL
from tests.bench.pgbench import PgBench

PARTIES = 1_000
BUYERS, PROVIDERS = 1_000_000, 2_000_000  # owners are UUID(int=BUYERS + 1 … PARTIES), and so on
REGION = "bench"

# A transfer of 1 from each buyer to some provider, again and again. Ids lie in the past: 0.1 ms
# apart from seven days ago on, or spread over so many ``days``.
_LAY_OUT = """
    CREATE TEMP TABLE lay_out ON COMMIT DROP AS
    SELECT n, uuidv7(n * %(step)s::interval - %(days)s * interval '1 day') AS id,
           lpad(to_hex(%(buyers)s + n %% %(parties)s + 1), 32, '0')::uuid AS buyer,
           lpad(to_hex(%(providers)s + (n * 7919 + n / %(parties)s) %% %(parties)s + 1),
                32, '0')::uuid AS provider
      FROM generate_series(1::int8, %(transfers)s::int8) n;
    INSERT INTO ledger_transfer (id, reference, effective_at, recorded_at, period_id, entry_count,
                                 code)
    SELECT id, id, now() - interval '7 days', now(), 1, 2, 'charge.usage'
      FROM lay_out ORDER BY n;
    INSERT INTO ledger_entry (transfer_id, account_id, amount, balance_after, version, position)
    SELECT l.id, a.id, l.amount, a.balance + sum(l.amount) OVER in_order,
           a.version + row_number() OVER in_order, l.position
      FROM (SELECT n, id, 'available' AS code, buyer AS owner, 1 AS amount, 1 AS position
              FROM lay_out
            UNION ALL
            SELECT n, id, 'payable', provider, -1, 2 FROM lay_out) l
      JOIN ledger_account a ON a.code = l.code AND a.owner = l.owner
    WINDOW in_order AS (PARTITION BY a.id ORDER BY l.n ROWS UNBOUNDED PRECEDING)
     ORDER BY l.n, l.position;
    UPDATE ledger_account a
       SET version = e.version, balance = e.balance_after, recorded_at = now()
      FROM (SELECT DISTINCT ON (account_id) account_id, version, balance_after
              FROM ledger_entry ORDER BY account_id, version DESC) e
     WHERE e.account_id = a.id AND e.version > a.version;
"""

# One account with a long history, against the bank.
_ONE_LONG_HISTORY = """
    CREATE TEMP TABLE lay_out ON COMMIT DROP AS
    SELECT n, uuidv7(n * interval '0.1 ms' - interval '8 days') AS id
      FROM generate_series(1::int8, %(transfers)s::int8) n;
    INSERT INTO ledger_transfer (id, reference, effective_at, recorded_at, period_id, entry_count,
                                 code)
    SELECT id, id, now() - interval '8 days', now(), 1, 2, 'bank.deposit'
      FROM lay_out ORDER BY n;
    INSERT INTO ledger_entry (transfer_id, account_id, amount, balance_after, version, position)
    SELECT l.id, a.id, side * -1, a.balance - side * l.n, a.version + l.n,
           CASE side WHEN 1 THEN 2 ELSE 1 END
      FROM lay_out l CROSS JOIN (VALUES (1, %(owner)s::uuid), (-1, %(bank)s::uuid)) s (side, owner)
      JOIN ledger_account a ON a.owner = s.owner AND a.code IN ('available', 'bank')
     ORDER BY l.n;
    UPDATE ledger_account a
       SET version = a.version + %(transfers)s, recorded_at = now(),
           balance = a.balance + CASE a.code WHEN 'bank' THEN 1 ELSE -1 END * %(transfers)s
     WHERE a.owner = %(owner)s AND a.code = 'available' OR a.owner = %(bank)s AND a.code = 'bank';
"""


class Poster:
    """A ``tests.bench.poster`` process: ``tell`` it what to do, ``hear`` what it answers."""

    def __init__(
        self, env: dict[str, str], seed: int, *, command: Sequence[str] | None = None
    ) -> None:
        self._process = subprocess.Popen(
            command or [sys.executable, "-m", "tests.bench.poster", str(seed)],
            env=env,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, do: str, **asked: Any) -> None:
        """Have it begin; answers come in the order of what was told."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **asked}) + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The next answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a poster ended; its error stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def do(self, what: str, **asked: Any) -> dict[str, Any]:
        """Tell and hear."""
        self.tell(what, **asked)
        return self.hear()

    def end(self) -> None:
        """Let it go."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)


@dataclass(frozen=True)
class Books:
    """A migrated database with funded accounts, on the server that is measured."""

    server: PostgreSQL
    name: str
    env: dict[str, str]

    @classmethod
    def make(cls, exchange: Running, name: str, *, funded: bool = True) -> Books:
        """A new database ``name``; nothing else runs on it, unless it is the exchange's own."""
        server = exchange.postgres
        assert server is not None
        server.drop_database(name)
        server.ensure_database(name)
        env = {
            **exchange.env,
            "DATABASE_URL": server.url(APP_ROLE, name),
            "DATABASE_OWNER_URL": server.url(OWNER_ROLE, name),
        }
        as_owner = {**env, "DATABASE_URL": env["DATABASE_OWNER_URL"]}
        manage("migrate", "--no-input", "-v0", env=as_owner, check=True)
        manage("grant_app_role", env=env, check=True)
        books = cls(server, name, env)
        if funded:
            with books.posters(1) as (poster,):
                poster.do("open")
        return books

    @contextlib.contextmanager
    def posters(self, count: int) -> Iterator[list[Poster]]:
        """So many processes that post into these books."""
        made = [Poster(self.env, seed) for seed in range(1, count + 1)]
        try:
            yield made
        finally:
            for poster in made:
                poster.end()

    def connect(self, *, admin: bool = False) -> psycopg.Connection[Any]:
        """A connection as the owner of the tables, or as the superuser."""
        role = "exchange_bootstrap" if admin else OWNER_ROLE
        return psycopg.connect(self.server.url(role, self.name), autocommit=True)

    def lay_out(self, *, transfers: int, days: int | None = None) -> None:
        """Write so many transfers past the guards, which would take their time; then vacuum."""
        step = timedelta(days=days) / transfers if days else timedelta(microseconds=100)
        self._past_the_guards(
            _LAY_OUT,
            transfers=transfers,
            buyers=BUYERS,
            providers=PROVIDERS,
            step=step,
            days=days or 7,
        )

    def lay_out_history(self, *, owner: str, bank: str, transfers: int) -> None:
        """Give one buyer so many deposits."""
        self._past_the_guards(_ONE_LONG_HISTORY, transfers=transfers, owner=owner, bank=bank)

    def _past_the_guards(self, script: str, **values: Any) -> None:
        with self.connect(admin=True) as connection:
            connection.execute("SET work_mem = '512MB'")
            with connection.transaction():
                connection.execute("SET LOCAL session_replication_role = replica")
                for statement in script.strip().rstrip(";").split(";\n"):
                    connection.execute(statement, {"parties": PARTIES, **values})
            for table in ("transfer", "entry", "account"):
                connection.execute(
                    sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(f"ledger_{table}"))
                )
            connection.execute("CHECKPOINT")

    def size_bytes(self) -> int:
        """What transfers and entries take, tables and indexes."""
        with self.connect() as connection:
            row = connection.execute(
                "SELECT pg_total_relation_size('ledger_transfer')"
                " + pg_total_relation_size('ledger_entry')"
            ).fetchone()
        assert row is not None
        return int(row[0])

    def pgbench(self, bench: PgBench) -> PgBench:
        """``bench``'s pgbench on these books, as the application's role."""
        return bench.on(self.env["DATABASE_URL"])


SINGLE_SQL = f"""
\\set buyer random(1, {PARTIES})
\\set provider random(1, {PARTIES})
\\set amount random(1, 1000000)
SELECT ledger_post_pair(uuidv7(), 'charge.usage', '00000000-0000-0000-0000-000000000001', now(),
    lpad(to_hex({BUYERS} + :buyer), 32, '0')::uuid, 'available', '{REGION}', 'CNY',
    lpad(to_hex({PROVIDERS} + :provider), 32, '0')::uuid, 'payable', '{REGION}', 'CNY',
    :amount, now());
"""


def script_file(folder: Path, text: str) -> Path:
    """A file for pgbench with this script."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "single_transfer.sql"
    path.write_text(text)
    return path
