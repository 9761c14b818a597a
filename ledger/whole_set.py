"""The fast path of posting: a set of plain transfers, written at once or not at all.

The database's function ``ledger_post_whole_set`` does it in one round trip (see ``ledger.sql``);
here a call is put into its terms. Arrays travel as PostgreSQL's own literals, whose making is a
join of strings: the adapters of the driver go through each element by itself, which took longer
than the posting.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from ledger.operations import AccountKey, Group, PostTransfer
from ledger.statements import prepared

_POST = """
    SELECT ledger_post_whole_set(
           %s::uuid[], %s::text[], %s::text[], %s::text[],
           %s::uuid[], %s::text[], %s::uuid[], %s::timestamptz[], %s::int2[],
           %s::int4[], %s::int2[], %s::int4[], %s::int8[], %s::timestamptz)
"""


_POST_PAIR = """
    SELECT ledger_post_pair(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def post_whole_set(groups: Sequence[Group], *, now: datetime) -> bool:
    """Post all of the groups, or nothing: ``False`` says that they must be judged one by one.

    For groups that are plain (``posting.is_plain``). Joins the caller's transaction; one statement.
    """
    transfers: list[PostTransfer] = [op for group in groups for op in group]  # type: ignore[misc]
    if len(transfers) == 1 and len(transfers[0].legs) == 2:
        return bool(prepared(_POST_PAIR, _pair(transfers[0], now))[0][0])
    return bool(prepared(_POST, _set(transfers, now))[0][0])


def _pair(transfer: PostTransfer, now: datetime) -> list[Any]:
    first, second = transfer.legs
    head = [transfer.id, transfer.code, transfer.reference, transfer.effective_at]
    return [*head, *first.account, *second.account, first.amount, now]


def _set(transfers: list[PostTransfer], now: datetime) -> list[Any]:
    numbers: dict[AccountKey, int] = {}
    of_transfer: list[int] = []
    positions: list[int] = []
    accounts: list[int] = []
    amounts: list[int] = []
    for at, transfer in enumerate(transfers, start=1):
        for position, leg in enumerate(transfer.legs, start=1):
            of_transfer.append(at)
            positions.append(position)
            accounts.append(numbers.setdefault(leg.account, len(numbers) + 1))
            amounts.append(leg.amount)
    return [
        _array([key[0].hex for key in numbers]),
        *(_array([_quoted(key[part]) for key in numbers]) for part in (1, 2, 3)),
        _array([transfer.id.hex for transfer in transfers]),
        _array([_quoted(transfer.code) for transfer in transfers]),
        _array([transfer.reference.hex for transfer in transfers]),
        _array([transfer.effective_at.isoformat() for transfer in transfers]),
        _array([str(len(transfer.legs)) for transfer in transfers]),
        *(_array(map(str, column)) for column in (of_transfer, positions, accounts, amounts)),
        now,
    ]


def _array(elements: Iterable[str]) -> str:
    return "{" + ",".join(elements) + "}"


@lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    """An element of an array literal; the same few words come again and again."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
