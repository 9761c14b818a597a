"""The test databases have the rights of production."""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg
import pytest
from django.db import connection

from tests.databases import ROOT, append_only_tables


@pytest.mark.django_db
def test_ordinary_tests_connect_as_the_app_role() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == ("exchange_app", False)


def test_a_fresh_database_is_seen_by_other_processes(fresh_database) -> None:
    from django.contrib.sessions.models import Session
    from django.utils import timezone

    Session.objects.create(session_key="k", session_data="", expire_date=timezone.now())
    with psycopg.connect(os.environ["DATABASE_URL"]) as other:
        assert other.execute("SELECT count(*) FROM django_session").fetchone() == (1,)
    assert connection.settings_dict["NAME"] == fresh_database.name


def test_the_app_role_may_not_change_append_only_tables(app_connection) -> None:
    tables = append_only_tables()
    assert tables
    for table in tables:
        rights = app_connection.execute(
            "SELECT has_table_privilege(%(t)s, 'SELECT'), has_table_privilege(%(t)s, 'INSERT'),"
            " has_table_privilege(%(t)s, 'UPDATE'), has_table_privilege(%(t)s, 'DELETE'),"
            " has_table_privilege(%(t)s, 'TRUNCATE')",
            {"t": table},
        ).fetchone()
        assert rights == (True, True, False, False, False), table


def test_the_app_role_may_not_make_tables(app_connection) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app_connection.execute("CREATE TABLE public.mine (x int)")


def test_granting_twice_changes_nothing(fresh_database) -> None:
    rights = (
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee = 'exchange_app' ORDER BY 1, 2"
    )
    with fresh_database.connect() as before:
        expected = before.execute(rights).fetchall()
    command = [sys.executable, "manage.py", "grant_app_role"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "granted to exchange_app" in done.stdout
    with fresh_database.connect() as after:
        assert after.execute(rights).fetchall() == expected
