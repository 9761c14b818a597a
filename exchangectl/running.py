"""A whole exchange on this machine: servers, web, workers and beat, as one thing to start and stop.

``make run``, the demonstration and the tests all start it here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import psycopg
import redis
from psycopg.conninfo import conninfo_to_dict

from exchangectl import programs
from exchangectl.preparing import ROOT, choose_broker, choose_database, manage, prepare, secrets_for
from exchangectl.process import (
    Child,
    StartError,
    claim_port,
    free_port,
    started_at_ticks,
    wait_until,
)
from exchangectl.servers import (
    PostgreSQL,
    Valkey,
    keep_port,
)

# The order in which an exchange stops, and who may stop at once: nobody is cut off from a server
# that it still needs.
_STOP_STAGES: Final = (("web",), ("beat", "general", "matcher"), ("valkey",), ("postgres",))
_SERVERS: Final = ("valkey", "postgres")
_REVIVE_PAUSE_S: Final = 1.0


def _quiet(_line: str) -> None:
    return None


class AlreadyRunning(StartError):
    """Another supervisor holds the data folder."""


@dataclass
class Running:
    """A running exchange; ``env`` is what its processes see, ``owner_env`` adds the owner's."""

    data_dir: Path
    base_url: str
    env: dict[str, str]
    owner_env: dict[str, str]
    children: dict[str, Child]
    postgres: PostgreSQL | None
    valkey: Valkey | None
    _lock: IO[str]
    _port_claim: socket.socket
    _stopped: bool = False
    _restarts: dict[str, list[float]] = field(default_factory=dict)

    @property
    def database_url(self) -> str:
        """The database's address for the app role."""
        return self.env["DATABASE_URL"]

    @property
    def database_owner_url(self) -> str:
        """The database's address for the owner of its tables."""
        return self.owner_env["DATABASE_OWNER_URL"]

    @property
    def redis_url(self) -> str:
        """The address of Valkey (or Redis)."""
        return self.env["REDIS_URL"]

    def connect(self, *, owner: bool = False) -> psycopg.Connection:
        """A psycopg connection in autocommit mode, as the app role or the owner."""
        url = self.database_owner_url if owner else self.database_url
        return psycopg.connect(url, autocommit=True)

    def redis(self) -> redis.Redis:
        """A client of the exchange's Valkey (or Redis)."""
        return redis.Redis.from_url(self.redis_url)

    def manage(self, *arguments: str, owner: bool = False, check: bool = True) -> str:
        """Run ``manage.py`` with the exchange's environment; what it printed.

        ``StartError`` with the output when it fails and ``check`` is set.
        """
        return manage(*arguments, env=self.owner_env if owner else self.env, check=check)

    def kill(self, name: str) -> None:
        """``kill -9`` of ``name`` ("web", "matcher", "general", "beat") and all that it forked."""
        self.children[name].kill()

    def forked(self, name: str) -> list[int]:
        """The processes that ``name`` forked: Celery's pool, granian's workers."""
        return forked_by(self.children[name].pid)

    def kill_forked(self, name: str) -> int:
        """``kill -9`` of what ``name`` forked (Celery's pool), not of itself; how many died."""
        killed = 0
        for pid in self.forked(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        return killed

    def start(self, name: str) -> None:
        """Start ``name`` (after ``kill``) and wait until it is ready."""
        child = self.children[name]
        child.start()
        _await_ready(child, self.base_url)
        self._write_run_file()

    def restart(self, name: str) -> None:
        """Stop ``name`` in good order, start it, wait until it is ready."""
        self.children[name].stop()
        self.start(name)

    def restart_valkey(self, *, kill: bool = False, lose_data: bool = False) -> None:
        """Restart the embedded Valkey: stopped or killed, with what it kept or without."""
        if self.valkey is None:
            raise StartError("this exchange runs on a Redis that it did not start")
        if lose_data:
            with self.redis() as client:
                client.flushall()
        if kill:
            self.valkey.child.kill()
        else:
            self.valkey.stop()
        self.valkey.start()

    def revive(self, say: Callable[[str], None] = _quiet) -> None:
        """Start again whatever died by itself; call it regularly. Gives up on what keeps dying."""
        for name, child in self.children.items():
            if child.alive:
                continue
            status = child.process.returncode if child.process else None
            recent = [at for at in self._restarts.get(name, []) if at > time.monotonic() - 60]
            if len(recent) >= 5:
                raise StartError(
                    f"{name} ended five times within a minute, last with status {status}; "
                    f"{child.log_path} ends with:\n{child.log_tail()}"
                )
            self._restarts[name] = [*recent, time.monotonic()]
            say(f"{name} ended with status {status}: starting it again ({child.log_path})")
            time.sleep(_REVIVE_PAUSE_S if recent else 0)
            child.start()
            self._write_run_file()

    def stop(self, say: Callable[[str], None] = _quiet) -> None:
        """Stop web, beat and workers, then the servers that were started here. Idempotent."""
        if self._stopped:
            return
        self._stopped = True
        _stop(self.children, say)
        (self.data_dir / "run.json").unlink(missing_ok=True)
        self._port_claim.close()
        _let_go(self._lock)

    def _write_run_file(self) -> None:
        """Who runs, so that a next start can clear away what a crash left, and `stop` find it."""
        children = {
            name: (child.pid, started_at_ticks(child.pid))
            for name, child in self.children.items()
            if child.pid is not None
        }
        state = {
            "supervisor": os.getpid(),
            "base_url": self.base_url,
            "database": conninfo_to_dict(self.database_url)["dbname"],
            "children": children,
        }
        partial = self.data_dir / "run.json.new"
        partial.write_text(json.dumps(state, indent=1))
        partial.replace(self.data_dir / "run.json")


def start_exchange(
    data_dir: Path,
    *,
    clock: str | None = None,
    port: int | None = None,
    database: str = "exchange",
    fresh: bool = False,
    database_url: str | None = None,
    database_owner_url: str | None = None,
    redis_url: str | None = None,
    valkey: Valkey | None = None,
    migrate: bool = True,
    web_workers: int | None = None,
    web_threads: int | None = None,
    general_concurrency: int = 2,
    extra_env: Mapping[str, str] | None = None,
    say: Callable[[str], None] = _quiet,
) -> Running:
    """Start a whole exchange and return when it answers.

    ``data_dir`` holds everything that lasts. ``clock`` is an ``EXCHANGE_CLOCK`` for a compressed
    day. The servers are those of ``database_url`` and ``redis_url``, else those of the environment
    (``DATABASE_URL``, ``DATABASE_OWNER_URL``, ``REDIS_URL``), else embedded ones, where
    ``database`` names the database and ``fresh`` empties it (and Valkey) first. ``valkey`` is one
    that the caller started and stops. ``say`` gets a line for each step.

    Raises ``AlreadyRunning`` when the folder is in use and ``StartError`` when a process does not
    come up; whatever had been started is stopped again. Call it from a thread that lives on: the
    processes end with it.
    """
    data_dir = data_dir.resolve()
    lock = _lock(data_dir)
    started: dict[str, Child] = {}
    claim: socket.socket | None = None
    try:
        _clear_away_leftovers(data_dir, say)
        url, owner_url, postgres = choose_database(
            data_dir,
            database=database,
            fresh=fresh,
            url=database_url,
            owner_url=database_owner_url,
            started=started,
            say=say,
        )
        broker_url, own_valkey = choose_broker(
            data_dir, fresh=fresh, url=redis_url, valkey=valkey, started=started, say=say
        )
        env = _environment(
            data_dir,
            url=url,
            broker_url=broker_url,
            clock=clock,
            web_threads=web_threads,
            extra=extra_env or {},
        )
        owner_env = {**env, "DATABASE_OWNER_URL": owner_url}
        prepare(owner_env, migrate=migrate, say=say)
        port, claim = _choose_web_port(data_dir, port)
        running = Running(
            data_dir=data_dir,
            base_url=f"http://127.0.0.1:{port}",
            env=env,
            owner_env=owner_env,
            children=started,
            postgres=postgres,
            valkey=own_valkey,
            _lock=lock,
            _port_claim=claim,
        )
        workers = web_workers or int(os.environ.get("WEB_WORKERS", "2"))
        say("starting web, workers and beat")
        for child in _processes(data_dir, env, port, workers, general_concurrency):
            started[child.name] = child
            child.start()
        running._write_run_file()
        for name in programs.PROGRAMS:
            _await_ready(started[name], running.base_url)
    except BaseException:
        _stop(started, _quiet)
        (data_dir / "run.json").unlink(missing_ok=True)
        if claim is not None:
            claim.close()
        _let_go(lock)
        raise
    return running


def _choose_web_port(data_dir: Path, port: int | None) -> tuple[int, socket.socket]:
    """The port asked for or kept for this folder, where it is free; else another that is."""
    wanted = keep_port(data_dir, "web", 8000) if port is None else free_port(port)
    try:
        return wanted, claim_port(wanted)
    except StartError:
        other = free_port()
        return other, claim_port(other)


def _stop(children: Mapping[str, Child], say: Callable[[str], None]) -> None:
    for stage in _STOP_STAGES:
        present = [children[name] for name in stage if name in children]
        if not present:
            continue
        say(f"stopping {', '.join(child.name for child in present)}")
        for child in present:
            child.ask_to_stop()
        for child in present:
            child.stop()


def _environment(
    data_dir: Path,
    *,
    url: str,
    broker_url: str,
    clock: str | None,
    web_threads: int | None,
    extra: Mapping[str, str],
) -> dict[str, str]:
    """What web, workers and beat see: the app role's address, never the owner's."""
    env = {
        **os.environ,
        **secrets_for(data_dir),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": url,
        "REDIS_URL": broker_url,
        "STATIC_ROOT": os.environ.get("STATIC_ROOT", str(ROOT / "var" / "static")),
        "PYTHONUNBUFFERED": "1",
        **extra,
    }
    for name in ("DATABASE_OWNER_URL", "DATABASE_ADMIN_URL", "EXCHANGE_CLOCK"):
        env.pop(name, None)
    if clock:
        env["EXCHANGE_CLOCK"] = clock
    if web_threads:
        env["WEB_THREADS"] = str(web_threads)
    return env


def _lock(data_dir: Path) -> IO[str]:
    """Hold ``data_dir`` for this process, whose name the file then has.

    The kernel lets go of it whatever happens.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    file = (data_dir / "exchange.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        state = read_run_file(data_dir)
        where = f" at {state['base_url']}, process {state['supervisor']}" if state else ""
        raise AlreadyRunning(
            f"an exchange already runs in {data_dir}{where}: stop it first "
            "(Ctrl-C in its terminal, or `make stop`)"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()} {started_at_ticks(os.getpid())}")
    file.flush()
    return file


def _let_go(lock: IO[str]) -> None:
    lock.truncate(0)
    lock.close()


def supervisor_of(data_dir: Path) -> tuple[int, int] | None:
    """Who holds ``data_dir``, from the first step of its start on: pid, and when it was started."""
    try:
        pid, ticks = (int(word) for word in (data_dir / "exchange.lock").read_text().split())
    except (OSError, ValueError):
        return None
    return (pid, ticks) if started_at_ticks(pid) == ticks else None


def read_run_file(data_dir: Path) -> dict | None:
    """What ``run.json`` says of the exchange in ``data_dir``; ``None`` when there is none."""
    try:
        state: dict = json.loads((data_dir / "run.json").read_text())
    except (OSError, ValueError):
        return None
    return state


def _clear_away_leftovers(data_dir: Path, say: Callable[[str], None]) -> None:
    """End what a killed supervisor may have left behind (the kernel ends nearly all of it)."""
    state = read_run_file(data_dir)
    if state is None:
        return
    say("the last run did not end in good order: recovering")
    for name in (name for stage in _STOP_STAGES for name in stage):
        pid, ticks = state["children"].get(name, (None, None))
        if pid is None or started_at_ticks(pid) != ticks:
            continue
        with contextlib.suppress(ProcessLookupError):
            if name in _SERVERS:
                os.kill(pid, signal.SIGINT if name == "postgres" else signal.SIGTERM)
            else:
                os.killpg(pid, signal.SIGKILL)
        _wait_for_end(name, pid, ticks)
    (data_dir / "run.json").unlink(missing_ok=True)


def _wait_for_end(name: str, pid: int, ticks: int) -> None:
    wait_until(
        lambda: started_at_ticks(pid) != ticks,
        timeout_s=60,
        what=f"{name} (process {pid}) of the last run did not end",
    )


def _processes(
    data_dir: Path, env: Mapping[str, str], port: int, web_workers: int, general_concurrency: int
) -> Iterable[Child]:
    """Web, the two workers and beat."""
    schedule = data_dir / "beat" / "schedule"
    schedule.parent.mkdir(exist_ok=True)
    for name in programs.PROGRAMS:
        yield Child(
            name=name,
            command=programs.command(
                name,
                port=port,
                web_workers=web_workers,
                web_threads=int(env.get("WEB_THREADS", "4")),
                general_concurrency=general_concurrency,
                beat_schedule=schedule,
            ),
            log_path=data_dir / "log" / f"{name}.log",
            env={**env, "EXCHANGE_READY_FILE": str(data_dir / f"{name}.ready")},
            cwd=ROOT,
            # Orphaned, web ends its own processes first. A worker and beat go at once: they would
            # otherwise wait for servers that are going too.
            death_signal=signal.SIGTERM if name == "web" else signal.SIGKILL,
        )


def _await_ready(child: Child, base_url: str) -> None:
    """Web answers ``/readyz``; workers and beat leave their ready file (newer than their start)."""
    if child.name == "web":
        child.wait_until(lambda: _web_answers(child, f"{base_url}/readyz"), timeout_s=120)
        return
    ready_file = Path(child.env["EXCHANGE_READY_FILE"])
    child.wait_until(
        lambda: ready_file.exists() and ready_file.read_text() == str(child.pid), timeout_s=120
    )


def _web_answers(web: Child, url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own address
            return bool(response.status == 200)
    except urllib.error.HTTPError as error:
        if error.code == 500:  # broken code or configuration: waiting would not mend it
            raise StartError(
                f"web answers 500; {web.log_path} ends with:\n{web.log_tail()}"
            ) from error
        return False
    except (urllib.error.URLError, OSError):
        return False


def forked_by(pid: int | None) -> list[int]:
    """The direct children of ``pid``."""
    if pid is None:
        return []
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found.extend(int(child) for child in (task / "children").read_text().split())
    return found
