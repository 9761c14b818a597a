"""``make check``: everything that can be said about the source without running the product.

Each step prints one line; a step that fails prints what its tool said.
"""

from __future__ import annotations

import argparse
import gettext
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchangectl.preparing import ROOT

SCHEMA: Final = ROOT / "openapi.yaml"
_BIN: Final = Path(sys.executable).parent
# The settings load, but no server is asked: these addresses lead nowhere on purpose.
_ENV: Final = {
    **os.environ,
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "SECRET_KEY": "checks-only",
    "FIELD_ENCRYPTION_KEYS": "k1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "DATABASE_URL": "postgresql://nobody:none@127.0.0.1:1/none",
    "DATABASE_OWNER_URL": "postgresql://nobody:none@127.0.0.1:1/none",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "DATABASE_POOL": "0",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended: its exit status and what there is to read about it."""

    ok: bool
    output: str = ""


def main() -> int:
    """Run all steps, two at a time; 1 if one fails."""
    parser = argparse.ArgumentParser(prog="python -m exchangectl.check", description=__doc__)
    parser.add_argument("--write-schema", action="store_true")
    parser.add_argument("--write-messages", action="store_true")
    options = parser.parse_args()
    if options.write_schema:
        return _say("openapi.yaml written", _make_schema(SCHEMA))
    if options.write_messages:
        return _say("catalogues written", _write_messages())
    steps: dict[str, Callable[[], Outcome]] = {
        "types (mypy)": lambda: _tool("mypy", "."),
        "format (ruff)": lambda: _tool("ruff", "format", "--check", "--quiet", "."),
        "lint (ruff)": lambda: _tool("ruff", "check", "--quiet", "."),
        "walls (import-linter)": lambda: _tool("lint-imports"),
        "dependencies (deptry)": lambda: _tool("deptry", "."),
        "Django's checks": lambda: _manage("check", "--fail-level", "WARNING"),
        "migrations in step": lambda: _manage("makemigrations", "--check", "--dry-run"),
        "schema in step": _schema_in_step,
        "catalogues in step": _catalogues_in_step,
    }
    begun = time.monotonic()
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        running = {name: pool.submit(_timed, step) for name, step in steps.items()}
        failed = [name for name, future in running.items() if _report(name, *future.result())]
    seconds = time.monotonic() - begun
    if failed:
        print(f"{len(failed)} of {len(steps)} checks failed in {seconds:.0f} s: {failed}")
        return 1
    print(f"{len(steps)} checks passed in {seconds:.0f} s")
    return 0


def _timed(step: Callable[[], Outcome]) -> tuple[Outcome, float]:
    begun = time.monotonic()
    return step(), time.monotonic() - begun


def _report(name: str, outcome: Outcome, seconds: float) -> bool:
    """Print a line (and, on failure, the output); whether it failed."""
    print(f"{'ok  ' if outcome.ok else 'FAIL'}  {name:<24} {seconds:5.1f} s", flush=True)
    if not outcome.ok:
        print(outcome.output.rstrip(), flush=True)
    elif outcome.output.startswith("skipped"):
        print(f"      {outcome.output}", flush=True)
    return not outcome.ok


def _say(done: str, outcome: Outcome) -> int:
    print(done if outcome.ok else outcome.output)
    return 0 if outcome.ok else 1


def _run(command: list[str]) -> Outcome:
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=_ENV,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(done.returncode == 0, done.stdout + done.stderr)


def _tool(name: str, *arguments: str) -> Outcome:
    return _run([str(_BIN / name), *arguments])


def _manage(*arguments: str) -> Outcome:
    # makemigrations warns that it cannot ask a database for its history; it is not to.
    return _run([sys.executable, "-W", "ignore::RuntimeWarning", "manage.py", *arguments])


def _make_schema(target: Path) -> Outcome:
    return _manage("spectacular", "--validate", "--fail-on-warn", "--file", str(target))


def _schema_in_step() -> Outcome:
    """The committed ``openapi.yaml`` is what the code says today."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "openapi.yaml"
        outcome = _make_schema(made)
        if not outcome.ok:
            return outcome
        if SCHEMA.exists() and SCHEMA.read_bytes() == made.read_bytes():
            return Outcome(True)
        return Outcome(False, "openapi.yaml is not what the code says: `make schema` and commit it")


def _catalogues() -> list[Path]:
    """The translations of the project's own texts."""
    return [
        p
        for p in ROOT.glob("**/LC_MESSAGES/*.po")
        if not {".venv", "var"} & set(p.parts[len(ROOT.parts) :])
    ]


def _catalogues_in_step() -> Outcome:
    """Each compiled catalogue says what its source says."""
    if not _catalogues():
        return Outcome(True)
    if shutil.which("msgfmt") is None:
        return Outcome(True, "skipped: msgfmt is not here (Debian: apt-get install gettext)")
    stale = []
    with tempfile.TemporaryDirectory() as folder:
        for source in _catalogues():
            fresh = Path(folder) / "fresh.mo"
            made = _run(["msgfmt", "--check-format", "-o", str(fresh), str(source)])
            if not made.ok:
                return made
            if _texts(fresh) != _texts(source.with_suffix(".mo")):
                stale.append(str(source.relative_to(ROOT)))
    return Outcome(not stale, f"compile again (`make messages`): {', '.join(stale)}")


def _texts(catalogue: Path) -> dict[str, str] | None:
    if not catalogue.exists():
        return None
    with catalogue.open("rb") as file:
        # No public way leads to all texts of a catalogue. The empty one is the header.
        texts = dict(gettext.GNUTranslations(file)._catalog)  # type: ignore[attr-defined]
    texts.pop("", None)
    return texts


def _write_messages() -> Outcome:
    if shutil.which("msgfmt") is None:
        return Outcome(False, "gettext is needed (Debian: apt-get install gettext)")
    made = _manage(
        "makemessages", "--all", "--no-location", "-i", ".venv", "-i", "var", "-i", "tests"
    )
    return _manage("compilemessages", "-i", ".venv", "-i", "var") if made.ok else made


if __name__ == "__main__":
    sys.exit(main())
