"""The supervisor: everything starts, everything stops, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from exchangectl.process import Child, StartError, free_port, started_at_ticks, wait_until
from exchangectl.servers import (
    APP_ROLE,
    NOT_DURABLE,
    OWNER_ROLE,
    PostgreSQL,
    Valkey,
    keep_port,
    load_secrets,
)
from tests.databases import ROOT, clone

pytestmark = pytest.mark.servers


class Supervisor:
    """``python -m exchangectl run`` in a folder of its own, on a clone of the template."""

    def __init__(self, data_dir: Path, env: dict[str, str]) -> None:
        self.data_dir = data_dir
        self._env = env
        self.process: subprocess.Popen[str] | None = None

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "exchangectl", "--data-dir", str(self.data_dir), *arguments]

    def start(self) -> None:
        log = (self.data_dir / "terminal.log").open("w")
        self.process = subprocess.Popen(
            self.command("run"), cwd=ROOT, env=self._env, stdout=log, stderr=subprocess.STDOUT
        )
        wait_until(lambda: "up in" in self.terminal(), timeout_s=90, what="not up")

    def terminal(self) -> str:
        assert self.process is not None
        text = (self.data_dir / "terminal.log").read_text()
        if self.process.poll() is not None and "up in" not in text:
            pytest.fail(f"the supervisor ended with {self.process.returncode}:\n{text}")
        return text

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            env=self._env,
            capture_output=True,
            text=True,
            check=False,
        )

    def state(self) -> dict:
        return json.loads((self.data_dir / "run.json").read_text())

    def family(self) -> list[int]:
        """Every process that descends from the supervisor."""
        assert self.process is not None
        return descendants(self.process.pid)

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        # On a busy machine each program may take its whole time to stop, one stage after another.
        return self.process.wait(180)


def descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(folder.name))
    found, rest = [], [pid]
    while rest:
        children = parents.get(rest.pop(), [])
        found += children
        rest += children
    return found


def still_alive(family: dict[int, int | None]) -> list[int]:
    return [pid for pid, ticks in family.items() if started_at_ticks(pid) == ticks is not None]


def none_alive(family: dict[int, int | None]) -> Callable[[], bool]:
    return lambda: not still_alive(family)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """On the tests' PostgreSQL (a clone, no migration), with an embedded Valkey of its own."""
    database = clone("supervisor")
    env = {
        **os.environ,
        "DATABASE_URL": database.url,
        "DATABASE_OWNER_URL": database.owner_url,
        "WEB_WORKERS": "1",
    }
    env.pop("REDIS_URL")
    env.pop("DATABASE_ADMIN_URL")
    keep_port(tmp_path, "web", free_port())
    keep_port(tmp_path, "valkey", free_port())
    held = Supervisor(tmp_path, env)
    yield held
    if held.process and held.process.poll() is None:
        held.end(signal.SIGINT)
    database.drop()


def test_starts_answers_refuses_a_second_and_stops_on_ctrl_c(supervisor: Supervisor) -> None:
    supervisor.start()
    family = {pid: started_at_ticks(pid) for pid in supervisor.family()}
    state = supervisor.state()
    with urllib.request.urlopen(f"{state['base_url']}/readyz") as response:
        assert json.load(response) == {"status": "ok", "database": "ok", "broker": "ok"}
    assert set(state["children"]) == {"valkey", "web", "matcher", "general", "beat"}

    second = supervisor.call("run")
    assert second.returncode == 1
    assert "already runs" in second.stdout
    assert state["base_url"] in second.stdout
    assert supervisor.call("status").returncode == 0

    assert supervisor.end(signal.SIGINT) == 0
    assert still_alive(family) == []
    stopped = [
        line.removeprefix("stopping ")
        for line in supervisor.terminal().splitlines()
        if line.startswith("stopping ")
    ]
    assert stopped == ["web", "beat, general, matcher", "valkey"]
    assert not (supervisor.data_dir / "run.json").exists()


