"""SQL for migrations: guards that say in the database what the models promise."""

from __future__ import annotations

REFUSE_CHANGE_FUNCTION = (
    """
    CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
            USING ERRCODE = 'restrict_violation',
                  HINT = 'Correct by adding a row, never by changing one.';
    END
    $$
    """,
    "DROP FUNCTION refuse_change()",
)


def refuse_change_sql(table: str) -> tuple[str, str]:
    """Forward and reverse SQL of the trigger that makes ``table`` append-only.

    ``migrations.RunSQL(*refuse_change_sql("ledger_entry"))``; the migration depends on
    ``("core", "0002_guards")``. A statement trigger: also an UPDATE of no row is refused.
    """
    if not table.replace("_", "").isalnum():
        raise ValueError(f"not a plain table name: {table!r}")
    return (
        (
            f'CREATE TRIGGER "{table}_is_append_only" BEFORE UPDATE OR DELETE OR TRUNCATE '
            f'ON "{table}" FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()'
        ),
        f'DROP TRIGGER "{table}_is_append_only" ON "{table}"',
    )
