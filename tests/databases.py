"""Databases for tests: a migrated template, and clones of it that cost some 50 ms each.

Migrations run once, as the owner role, and the app role is granted inside the template, so a clone
has exactly the rights that production has. The template's name is a hash of everything that shapes
it; a changed migration makes a new template and drops the old ones.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import django
import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
# What migrations and grants are made of; a change in any of these files makes a new template.
_SHAPED_BY = (
    "*/migrations/*.py",
    "*/sql.py",
    "core/*.py",
    "core/management/commands/grant_app_role.py",
)
_BUILD_LOCK = 7_305_117
_TEMPLATE_PREFIX = "exchange_template_"


def with_database(url: str, name: str) -> str:
    """``url`` with its database replaced by ``name``."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@dataclass(frozen=True, slots=True)
class TestDatabase:
    """A clone of the migrated template, and its addresses by role."""

    __test__ = False

    name: str
    url: str  # as the app role, as the product connects
    owner_url: str
    admin_url: str

    def connect(self, *, owner: bool = False, **options: object) -> psycopg.Connection:
        """A psycopg connection of its own, as the app role or as the owner."""
        return psycopg.connect(self.owner_url if owner else self.url, **options)

    def drop(self) -> None:
        """Drop the clone, ending every session in it."""
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            admin.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.name))
            )


def clone(label: str = "") -> TestDatabase:
    """A fresh clone of the template, which is made first if it is not there."""
    admin_url = os.environ["DATABASE_ADMIN_URL"]
    owner_url = os.environ["DATABASE_OWNER_URL"]
    app_url = os.environ["DATABASE_URL"]
    name = f"test_{label}_{uuid4().hex[:12]}".replace("__", "_")
    with psycopg.connect(admin_url, autocommit=True) as admin:
        # Shared by all who clone, exclusive for who builds: nobody drops what is being copied.
        template = _ensure_template(admin, owner_url, app_url)
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(template), sql.Identifier(_role(owner_url))
            )
        )
        admin.execute("SELECT pg_advisory_unlock_all()")
    return TestDatabase(
        name=name,
        url=with_database(app_url, name),
        owner_url=with_database(owner_url, name),
        admin_url=admin_url,
    )


def _role(url: str) -> str:
    return psycopg.conninfo.conninfo_to_dict(url)["user"]


def template_name() -> str:
    """The name of the template that belongs to the working tree as it is now."""
    digest = hashlib.sha256(django.get_version().encode())
    for pattern in _SHAPED_BY:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update("\n".join(sorted(append_only_tables())).encode())
    return f"{_TEMPLATE_PREFIX}{digest.hexdigest()[:16]}"


def append_only_tables() -> list[str]:
    """Tables whose rows the app role may add and read, but never change."""
    from django.apps import apps

    return [m._meta.db_table for m in apps.get_models() if getattr(m, "append_only", False)]


def _ensure_template(admin: psycopg.Connection, owner_url: str, app_url: str) -> str:
    """The template's name; holds a session lock on it that the caller gives back."""
    name = template_name()
    admin.execute("SELECT pg_advisory_lock_shared(%s)", (_BUILD_LOCK,))
    if _exists(admin, name):
        return name
    admin.execute("SELECT pg_advisory_unlock_shared(%s)", (_BUILD_LOCK,))
    admin.execute("SELECT pg_advisory_lock(%s)", (_BUILD_LOCK,))
    if not _exists(admin, name):
        _build_template(admin, name, owner_url, app_url)
    return name


def _exists(admin: psycopg.Connection, name: str) -> bool:
    found = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
    return found.fetchone() is not None


def _build_template(admin: psycopg.Connection, name: str, owner_url: str, app_url: str) -> None:
    """Migrate and grant in a building site, then rename: a half-made template is never used."""
    for (old,) in admin.execute(
        "SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{_TEMPLATE_PREFIX}%",)
    ).fetchall():
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(old)))
    site = f"{_TEMPLATE_PREFIX}building"
    admin.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 OWNER {}").format(
            sql.Identifier(site), sql.Identifier(_role(owner_url))
        )
    )
    app = {"DATABASE_URL": with_database(app_url, site)}
    owner = {"DATABASE_OWNER_URL": with_database(owner_url, site)}
    _manage(
        "migrate",
        "-v0",
        "--skip-checks",
        env={**app, **owner, "DATABASE_URL": owner["DATABASE_OWNER_URL"]},
    )
    _manage("grant_app_role", env={**app, **owner})
    admin.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(site), sql.Identifier(name))
    )


def _manage(*arguments: str, env: dict[str, str]) -> None:
    environment = {**os.environ, **env, "DJANGO_SETTINGS_MODULE": "config.settings"}
    environment.pop("EXCHANGE_CLOCK", None)
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"manage.py {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
