"""The programs of an exchange: how each is called, and how it is asked whether it is well.

``python -m exchangectl.programs web`` becomes that program (the image's entry point);
``python -m exchangectl.programs healthy web`` ends with 0 if it works (the image's health check).
``make run`` calls the same programs.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from exchangectl.preparing import ROOT, manage

PROGRAMS: Final = ("web", "matcher", "general", "beat")
_CELERY: Final = (sys.executable, "-m", "celery", "-A", "config")
# Beat writes its schedule every three minutes; three of them missed means that it stands still.
_BEAT_SILENCE_S: Final = 600


def command(
    name: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    web_workers: int = 2,
    web_threads: int = 4,
    general_concurrency: int = 2,
    beat_schedule: Path = Path("/tmp/beat-schedule"),  # noqa: S108 - the image's own /tmp
) -> list[str]:
    """The command line of ``name``."""
    if name == "web":
        return [
            *(sys.executable, "-m", "granian", "--interface", "wsgi", "--http", "1", "--no-ws"),
            *("--host", host, "--port", str(port), "--workers", str(web_workers)),
            *("--blocking-threads", str(web_threads), "--workers-kill-timeout", "5"),
            *("--respawn-failed-workers", "--log-level", "warning", "config.wsgi:application"),
        ]
    if name == "matcher":
        return _worker("matcher", "market", 1)
    if name == "general":
        return _worker("general", "default,sweeps", general_concurrency)
    if name == "beat":
        schedule = str(beat_schedule)
        return [*_CELERY, "beat", "-l", "INFO", "--pidfile=", "--schedule", schedule]
    raise ValueError(f"no program {name!r}: it is one of {', '.join(PROGRAMS)}")


def _worker(name: str, queues: str, concurrency: int) -> list[str]:
    return [
        *(*_CELERY, "worker", "-n", f"{name}@%h", "-Q", queues, "-c", str(concurrency)),
        *("-l", "INFO", "--without-gossip", "--without-mingle"),
    ]


def main(arguments: list[str]) -> int:
    """Become a program, migrate, run a management command, or say whether a program is well."""
    match arguments:
        case ["migrate"]:
            _migrate()
            return 0
        case ["manage", *rest]:
            _become([sys.executable, "manage.py", *rest])
        case ["healthy", name] if name in PROGRAMS:
            return 0 if _healthy(name) else 1
        case [name] if name in PROGRAMS:
            _become(
                command(
                    name,
                    host=os.environ.get("WEB_HOST", "0.0.0.0"),  # noqa: S104 - inside a container
                    port=int(os.environ.get("PORT", "8000")),
                    web_workers=int(os.environ.get("WEB_WORKERS", "2")),
                    web_threads=int(os.environ.get("WEB_THREADS", "4")),
                    general_concurrency=int(os.environ.get("GENERAL_CONCURRENCY", "2")),
                    beat_schedule=_schedule(),
                )
            )
        case _:
            programs = " | ".join(PROGRAMS)
            print(f"usage: {programs} | migrate | manage <command> | healthy <program>")
    return 2


def _become(line: list[str]) -> None:
    os.chdir(ROOT)
    os.execv(line[0], line)  # noqa: S606 - a program of ours, by its full path


def _migrate() -> None:
    """Apply migrations as the owner, then grant the app role its rights."""
    owner_url = os.environ.get("DATABASE_OWNER_URL") or os.environ["DATABASE_URL"]
    env = {**os.environ, "DATABASE_OWNER_URL": owner_url}
    print(manage("migrate", "--no-input", "--skip-checks", env={**env, "DATABASE_URL": owner_url}))
    print(manage("grant_app_role", env=env), end="")


def _schedule() -> Path:
    return Path(os.environ.get("BEAT_SCHEDULE_FILE", "/tmp/beat-schedule"))  # noqa: S108


def _healthy(name: str) -> bool:
    if name == "web":
        return _web_is_ready()
    if name == "beat":
        # shelve adds a suffix of its own on some platforms.
        files = list(_schedule().parent.glob(f"{_schedule().name}*"))
        return any(file.stat().st_mtime > time.time() - _BEAT_SILENCE_S for file in files)
    node = f"{name}@{socket.gethostname()}"
    ping = [*_CELERY, "inspect", "ping", "-d", node, "-t", "5"]
    return subprocess.run(ping, cwd=ROOT, capture_output=True, check=False).returncode == 0


def _web_is_ready() -> bool:
    host = os.environ.get("ALLOWED_HOSTS", "127.0.0.1").split(",")[0].lstrip(".")
    request = urllib.request.Request(
        f"http://127.0.0.1:{os.environ.get('PORT', '8000')}/readyz",
        headers={"Host": "127.0.0.1" if host in {"", "*"} else host},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
