"""What must hold of the books before a period is settled."""

from __future__ import annotations

from billing.settlement.errors import BooksDoNotBalance
from exchange.pricing.chart import CLEARING
from ledger.selectors import TrialBalance, trial_balance


def check_books() -> None:
    """``BooksDoNotBalance`` where a region's books or the mirrors of a pair are not zero."""
    books = trial_balance()
    broken = [f"{row.region} ({row.asset})" for row in books if row.debits != row.credits]
    broken += [f"{one} and {other}" for one, other in unmirrored(books)]
    if broken:
        raise BooksDoNotBalance(f"These do not come to zero: {', '.join(broken)}.")


def unmirrored(books: list[TrialBalance]) -> list[tuple[str, str]]:
    """Pairs of regions whose clearing accounts towards each other do not sum to zero."""
    pairs: dict[tuple[str, str, str], int] = {}
    for row in books:
        for code, balance in row.by_code.items():
            kind, _, other = code.partition(":")
            if kind == CLEARING:
                one, two = sorted((row.region, other))
                key = (row.asset, one, two)
                pairs[key] = pairs.get(key, 0) + balance
    return [(one, other) for (_, one, other), total in pairs.items() if total]
