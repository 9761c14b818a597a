"""Child processes that never outlive whoever started them.

Each child leads a process group of its own: Ctrl-C in a terminal reaches only the supervisor, which
then stops its children in order. ``PR_SET_PDEATHSIG`` covers the case in which the supervisor
itself is killed: the kernel then signals the child. It does so when the *thread* that started the
child ends, so children are to be started from a thread that lives as long as they should.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LOG_KEPT_BYTES: Final = 20 * 1024 * 1024


class StartError(Exception):
    """A process did not come up; the message says which, why and where its log is."""


def die_with_parent(death_signal: int, parent_pid: int | None = None) -> None:
    """Ask the kernel to send ``death_signal`` to this process when its parent ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if parent_pid is not None and os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGKILL)


def free_port(preferred: int | None = None) -> int:
    """``preferred`` if nobody listens there on loopback, else a port that the system picks."""
    for candidate in (preferred or 0, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", candidate))
                return int(probe.getsockname()[1])
    raise StartError("no free port on 127.0.0.1")


def claim_port(port: int) -> socket.socket:
    """Claim a port among all exchanges of this machine, until the answer is closed or we end.

    The web server shares its port among its processes (``SO_REUSEPORT``), so the kernel would let
    a second exchange share it too, and each would get half of the other's requests. ``StartError``
    where another exchange has the claim.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        # An abstract name: no file is left behind, whatever becomes of this process.
        claim.bind(f"\0compute-exchange-web-{port}")
    except OSError as error:
        claim.close()
        raise StartError(f"port {port} belongs to another exchange that is starting") from error
    return claim


def wait_until(
    ready: Callable[[], bool], *, timeout_s: float, what: str, interval_s: float = 0.05
) -> None:
    """Poll ``ready`` until it is true; ``StartError`` names ``what`` after ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if time.monotonic() > deadline:
            raise StartError(f"{what} within {timeout_s:.0f} seconds")
        time.sleep(interval_s)


def started_at_ticks(pid: int) -> int | None:
    """When ``pid`` was started, in clock ticks since boot; ``None`` if there is no such process.

    A pid alone may have been given to another process since; the pair names one process for good.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *rest = stat.rpartition(")")[2].split()
    return None if state == "Z" else int(rest[18])


@dataclass
class Child:
    """One process: how it is started, and how it is asked to stop."""

    name: str
    command: Sequence[str]
    log_path: Path
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path | None = None
    stop_signal: int = signal.SIGTERM
    # What the kernel sends when the supervisor is killed.
    death_signal: int = signal.SIGTERM
    stop_timeout_s: float = 15.0
    # (uid, gid) to run as; None keeps the caller's.
    run_as: tuple[int, int] | None = None
    process: subprocess.Popen[bytes] | None = None
    _asked: bool = False

    def start(self) -> None:
        """Start the process; its output is appended to ``log_path``."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        if self.log_path.exists() and self.log_path.stat().st_size > _LOG_KEPT_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        self._asked = False
        parent_pid, death_signal = os.getpid(), self.death_signal
        user, group = self.run_as or (None, None)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.env),
                cwd=self.cwd,
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=[] if self.run_as else None,
                preexec_fn=lambda: die_with_parent(death_signal, parent_pid),
            )

    @property
    def pid(self) -> int | None:
        """The pid while the process runs, else ``None``."""
        return self.process.pid if self.process and self.process.poll() is None else None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.pid is not None

    def ask_to_stop(self) -> None:
        """Send the stop signal, once: Celery takes a second one for impatience."""
        if self.process is not None and self.alive and not self._asked:
            self._asked = True
            self.process.send_signal(self.stop_signal)

    def stop(self) -> int | None:
        """Ask the process to stop, wait, and kill what is left of its group; the exit status."""
        if self.process is None:
            return None
        self.ask_to_stop()
        if self.alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(self.stop_timeout_s)
        return self.kill()

    def kill(self) -> int | None:
        """``kill -9`` of the process and of everything in its group."""
        if self.process is None:
            return None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()

    def restart(self) -> None:
        """Stop the process (if it runs) and start it again."""
        self.stop()
        self.start()

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> None:
        """Poll ``ready``; ``StartError`` with the log's end when the process ends before."""

        def ready_or_dead() -> bool:
            if not self.alive:
                status = self.process.returncode if self.process else None
                raise StartError(
                    f"{self.name} ended with status {status}; {self.log_path} ends with:\n"
                    f"{self.log_tail()}"
                )
            return ready()

        try:
            wait_until(ready_or_dead, timeout_s=timeout_s, what=f"{self.name} was not ready")
        except StartError as error:
            ended = not self.alive
            self.kill()
            if ended:
                raise
            raise StartError(f"{error}; {self.log_path} ends with:\n{self.log_tail()}") from error

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of the log."""
        try:
            text = self.log_path.read_text(errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])
