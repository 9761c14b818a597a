"""What an exchange needs before its processes start: servers, secrets, tables, static files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import psycopg
import redis

from exchangectl.process import Child, StartError
from exchangectl.servers import APP_ROLE, OWNER_ROLE, PostgreSQL, Valkey, load_secrets

ROOT: Final = Path(__file__).resolve().parent.parent
# Where everything that lasts is kept, and the folder in it that `make demo` has to itself.
VAR: Final = Path(os.environ.get("EXCHANGE_VAR", ROOT / "var"))
DEMONSTRATION: Final = "demo"
_COLLECTED: Final = ".collected"


def choose_database(
    data_dir: Path,
    *,
    database: str,
    fresh: bool,
    url: str | None,
    owner_url: str | None,
    started: dict[str, Child],
    say: Callable[[str], None],
) -> tuple[str, str, PostgreSQL | None]:
    """The app's and the owner's address, and the server if it is an embedded one."""
    if url is None:
        url = os.environ.get("DATABASE_URL")
        owner_url = owner_url or os.environ.get("DATABASE_OWNER_URL")
    if url is not None:
        owner_url = owner_url or url
        if fresh:
            _require_empty(owner_url)
        return url, owner_url, None
    say("starting PostgreSQL")
    postgres = PostgreSQL(data_dir)
    started["postgres"] = postgres.child
    postgres.start()
    if fresh:
        postgres.drop_database(database)
    postgres.ensure_database(database)
    return postgres.url(APP_ROLE, database), postgres.url(OWNER_ROLE, database), postgres


def _require_empty(owner_url: str) -> None:
    """A database of somebody's own is never emptied by us."""
    with psycopg.connect(owner_url) as connection:
        found = connection.execute("SELECT to_regclass('accounts_user')").fetchone()
    if found != (None,):
        raise StartError(
            "the database of DATABASE_URL already holds an exchange, and is not emptied without "
            "asking: name an empty one, or unset DATABASE_URL to use the embedded server"
        )


def choose_broker(
    data_dir: Path,
    *,
    fresh: bool,
    url: str | None,
    valkey: Valkey | None,
    started: dict[str, Child],
    say: Callable[[str], None],
) -> tuple[str, Valkey | None]:
    if valkey is not None:
        return valkey.url, valkey
    url = url or os.environ.get("REDIS_URL")
    if url is not None:
        return url, None
    say("starting Valkey")
    valkey = Valkey(data_dir)
    started["valkey"] = valkey.child
    valkey.start()
    if fresh:
        with redis.Redis.from_url(valkey.url) as client:
            client.flushall()
    return valkey.url, valkey


def secrets_for(data_dir: Path) -> dict[str, str]:
    """The environment's own secrets where they are set, else those of the data folder."""
    kept = load_secrets(data_dir)
    return {
        name: os.environ.get(name) or kept[name.lower()]
        for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS")
    }


def prepare(owner_env: Mapping[str, str], *, migrate: bool, say: Callable[[str], None]) -> None:
    """Migrate as the owner and grant the app role its rights; collect static files meanwhile."""
    static_root = Path(owner_env["STATIC_ROOT"])
    collect = None
    if not _collected_since_last_change(static_root):
        collect = subprocess.Popen(
            [sys.executable, "manage.py", "collectstatic", "--no-input", "-v0"],
            cwd=ROOT,
            env=dict(owner_env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        if migrate:
            say("applying migrations")
            as_owner = {**owner_env, "DATABASE_URL": owner_env["DATABASE_OWNER_URL"]}
            manage("migrate", "-v0", "--no-input", "--skip-checks", env=as_owner)
            manage("grant_app_role", env=owner_env)
    finally:
        output = collect.communicate()[0] if collect else ""
    if collect:
        if collect.returncode != 0:
            raise StartError(f"collectstatic failed:\n{output}")
        (static_root / _COLLECTED).touch()


def _collected_since_last_change(static_root: Path) -> bool:
    """Whether no static file, package or setting is newer than the last ``collectstatic``."""
    try:
        collected_at = (static_root / _COLLECTED).stat().st_mtime
    except FileNotFoundError:
        return False
    packages = Path(sys.prefix) / ".installed"
    sources = [*ROOT.glob("*/static/**/*"), ROOT / "config" / "settings.py", packages]
    return all(not path.exists() or path.stat().st_mtime < collected_at for path in sources)


def manage(*arguments: str, env: Mapping[str, str], check: bool = True) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**env, "DATABASE_POOL": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode != 0:
        raise StartError(f"manage.py {arguments[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr
