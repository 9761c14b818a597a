"""The ledger's verbs: open accounts, post groups, expire holds, seal.

Each joins the caller's transaction where there is one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from django.db import IntegrityError, connection, transaction
from psycopg.errors import UniqueViolation

from core.sealing import seal
from ledger.errors import AccountOpenedDifferently
from ledger.locks import lock_accounts
from ledger.models import Hold
from ledger.operations import (
    AccountKey,
    AccountSpec,
    Balance,
    CreateHold,
    ExtendHold,
    Group,
    GroupResult,
    Leg,
    Operation,
    PostTransfer,
    ReleaseHold,
    reversal_of,
)
from ledger.posting import (
    Posting,
    is_plain,
    named_accounts,
    named_holds,
    named_periods,
    named_reversals,
    named_transfers,
)
from ledger.sealing import SEALED
from ledger.statements import known_holds, known_periods, known_transfers, reversed_of, write
from ledger.whole_set import post_whole_set

__all__ = [
    "AccountKey",
    "AccountSpec",
    "Balance",
    "CreateHold",
    "ExtendHold",
    "Group",
    "GroupResult",
    "Leg",
    "Operation",
    "PostTransfer",
    "ReleaseHold",
    "expire_holds",
    "open_accounts",
    "post",
    "reversal_of",
    "seal_transfers",
]

_ATTEMPTS = 3
_SIDES = {"debit": 1, "credit": -1}

_OPEN = """
    INSERT INTO ledger_account (owner, code, region, asset, normal_side, floor, stripes, stripe,
                                balance, held, version)
    SELECT n.*, s.stripe, 0, 0, 0
      FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::int2[], %s::bool[],
                  %s::int2[]) AS n (owner, code, region, asset, normal_side, floor, stripes)
     CROSS JOIN LATERAL generate_series(0, n.stripes - 1) AS s (stripe)
     ORDER BY n.owner, n.code, n.region, n.asset, s.stripe
        ON CONFLICT (owner, code, region, asset, stripe) DO NOTHING
"""

_OPENED = """
    SELECT a.owner, a.code, a.region, a.asset, a.normal_side, a.floor, a.stripes
      FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[])
           AS wanted (owner, code, region, asset)
      JOIN ledger_account a USING (owner, code, region, asset)
     WHERE a.stripe = 0
"""


def post(groups: Sequence[Group], *, now: datetime) -> list[GroupResult]:
    """Judge each group in the order given and write those that hold, all in one transaction.

    A group is all or none: a refused one moves nothing, is named by its result code, and leaves
    the others be. A group whose ids are known with the same content is answered ``exists``. Floors
    are judged at the end of each group. ``now`` is recorded as the time of writing.

    Plain transfers of which all hold are written in one round trip. Otherwise a handful of
    statements, however many groups there are: lock the accounts by id, read what is known of the
    ids, the holds and the periods, and write. Raises only for values that are no operations at all.
    """
    if not groups:
        return []
    if is_plain(groups) and post_whole_set(groups, now=now):
        return [GroupResult(True, "ok")] * len(groups)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with transaction.atomic():
                return _post(groups, now=now)
        except IntegrityError as error:
            # Two callers brought one id at the same time, with no account in common to queue on.
            # The other has committed now, so the next attempt finds its content.
            if attempt == _ATTEMPTS or not _is_id_taken(error):
                raise
    raise AssertionError("unreachable")


def open_accounts(specs: Sequence[AccountSpec]) -> None:
    """Open the accounts that are not open yet.

    ``AccountOpenedDifferently`` where one is open with another side, floor or number of stripes.
    """
    wanted = {spec.key: (_SIDES[spec.normal_side], spec.floor, spec.stripes) for spec in specs}
    if not wanted:
        return
    opened = _opened(wanted)
    missing = [(*key, *form) for key, form in wanted.items() if key not in opened]
    if missing:
        with connection.cursor() as cursor:
            cursor.execute(_OPEN, [list(column) for column in zip(*missing, strict=True)])
        opened = _opened(wanted)
    for key, form in wanted.items():
        # Missing still: another transaction opens it right now in a snapshot we cannot see.
        if opened.get(key, form) != form:
            raise AccountOpenedDifferently(
                f"{key} is open with another normal side, floor or stripes"
            )


def expire_holds(*, now: datetime, limit: int = 1000) -> int:
    """Give back what rests on holds whose deadline has come, the longest overdue first.

    Returns how many were expired. Safe beside any other writer: whoever locks the account first
    decides, and the sweep reads the hold again under the lock.
    """
    overdue = list(
        Hold.objects.filter(resolved_at=None, expires_at__lte=now)
        .order_by("expires_at", "id")
        .values_list("id", flat=True)[:limit]
    )
    if not overdue:
        return 0
    with transaction.atomic():
        accounts = lock_accounts(keys=(), holds=overdue)
        holds = known_holds(overdue, accounts=accounts)
        posting = Posting(accounts=accounts, holds=holds, transfers={}, now=now)
        expired = sum([posting.expire(hold_id) for hold_id in overdue])
        write(posting)
    return expired


def seal_transfers(*, now: datetime) -> int:
    """Seal the transfers that no running transaction can add to any more; returns how many."""
    return seal(SEALED, now=now)


def _post(groups: Sequence[Group], *, now: datetime) -> list[GroupResult]:
    transfers, holds = named_transfers(groups), named_holds(groups)
    accounts = lock_accounts(keys=named_accounts(groups), holds=holds)
    posting = Posting(
        accounts=accounts,
        holds=known_holds(holds, accounts=accounts),
        transfers=known_transfers(transfers),
        periods=known_periods(named_periods(groups)) if transfers else {},
        reversed_ids=reversed_of(named_reversals(groups)),
        now=now,
    )
    results = [posting.judge(group) for group in groups]
    write(posting)
    return results


def _opened(keys: Collection[AccountKey]) -> dict[AccountKey, tuple[int, bool, int]]:
    with connection.cursor() as cursor:
        cursor.execute(_OPENED, [list(column) for column in zip(*keys, strict=True)])
        return {AccountKey(*row[:4]): row[4:] for row in cursor.fetchall()}


def _is_id_taken(error: IntegrityError) -> bool:
    cause = error.__cause__
    return isinstance(cause, UniqueViolation) and cause.diag.table_name in (
        "ledger_transfer",
        "ledger_entry",
        "ledger_hold",
    )
