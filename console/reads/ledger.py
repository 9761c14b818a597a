"""The trial balance by region, and whether the clearing mirrors sum to zero."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from django.db.models import Sum

from exchange.topology.models import Region
from ledger.models import Account


@dataclass(slots=True)
class RegionBooks:
    """The books of one region in one asset: each use of accounts with its balance as booked."""

    region_code: str
    region: Region | None
    asset: str
    by_use: dict[str, int] = field(default_factory=dict)

    @property
    def debits_micro(self) -> int:
        """The balances that stand on the debit side."""
        return sum(amount for amount in self.by_use.values() if amount > 0)

    @property
    def credits_micro(self) -> int:
        """The balances that stand on the credit side, above zero."""
        return -sum(amount for amount in self.by_use.values() if amount < 0)

    @property
    def difference_micro(self) -> int:
        """Zero, or the books do not balance."""
        return sum(self.by_use.values())


@dataclass(frozen=True, slots=True)
class Mirror:
    """Two clearing accounts that face each other; they sum to zero at any time."""

    region: Region | None
    other: Region | None
    region_code: str
    other_code: str
    balance_micro: int
    mirror_micro: int

    @property
    def difference_micro(self) -> int:
        """Zero, or the close is blocked."""
        return self.balance_micro + self.mirror_micro


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """All regions' books; ``uses`` are the columns that occur."""

    uses: list[str]
    books: list[RegionBooks]
    mirrors: list[Mirror]

    @property
    def balances(self) -> bool:
        """Whether every region's books and every pair of mirrors sum to zero."""
        return not (
            any(one.difference_micro for one in self.books)
            or any(one.difference_micro for one in self.mirrors)
        )

    @property
    def total_micro(self) -> int:
        """The sum of all balances: zero."""
        return sum(one.difference_micro for one in self.books)

    @property
    def debits_micro(self) -> int:
        """All balances that stand on the debit side."""
        return sum(one.debits_micro for one in self.books)

    @property
    def credits_micro(self) -> int:
        """All balances that stand on the credit side, above zero."""
        return sum(one.credits_micro for one in self.books)

    @property
    def sums(self) -> list[int]:
        """The sum of each use over all regions, in the order of ``uses``."""
        return [sum(one.by_use.get(use, 0) for one in self.books) for use in self.uses]

    @property
    def has_assets(self) -> bool:
        """Whether there is more than one asset to tell apart."""
        return len({one.asset for one in self.books}) > 1


_ORDER = (
    "bank",
    "available",
    "payable",
    "receivable",
    "commission",
    "tax_payable",
    "congestion_rent",
    "rounding",
    "suspense",
    "clearing",
)


def trial_balance() -> TrialBalance:
    """Two queries: balances by region, use and asset, and the regions' names."""
    rows = list(
        Account.objects.values("region", "asset", "code")
        .annotate(total=Sum("balance"))
        .order_by("region", "asset", "code")
    )
    regions = Region.objects.in_bulk({row["region"] for row in rows})
    books: dict[tuple[str, str], RegionBooks] = {}
    clearing: dict[tuple[str, str], int] = defaultdict(int)
    uses: set[str] = set()
    for row in rows:
        use, _colon, other = row["code"].partition(":")
        key = (row["region"], row["asset"])
        one = books.setdefault(key, RegionBooks(key[0], regions.get(key[0]), key[1]))
        one.by_use[use] = one.by_use.get(use, 0) + int(row["total"])
        uses.add(use)
        if use == "clearing":
            clearing[row["region"], other] += int(row["total"])
    return TrialBalance(
        uses=sorted(uses, key=lambda use: (_ORDER.index(use) if use in _ORDER else 99, use)),
        books=list(books.values()),
        mirrors=_mirrors(clearing, regions),
    )


def _mirrors(clearing: dict[tuple[str, str], int], regions: dict[str, Region]) -> list[Mirror]:
    pairs = sorted({(min(pair), max(pair)) for pair in clearing})
    return [
        Mirror(
            region=regions.get(one),
            other=regions.get(other),
            region_code=one,
            other_code=other,
            balance_micro=clearing.get((one, other), 0),
            mirror_micro=clearing.get((other, one), 0),
        )
        for one, other in pairs
    ]
