"""Servers and databases for every test.

With ``DATABASE_URL`` and ``REDIS_URL`` in the environment those servers are used (with
``DATABASE_OWNER_URL`` and ``DATABASE_ADMIN_URL`` where the roles differ); else an embedded
PostgreSQL and Valkey are started in ``var/test`` and stopped at the end. Tests connect as the app
role, on a clone of a migrated template:

``@pytest.mark.django_db``  the ordinary test; what it wrote is rolled back.
``fresh_database``          a clone for this test alone, for tests whose writes others must see.
``exchange``                a whole running exchange for this module: web, workers, beat.
``exchange_factory``        the same, with arguments (clock, sizes).
``owner_connection``, ``app_connection``  plain psycopg connections to the test's database.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psycopg
import pytest

from tests.databases import ROOT, TestDatabase, clone

if TYPE_CHECKING:
    from exchangectl.running import Running
    from exchangectl.servers import PostgreSQL, Valkey

_TEST_DATA = ROOT / "var" / "test"
_started: list[PostgreSQL | Valkey] = []
_folder_locks: list[IO[str]] = []


def pytest_configure(config: pytest.Config) -> None:
    """Bring up servers and load Django, before any test module is imported."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    os.environ.setdefault("SECRET_KEY", "for-tests-only-" + "x" * 50)
    key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
    os.environ.setdefault("FIELD_ENCRYPTION_KEYS", f"k1:{key}")
    os.environ.setdefault("EXCHANGE_DATA", str(ROOT.parent / "shared" / "data"))
    if not config.option.help and not config.option.version:
        _choose_servers()
    # A prefix of its own keeps one worker's cache and throttles away from another's. Said to the
    # settings too: in a worker they are loaded already, with the prefix of the controller.
    prefix = f"test-{os.getpid()}"
    os.environ["REDIS_PREFIX"] = prefix

    import django
    from django.conf import settings

    settings.REDIS_PREFIX = prefix
    settings.CACHES["default"]["KEY_PREFIX"] = prefix
    django.setup()


def pytest_unconfigure() -> None:
    """Stop the servers that this process started (with xdist: the controller)."""
    while _started:
        _started.pop().stop()


def _choose_servers() -> None:
    """Set the addresses of the servers in the environment; xdist's workers inherit them."""
    from exchangectl.servers import APP_ROLE, NOT_DURABLE, OWNER_ROLE, PostgreSQL, Valkey

    data_dir = _own_folder() if {"DATABASE_URL", "REDIS_URL"} - set(os.environ) else _TEST_DATA
    if "DATABASE_URL" not in os.environ:
        postgres = PostgreSQL(data_dir, settings=NOT_DURABLE)
        postgres.start()
        _started.append(postgres)
        os.environ["DATABASE_ADMIN_URL"] = postgres.admin_url
        os.environ["DATABASE_OWNER_URL"] = postgres.url(OWNER_ROLE, "postgres")
        os.environ["DATABASE_URL"] = postgres.url(APP_ROLE, "postgres")
    os.environ.setdefault("DATABASE_OWNER_URL", os.environ["DATABASE_URL"])
    os.environ.setdefault("DATABASE_ADMIN_URL", os.environ["DATABASE_OWNER_URL"])
    if "REDIS_URL" not in os.environ:
        valkey = Valkey(data_dir)
        valkey.start()
        _started.append(valkey)
        os.environ["REDIS_URL"] = valkey.url


def _own_folder() -> Path:
    """``var/test``, or the next of its kind that no other run of the tests holds."""
    for number in itertools.count(1):
        folder = _TEST_DATA if number == 1 else _TEST_DATA.with_name(f"test-{number}")
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "in-use.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _folder_locks.append(lock)
        return folder
    raise AssertionError("unreachable")


@contextmanager
def _switched_to(database: TestDatabase) -> Iterator[None]:
    """Point Django, and the processes that this test starts, at ``database``."""
    from django.db import connections

    connection = connections["default"]
    before = (
        connection.settings_dict["NAME"],
        {name: os.environ[name] for name in ("DATABASE_URL", "DATABASE_OWNER_URL")},
    )
    connection.close()
    connection.close_pool()
    connection.settings_dict["NAME"] = database.name
    os.environ.update(DATABASE_URL=database.url, DATABASE_OWNER_URL=database.owner_url)
    try:
        yield
    finally:
        connections.close_all()
        connection.close_pool()
        connection.settings_dict["NAME"] = before[0]
        os.environ.update(before[1])


@pytest.fixture(scope="session")
def session_database() -> Iterator[TestDatabase]:
    """The clone that this process's ordinary tests share (each rolls back what it wrote)."""
    database = clone(os.environ.get("PYTEST_XDIST_WORKER", "main"))
    yield database
    database.drop()


@pytest.fixture(scope="session")
def django_db_setup(session_database: TestDatabase, django_db_blocker) -> Iterator[None]:
    """Replaces pytest-django's: the database is a clone, and the role is not its owner."""
    with django_db_blocker.unblock(), _switched_to(session_database):
        yield


@pytest.fixture
def fresh_database(request: pytest.FixtureRequest, django_db_blocker) -> Iterator[TestDatabase]:
    """A clone of its own for a test that commits; Django is connected to it meanwhile.

    Instead of ``django_db(transaction=True)``, whose flush the app role has no right to do.
    """
    if request.node.get_closest_marker("django_db"):
        pytest.fail("fresh_database brings its own database: remove the django_db mark")
    database = clone("fresh")
    try:
        with django_db_blocker.unblock(), _switched_to(database):
            yield database
    finally:
        database.drop()


def _current_database(request: pytest.FixtureRequest) -> TestDatabase:
    names = request.fixturenames
    return request.getfixturevalue(
        "fresh_database" if "fresh_database" in names else "session_database"
    )


@pytest.fixture
def empty_cache() -> Iterator[None]:
    """Nothing of this process is in Redis before the test, and nothing after it.

    Not ``cache.clear()``: that empties the server, with what the other process just counts there.
    """
    _forget_own_keys()
    yield
    _forget_own_keys()


def _forget_own_keys() -> None:
    import redis
    from django.conf import settings

    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        for key in client.scan_iter(match=f"{settings.REDIS_PREFIX}:*", count=1000):
            client.delete(key)


@pytest.fixture
def owner_connection(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """A psycopg connection as the owner of the tables, rolled back at the end."""
    yield from _connection(_current_database(request).owner_url)


@pytest.fixture
def app_connection(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    """A psycopg connection as the app role, rolled back at the end."""
    yield from _connection(_current_database(request).url)


def _connection(url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture(scope="module")
def exchange_factory(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Running]]:
    """``exchange_factory(**options)`` starts a running exchange; options as ``start_exchange``."""
    from exchangectl.running import start_exchange
    from exchangectl.servers import Valkey

    undo: list[Callable[[], object]] = []

    def start(**options: object) -> Running:
        data_dir: Path = tmp_path_factory.mktemp("exchange")
        database = clone("exchange")
        undo.append(database.drop)
        # A Valkey of its own, so that a test may flush and kill it.
        valkey = Valkey(data_dir)
        valkey.start()
        undo.append(valkey.stop)
        running = start_exchange(
            data_dir,
            database_url=database.url,
            database_owner_url=database.owner_url,
            valkey=valkey,
            migrate=False,
            **{"web_workers": 1, "general_concurrency": 1, **options},
        )
        undo.append(running.stop)
        return running

    try:
        yield start
    finally:
        while undo:
            undo.pop()()


@pytest.fixture(scope="module")
def exchange(exchange_factory: Callable[..., Running]) -> Running:
    """A whole running exchange on a database of its own; see ``exchangectl.running.Running``."""
    return exchange_factory()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that start processes apart, and refuse what could never work.

    Whole exchanges run one after another, in one of xdist's workers (``--dist loadgroup``): two at
    a time on two cores would only time out. ``transaction=True`` would fail at its flush, far from
    its cause.
    """
    for item in items:
        if {"exchange", "exchange_factory"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("servers")
        if item.get_closest_marker("servers"):
            item.add_marker(pytest.mark.xdist_group("servers"))
        mark = item.get_closest_marker("django_db")
        if mark and mark.kwargs.get("transaction"):
            raise pytest.UsageError(
                f"{item.nodeid}: the app role may not flush tables; use fresh_database instead "
                "of django_db(transaction=True)"
            )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run where groups are ignored: whole exchanges would run side by side."""
    if not session.config.getoption("loadgroup", default=False):
        return
    for item in session.items:
        if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
            raise pytest.UsageError("this pytest-xdist ignores groups under this pytest")
