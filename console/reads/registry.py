"""Which page shows a thing of which kind, and which things an id may name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import connection
from django.urls import reverse

from console import cells
from console.reads import goods, money
from console.reads.rows import batch_url
from console.trip import Thing

# Kind → what loads its page.
THINGS: Final[dict[str, Callable[[UUID], Thing | None]]] = {
    "order": goods.order,
    "offer": goods.offer,
    "trade": goods.trade,
    "lease": goods.lease,
    "usage": money.usage,
    "charge": money.charge,
    "organisation": money.organisation,
    "centre": goods.centre,
    "pool": goods.pool,
    "transfer": money.transfer,
    "hold": money.hold,
    "top_up": money.top_up,
}
# Kind → table and key column, in the order of the answer.
_TABLES: Final = {
    "order": ("exchange_order", "id"),
    "trade": ("exchange_trade", "id"),
    "lease": ("exchange_lease", "id"),
    "usage": ("billing_usagerecord", "id"),
    "charge": ("billing_charge", "id"),
    "batch": ("billing_settlementbatch", "id"),
    "obligation": ("billing_obligation", "id"),
    "payout": ("billing_payout", "id"),
    "offer": ("exchange_offer", "id"),
    "pool": ("exchange_pool", "id"),
    "centre": ("exchange_centre", "id"),
    "organisation": ("accounts_organisation", "id"),
    "top_up": ("billing_topup", "id"),
    "hold": ("ledger_hold", "id"),
    "transfer": ("ledger_transfer", "id"),
}
# Names that people write instead of ids: kind → table, column that is indexed.
_NAMES: Final = (
    ("payout", "billing_payout", "end_to_end_id"),
    ("top_up", "billing_topup", "bank_reference"),
    ("organisation", "accounts_organisation", "credit_code"),
)
_HEX: Final = re.compile(r"[0-9a-f]{8,32}")
MAX_FOUND: Final = 60


@dataclass(frozen=True, slots=True)
class Found:
    """A thing that the search term names."""

    kind: str
    id: UUID
    url: str


def url_of(kind: str, thing_id: UUID) -> str:
    """The address of the page that shows a thing of any kind."""
    if kind == "batch":
        return batch_url(thing_id)
    if kind in ("obligation", "payout"):
        return reverse(f"console:{kind}", args=[thing_id])
    return cells.thing_url(kind, thing_id)


def search(term: str) -> list[Found]:
    """Things whose id is ``term`` or begins with it (eight hexadecimal digits or more), and
    those that a person names otherwise: a payout's end-to-end id, a bank reference, a credit code,
    an organisation's name. Three queries at most, each on an index, but for the names."""
    term = term.strip()
    digits = term.lower().replace("-", "")
    found: list[tuple[str, UUID]] = []
    if _HEX.fullmatch(digits):
        found += _by_id(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))
    if len(term) >= 2:
        found += _by_name(term)
    return [Found(kind, thing_id, url_of(kind, thing_id)) for kind, thing_id in found]


def _by_id(first: UUID, last: UUID) -> list[tuple[str, UUID]]:
    statement = " UNION ALL ".join(
        f"(SELECT '{kind}', {key} FROM {table}"  # noqa: S608 - names from the table above
        f" WHERE {key} BETWEEN %(first)s AND %(last)s ORDER BY {key} LIMIT 5)"
        for kind, (table, key) in _TABLES.items()
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, {"first": first, "last": last})
        return list(cursor.fetchall())[:MAX_FOUND]


def _by_name(term: str) -> list[tuple[str, UUID]]:
    statement = " UNION ALL ".join(
        f"(SELECT '{kind}', id FROM {table} WHERE {column} = %(term)s LIMIT 5)"  # noqa: S608
        for kind, table, column in _NAMES
    )
    escaped = term.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    with connection.cursor() as cursor:
        cursor.execute(
            f"{statement} UNION ALL (SELECT 'organisation', id FROM accounts_organisation"  # noqa: S608
            " WHERE name ILIKE %(like)s ORDER BY name, id LIMIT 20)"
            " UNION ALL (SELECT 'order', id FROM exchange_order"
            " WHERE client_reference = %(term)s ORDER BY id DESC LIMIT 20)",
            {"term": term, "like": f"%{escaped}%"},
        )
        return list(dict.fromkeys(cursor.fetchall()))
