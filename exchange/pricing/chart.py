"""The chart of accounts: which ledger accounts the exchange uses, and how each behaves.

Region is a dimension of every account. Between two regions that trade there is a clearing account
in each, named after the other: ``clearing:<other region>``; the two mirror each other.
"""

from __future__ import annotations

from uuid import UUID

from core.money import CNY
from ledger.services import AccountKey, AccountSpec

PLATFORM = UUID(int=1)

AVAILABLE = "available"  # prepaid funds of a buyer; never below zero
PAYABLE = "payable"  # what a provider or a carrier has coming
COMMISSION = "commission"  # the platform's income
TAX_PAYABLE = "tax_payable"  # value-added tax withheld for its issuers
CONGESTION_RENT = "congestion_rent"  # what price differences between zones bring above transport
ROUNDING = "rounding"  # what whole fen leave over
BANK = "bank"  # the platform's bank sub-account of the region
SUSPENSE = "suspense"  # money from the bank that nobody has claimed yet
CLEARING = "clearing"  # what this region owes another, or has coming from it

_DEBIT_NORMAL = frozenset({BANK})
# Everybody's charges write to these; several rows that add up to one keep them from queueing.
_STRIPES = 4
_STRIPED = frozenset({COMMISSION, TAX_PAYABLE, CONGESTION_RENT, CLEARING})


def account(owner: UUID, code: str, region: str) -> AccountKey:
    """The key of an organisation's (or the platform's) account in a region, in yuan."""
    return AccountKey(owner=owner, code=code, region=region, asset=CNY)


def clearing(region: str, other_region: str) -> AccountKey:
    """The clearing account that stands in ``region`` towards ``other_region``."""
    return account(PLATFORM, f"{CLEARING}:{other_region}", region)


def spec(key: AccountKey) -> AccountSpec:
    """How an account of this chart behaves: its normal side and whether it has a floor."""
    return AccountSpec(
        key=key,
        normal_side="debit" if key.code in _DEBIT_NORMAL else "credit",
        floor=key.code == AVAILABLE,
        stripes=_STRIPES if key.code.partition(":")[0] in _STRIPED else 1,
    )
