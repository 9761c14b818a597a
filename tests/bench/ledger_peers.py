"""`ledger.batch_vs_hordak`, `ledger.batch_vs_plain_orm`: the same batches by others.

Each peer has a database and a process of its own on the same server, and posts like payments
between 1,000 buyers and 1,000 providers, 1,000 to a transaction. django-hordak is installed from
its registry into an environment of its own (`peers/requirements.lock`); where that fails, its
figure is left out and the run says so.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from exchangectl.running import ROOT
from exchangectl.servers import OWNER_ROLE
from tests.bench.contest import Contest, Stage
from tests.bench.ledger_books import Books, Poster

BATCH = 1_000
_PEERS = Path(__file__).parent / "peers"
_HORDAK_APPS = "django.contrib.auth,django.contrib.contenttypes,mptt,hordak"


def peer_contests(stage: Stage, books: Books, together: Callable[..., float]) -> Iterator[Contest]:
    """Ours against each of them."""
    ours = Poster(books.env, 4)
    together([ours], count=5, size=BATCH)  # plans are made
    peers = [("plain_orm", "a plain Django ORM double entry", sys.executable, "plain")]
    hordak = _environment(stage)
    if hordak:
        peers.insert(0, ("hordak", "django-hordak's bulk path", hordak, _HORDAK_APPS))
    for name, what, python, apps in peers:
        module = "plain_books" if name == "plain_orm" else "hordak_books"
        peer = _peer(stage, python=python, module=module, apps=apps)

        def theirs(peer: Poster = peer) -> float:
            return together([peer], count=stage.size(10, 2), size=BATCH)

        theirs()
        yield Contest(
            name=f"ledger.batch_vs_{name}",
            measure=f"transfers in batches of {BATCH:,}, to {what}",
            unit="transfers/s",
            better="higher",
            run=lambda: together([ours], count=stage.size(60, 3), size=BATCH),
            reference=theirs,
        )
        peer.end()
    ours.end()


def _peer(stage: Stage, *, python: str, module: str, apps: str) -> Poster:
    server = stage.exchange.postgres
    assert server is not None
    database = f"bench_{module}"
    server.drop_database(database)
    server.ensure_database(database)
    env = {
        **stage.exchange.env,
        "DATABASE_URL": server.url(OWNER_ROLE, database),
        "DJANGO_SETTINGS_MODULE": "settings",
        "PEER_APPS": apps,
        "PYTHONPATH": str(_PEERS),
    }
    return Poster(env, 1, command=[python, str(_PEERS / f"{module}.py")])


def _environment(stage: Stage) -> str | None:
    """The Python of the peers' environment; None where it cannot be had here."""
    folder = Path(stage.exchange.data_dir) / "peers"
    python = folder / "bin" / "python"
    uv = Path(sys.executable).parent / "uv"
    for command in (
        [str(uv), "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)],
        [
            *(str(uv), "pip", "sync", "--quiet", "--require-hashes", "--python", str(python)),
            str(_PEERS / "requirements.lock"),
        ],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode != 0:
            sys.stdout.write(f"no django-hordak here, its figure is left out:\n{done.stderr}\n")
            return None
    return str(python)
