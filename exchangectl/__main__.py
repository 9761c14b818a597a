"""``python -m exchangectl``: run an exchange on this machine, and what goes with it.

run      servers, migrations, web, workers and beat, until Ctrl-C
stop     end a `run`, and a demonstration, that go on in other terminals
status   what runs, and where
psql     a session in the running exchange's database (as its owner with --owner)
manage   one of manage.py's commands, with the running exchange's environment
servers  PostgreSQL and Valkey alone, until Ctrl-C; prints the environment to use them

Exit status: 0 done, 1 something failed (and says what), 2 wrong use.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

from exchangectl.preparing import DEMONSTRATION, ROOT, VAR
from exchangectl.process import StartError, started_at_ticks, wait_until
from exchangectl.running import read_run_file, start_exchange, supervisor_of
from exchangectl.servers import APP_ROLE, OWNER_ROLE, PostgreSQL, Valkey, load_secrets


def main() -> int:
    """Run one command; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m exchangectl",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=VAR,
        help="where everything that lasts is kept (default: var)",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--port", type=int, default=None)
    commands.add_parser("stop")
    commands.add_parser("status")
    psql = commands.add_parser("psql")
    psql.add_argument("--owner", action="store_true")
    psql.add_argument("arguments", nargs=argparse.REMAINDER)
    manage = commands.add_parser("manage")
    manage.add_argument("--owner", action="store_true")
    manage.add_argument("arguments", nargs=argparse.REMAINDER)
    commands.add_parser("servers")
    options = parser.parse_args()
    # SIGINT too: a shell starts what it puts into the background with it ignored.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        return {
            "run": _run,
            "stop": _stop,
            "status": _status,
            "psql": _psql,
            "manage": _manage,
            "servers": _servers,
        }[options.command](options)
    except StartError as error:
        _say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _say(line: str) -> None:
    print(line, flush=True)


def _run(options: argparse.Namespace) -> int:
    begun = time.monotonic()
    running = start_exchange(options.data_dir, port=options.port, say=_say)
    try:
        _say(
            f"up in {time.monotonic() - begun:.1f} s: {running.base_url}/console/ "
            f"(API: {running.base_url}/api/v1/docs); logs in {running.data_dir / 'log'}; "
            "Ctrl-C stops everything"
        )
        while True:
            time.sleep(1)
            running.revive(_say)
    except KeyboardInterrupt:
        return 0
    finally:
        # A second Ctrl-C must not leave half of it running; every stop has a limit in time.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        running.stop(_say)
        _say("stopped")


def _stop(options: argparse.Namespace) -> int:
    found = {
        folder: supervisor
        for folder in _folders(options)
        if (supervisor := supervisor_of(folder)) is not None
    }
    if not found:
        _say("nothing runs")
        return 0
    for pid, _ in found.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    for folder, supervisor in found.items():
        _wait_for_end(*supervisor)
        _say("stopped" if folder == options.data_dir else f"stopped what ran in {folder}")
    return 0


def _wait_for_end(pid: int, ticks: int) -> None:
    wait_until(
        lambda: started_at_ticks(pid) != ticks,
        timeout_s=120,
        what=f"process {pid} did not end",
    )


def _status(options: argparse.Namespace) -> int:
    running = [folder for folder in _folders(options) if supervisor_of(folder) is not None]
    for folder in running:
        state = read_run_file(folder)
        if state is None:
            _say(f"{folder} is starting")
            continue
        _say(f"{state['base_url']} (process {state['supervisor']})")
        for name, (pid, ticks) in state["children"].items():
            _say(f"  {name:<10} {pid:<8} {'runs' if started_at_ticks(pid) == ticks else 'ended'}")
    if not running:
        _say("nothing runs")
    return 0 if running else 1


def _folders(options: argparse.Namespace) -> tuple[Path, Path]:
    """Where an exchange may run: the folder itself, and the demonstration's in it."""
    return options.data_dir, options.data_dir / DEMONSTRATION


def _environment(data_dir: Path, *, owner: bool) -> dict[str, str]:
    """The environment of the exchange in ``data_dir``, whose servers must run."""
    if "DATABASE_URL" in os.environ:
        url = os.environ["DATABASE_URL"]
        owner_url = os.environ.get("DATABASE_OWNER_URL", url)
        broker_url = os.environ.get("REDIS_URL", "")
    else:
        postgres = PostgreSQL.known(data_dir)
        database = (read_run_file(data_dir) or {}).get("database", "exchange")
        url, owner_url = (postgres.url(role, database) for role in (APP_ROLE, OWNER_ROLE))
        broker_url = os.environ.get("REDIS_URL") or Valkey.known(data_dir).url
    secrets = load_secrets(data_dir)
    return {
        "SECRET_KEY": secrets["secret_key"],
        "FIELD_ENCRYPTION_KEYS": secrets["field_encryption_keys"],
        **os.environ,
        "DATABASE_URL": owner_url if owner else url,
        "DATABASE_OWNER_URL": owner_url,
        "REDIS_URL": broker_url,
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }


def _psql(options: argparse.Namespace) -> int:
    env = _environment(options.data_dir, owner=options.owner)
    psql = PostgreSQL.known(options.data_dir).footing.bin_dir / "psql"
    return subprocess.call([str(psql), env["DATABASE_URL"], *options.arguments])


def _manage(options: argparse.Namespace) -> int:
    env = _environment(options.data_dir, owner=options.owner)
    return subprocess.call([sys.executable, "manage.py", *options.arguments], cwd=ROOT, env=env)


def _servers(options: argparse.Namespace) -> int:
    postgres, valkey = PostgreSQL(options.data_dir), Valkey(options.data_dir)
    try:
        postgres.start()
        valkey.start()
        postgres.ensure_database("exchange")
        secrets = load_secrets(options.data_dir)
        for name, value in {
            "DATABASE_URL": postgres.url(APP_ROLE, "exchange"),
            "DATABASE_OWNER_URL": postgres.url(OWNER_ROLE, "exchange"),
            "DATABASE_ADMIN_URL": postgres.admin_url,
            "REDIS_URL": valkey.url,
            "SECRET_KEY": secrets["secret_key"],
            "FIELD_ENCRYPTION_KEYS": secrets["field_encryption_keys"],
        }.items():
            _say(f"export {name}='{value}'")
        threading.Event().wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        valkey.stop()
        postgres.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
