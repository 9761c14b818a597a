"""Give the app role its rights: to read and write rows, but never to change append-only tables."""

from __future__ import annotations

import os
from typing import Any

import psycopg
from django.apps import apps
from django.core.management.base import BaseCommand
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict


class Command(BaseCommand):
    """Run after ``migrate``; connects as the owner (``DATABASE_OWNER_URL``)."""

    # It must work on a half-built machine too.
    requires_system_checks: list[str] = []
    help = "Grant the role of DATABASE_URL its rights on the tables of DATABASE_OWNER_URL's role."

    def handle(self, *args: Any, **options: Any) -> None:
        """Set the rights afresh, so that a table that became append-only loses them."""
        app_url = os.environ["DATABASE_URL"]
        owner_url = os.environ.get("DATABASE_OWNER_URL") or app_url
        app, owner = (conninfo_to_dict(url)["user"] for url in (app_url, owner_url))
        if app == owner:
            self.stdout.write(f"{owner} owns the tables itself: append-only rests on triggers")
            return
        role = sql.Identifier(str(app))
        append_only = [
            model._meta.db_table
            for model in apps.get_models(include_auto_created=True)
            if getattr(model, "append_only", False) and model._meta.managed
        ]
        with psycopg.connect(owner_url) as connection:
            for statement in (
                "GRANT USAGE ON SCHEMA public TO {}",
                "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}",
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}",
                "GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO {}",
                # Who has applied which migration is the owner's to say.
                "REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {}",
            ):
                connection.execute(sql.SQL(statement).format(role))
            for table in append_only:
                connection.execute(
                    sql.SQL("REVOKE UPDATE, DELETE ON {} FROM {}").format(
                        sql.Identifier(table), role
                    )
                )
            # What is in partitions is reached through the table that they are partitions of.
            for schema, partition in connection.execute(
                "SELECT n.nspname, c.relname FROM pg_class c"
                " JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE c.relispartition AND c.relkind IN ('r', 'p')"
            ).fetchall():
                connection.execute(
                    sql.SQL("REVOKE ALL ON {} FROM {}").format(
                        sql.Identifier(schema, partition), role
                    )
                )
        self.stdout.write(f"granted to {app}; {len(append_only)} tables are append-only for it")
