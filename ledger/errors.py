"""What the ledger raises. Most refusals are results of a group, not errors; see ``operations``.

core.errors.ExchangeError
├── InsufficientFunds          402  a floor stands in the way
└── Conflict                   409
    ├── PostingRefused              any other result code of a group
    ├── AccountOpenedDifferently    the account exists with another side, floor or stripes
    └── PeriodMoveRefused           the period is not where that move begins
"""

from __future__ import annotations

from collections.abc import Iterable

from core.errors import Conflict, InsufficientFunds
from ledger.operations import GroupResult


class PostingRefused(Conflict):
    """A group was refused; ``code`` is its result code."""

    slug = "posting-refused"
    title = "The ledger refuses this posting"


class AccountOpenedDifferently(Conflict):
    """The account stands in the books with another normal side, floor or number of stripes."""

    slug = "account-opened-differently"
    title = "The account is already open in another form"


class PeriodMoveRefused(Conflict):
    """A period moves from open to closing to closed, in the order of periods."""

    slug = "period-move-refused"
    title = "The period cannot be moved so"


def require_ok(results: Iterable[GroupResult]) -> None:
    """Raise for the first group that was refused: for callers that stand or fall with it.

    ``InsufficientFunds`` for a floor, else ``PostingRefused``.
    """
    for result in results:
        if result.ok:
            continue
        if result.code == "insufficient_funds":
            raise InsufficientFunds(result.detail)
        raise PostingRefused(result.detail, code=result.code)