def test_a_killed_supervisor_leaves_no_orphan_and_the_next_start_recovers(
    supervisor: Supervisor,
) -> None:
    supervisor.start()
    before = supervisor.state()
    family = {pid: started_at_ticks(pid) for pid in supervisor.family()}
    assert len(family) >= 7  # Valkey, web and its process, two workers and theirs, beat
    supervisor.end(signal.SIGKILL)
    wait_until(none_alive(family), timeout_s=20, what=f"orphans: {still_alive(family)}")

    supervisor.start()
    assert "recovering" in supervisor.terminal()
    assert supervisor.state()["base_url"] == before["base_url"]
    # What dies by itself comes back by itself.
    pid, _ = supervisor.state()["children"]["beat"]
    os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: supervisor.state()["children"]["beat"][0] != pid, timeout_s=20, what="not revived"
    )
    stopped = supervisor.call("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "stopped\n")
    assert supervisor.process is not None
    assert supervisor.process.wait(10) == 0
    assert supervisor.call("status").returncode == 1


def test_stop_ends_a_demonstration_too_and_nobody_else(tmp_path: Path) -> None:
    holding = "import sys, time; from pathlib import Path; from exchangectl import running; "
    holding += "lock = running._lock(Path(sys.argv[1])); print('holds', flush=True); time.sleep(60)"
    held = {
        name: subprocess.Popen(
            [sys.executable, "-c", holding, str(tmp_path / name)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in (".", "demo", "other")
    }
    try:
        for process in held.values():
            assert process.stdout is not None
            assert process.stdout.readline() == "holds\n"
        (tmp_path / "run.json").write_text(json.dumps({"supervisor": held["other"].pid}))
        caller = Supervisor(tmp_path, dict(os.environ))
        stopped = caller.call("stop")
        assert stopped.stdout == f"stopped\nstopped what ran in {tmp_path / 'demo'}\n"
        assert [held[name].wait(10) for name in (".", "demo")] == [-signal.SIGTERM] * 2
        # The file still names who ended, and run.json somebody who has nothing to do with it.
        again = caller.call("stop")
        assert (again.returncode, again.stdout) == (0, "nothing runs\n")
        assert held["other"].poll() is None
    finally:
        for process in held.values():
            process.kill()
            process.wait()


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgreSQL]:
    keep_port(tmp_path, "postgres", free_port())
    server = PostgreSQL(tmp_path, settings=NOT_DURABLE)
    server.start()
    yield server
    server.stop()


def test_postgresql_keeps_its_data_and_port_through_kill_9(postgres: PostgreSQL) -> None:
    postgres.ensure_database("kept")
    postgres.ensure_database("kept")
    with psycopg.connect(postgres.url(OWNER_ROLE, "kept")) as connection:
        connection.execute("CREATE TABLE fact (x int)")
        connection.execute("INSERT INTO fact VALUES (42)")
    assert postgres.child.process is not None
    os.kill(postgres.child.process.pid, signal.SIGKILL)  # the postmaster alone: its children linger
    postgres.child.process.wait()
    begun = time.monotonic()
    postgres.start()
    assert time.monotonic() - begun < 20
    with psycopg.connect(postgres.url(OWNER_ROLE, "kept")) as connection:
        assert connection.execute("SELECT x FROM fact").fetchone() == (42,)
    again = PostgreSQL.known(postgres.data_dir)
    assert again.url(APP_ROLE, "kept") == postgres.url(APP_ROLE, "kept")


def test_the_app_role_owns_nothing_and_a_wrong_password_is_refused(postgres: PostgreSQL) -> None:
    postgres.ensure_database("mine")
    url = postgres.url(APP_ROLE, "mine")
    with (
        psycopg.connect(url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE TABLE x ()")
    wrong = url.replace(postgres.secrets["app"], "guess")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs to become nobody")
def test_root_without_user_namespaces_runs_postgresql_as_nobody(tmp_path: Path) -> None:
    keep_port(tmp_path, "postgres", free_port())
    server = PostgreSQL(tmp_path, settings=NOT_DURABLE, as_root="nobody")
    home = server.footing.postgres_dir.parent.parent
    try:
        server.start()
        assert server.child.pid is not None
        assert Path(f"/proc/{server.child.pid}").stat().st_uid == 65534
        server.stop()
    finally:
        subprocess.run(["rm", "-rf", str(home)], check=True)


def test_secrets_are_made_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    first = load_secrets(tmp_path)
    assert load_secrets(tmp_path) == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert len(set(first.values())) == len(first)


def test_valkey_needs_its_password_and_keeps_what_it_was_told(tmp_path: Path) -> None:
    import redis

    keep_port(tmp_path, "valkey", free_port())
    server = Valkey(tmp_path)
    server.start()
    try:
        redis.Redis.from_url(server.url).set("kept", "yes")
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=server.port).ping()
        assert server.stop() == 0
        server.start()
        assert redis.Redis.from_url(server.url).get("kept") == b"yes"
    finally:
        server.stop()


def test_a_process_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    child = Child("broken", ["/bin/sh", "-c", "echo no such thing; exit 3"], tmp_path / "b.log")
    child.start()
    with pytest.raises(StartError, match=r"broken ended with status 3(.|\n)*no such thing"):
        child.wait_until(lambda: False, timeout_s=5)


def test_a_process_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    script = "trap '' TERM; echo up; while :; do sleep 1; done"
    child = Child("deaf", ["/bin/sh", "-c", script], tmp_path / "deaf.log", stop_timeout_s=0.5)
    child.start()
    child.wait_until(lambda: "up" in child.log_tail(), timeout_s=5)
    assert child.stop() == -signal.SIGKILL
