"""The common reference: `pgbench -N` (simple update) on the very server that is measured."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from exchangectl.running import Running
from exchangectl.servers import OWNER_ROLE

DATABASE = "pgbench"
SCALE = 10


@dataclass(frozen=True)
class PgBench:
    """pgbench with a database of its own beside the exchange's."""

    binary: str
    env: dict[str, str]

    @classmethod
    def prepare(cls, exchange: Running) -> PgBench:
        """Make and fill the database. It needs the embedded server (it must make a database)."""
        server = exchange.postgres
        if server is None:
            raise SystemExit("the benchmark runs on the embedded server: unset DATABASE_URL")
        with psycopg.connect(server.admin_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE))
            )
        server.ensure_database(DATABASE)
        parts = conninfo_to_dict(server.url(OWNER_ROLE, DATABASE))
        env = {
            **os.environ,
            "PGHOST": str(parts["host"]),
            "PGPORT": str(parts["port"]),
            "PGUSER": str(parts["user"]),
            "PGPASSWORD": str(parts["password"]),
            "PGDATABASE": DATABASE,
        }
        found = Path(server.footing.bin_dir) / "pgbench"
        binary = str(found) if found.exists() else shutil.which("pgbench")
        if binary is None:
            raise SystemExit("no pgbench beside the server's binaries")
        bench = cls(binary, env)
        bench._run("-i", "-q", "-s", str(SCALE))
        return bench

    def simple_updates(self, *, seconds: int, clients: int) -> float:
        """Transactions per second of `pgbench -N`: three statements and a durable commit each."""
        return self._rate("-N", seconds=seconds, clients=clients)

    def on(self, url: str) -> PgBench:
        """The same pgbench, on another database and role of the server."""
        parts = conninfo_to_dict(url)
        return PgBench(
            self.binary,
            {
                **self.env,
                "PGUSER": str(parts["user"]),
                "PGPASSWORD": str(parts["password"]),
                "PGDATABASE": str(parts["dbname"]),
            },
        )

    def script(self, path: Path, *, seconds: int, clients: int) -> float:
        """Transactions per second of a script."""
        return self._rate("-f", str(path), seconds=seconds, clients=clients)

    def _rate(self, *what: str, seconds: int, clients: int) -> float:
        output = self._run(
            *(*what, "-n", "-T", str(seconds), "-c", str(clients), "-j", str(min(clients, 2))),
            *("-M", "prepared"),
        )
        found = re.search(r"tps = ([0-9.]+)", output)
        if found is None:
            raise SystemExit(f"pgbench said nothing that can be read:\n{output}")
        return float(found[1])

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [self.binary, *arguments], env=self.env, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"pgbench failed:\n{done.stderr}")
        return done.stdout
