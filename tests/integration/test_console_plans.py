"""The console's figures of the day are found by an index, however long the exchange has run."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext

from console.reads.today import day_starts_at, market_figures
from exchange.market.models import Order, Trade
from tests.integration.capacity.builders import (
    NOW,
    SLOT,
    centre,
    load_reference,
    pool,
    provider,
    sell,
)

ROWS = 20_000  # over 200 days, the newest now


def copies(model: type[Model], time: str) -> str:
    """Copies of the one row, each placed 14.4 minutes after the one before."""
    replaced = {"id": "gen_random_uuid()", time: f"{time} - ({ROWS} - n) * interval '14.4 minutes'"}
    if model is Trade:
        replaced["batch"] = "batch + n"
    columns = [field.column for field in model._meta.concrete_fields]
    chosen = ", ".join(replaced.get(column, column) for column in columns)
    table = model._meta.db_table
    return (
        f"INSERT INTO {table} ({', '.join(columns)})"
        f" SELECT {chosen} FROM {table}, generate_series(1, {ROWS}) AS n"
    )


def test_the_day_is_found_by_index(fresh_database, owner_connection):
    load_reference()
    actor = provider()
    sell(pool(actor, centre(actor)), 1, start_slot=SLOT + 1, slots=1)
    for model, time, index in (
        (Order, "placed_at", "order_by_time"),
        (Trade, "traded_at", "trade_by_time"),
    ):
        owner_connection.execute(f"ALTER TABLE {model._meta.db_table} DISABLE TRIGGER USER")
        owner_connection.execute(copies(model, time))
        # In production autovacuum does both.
        owner_connection.execute(f"SELECT brin_summarize_new_values('{index}')")
        owner_connection.execute(f"ANALYZE {model._meta.db_table}")
    owner_connection.commit()

    with CaptureQueriesContext(connection) as asked:
        figures = market_figures(now=NOW)
    since_midnight = (NOW - day_starts_at(NOW)) // timedelta(minutes=14.4) + 2
    assert (figures.orders, figures.trades) == (since_midnight, since_midnight)
    plans = []
    with connection.cursor() as cursor:
        for query in asked:
            cursor.execute(f"EXPLAIN {query['sql']}")
            plans.append(" ".join(line for (line,) in cursor.fetchall()))
    assert len(plans) == 3
    for plan, index in zip(plans, ["order_by_time", "trade_by_time", "trade_by_time"], strict=True):
        assert f"Bitmap Index Scan on {index}" in plan
        assert "Seq Scan" not in plan
