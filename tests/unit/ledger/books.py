"""A small set of books for the ledger's tests: who has accounts, and short words to post with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from core.ids import new_id
from ledger.selectors import balances
from ledger.services import (
    AccountKey,
    AccountSpec,
    CreateHold,
    GroupResult,
    Leg,
    Operation,
    PostTransfer,
    open_accounts,
    post,
)

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
PLATFORM = UUID(int=1)
BUYER, OTHER_BUYER, PROVIDER = UUID(int=11), UUID(int=12), UUID(int=21)

BANK = AccountKey(PLATFORM, "bank", "zhengzhou")
COMMISSION = AccountKey(PLATFORM, "commission", "zhengzhou")
AVAILABLE = AccountKey(BUYER, "available", "zhengzhou")
OTHER_AVAILABLE = AccountKey(OTHER_BUYER, "available", "zhengzhou")
PAYABLE = AccountKey(PROVIDER, "payable", "zhengzhou")
CLEARING = AccountKey(PLATFORM, "clearing:luoyang", "zhengzhou")
MIRROR = AccountKey(PLATFORM, "clearing:zhengzhou", "luoyang")
FAR_PAYABLE = AccountKey(PROVIDER, "payable", "luoyang")
VOUCHER = AccountKey(BUYER, "voucher", "zhengzhou", "voucher-2026")
VOUCHER_BUDGET = AccountKey(PLATFORM, "voucher_budget", "zhengzhou", "voucher-2026")
NEVER_OPENED = AccountKey(UUID(int=99), "available", "zhengzhou")

SPECS = [
    AccountSpec(BANK, "debit"),
    AccountSpec(COMMISSION, "credit", stripes=4),
    AccountSpec(AVAILABLE, "credit", floor=True),
    AccountSpec(OTHER_AVAILABLE, "credit", floor=True),
    AccountSpec(PAYABLE, "credit"),
    AccountSpec(CLEARING, "credit"),
    AccountSpec(MIRROR, "credit"),
    AccountSpec(FAR_PAYABLE, "credit"),
    AccountSpec(VOUCHER, "credit", floor=True),
    AccountSpec(VOUCHER_BUDGET, "debit"),
]


def open_books() -> None:
    """Open every account above."""
    open_accounts(SPECS)


def transfer(
    debit: AccountKey,
    credit: AccountKey,
    amount: int,
    *,
    transfer_id: UUID | None = None,
    code: str = "test.move",
    hold: UUID | None = None,
    effective_at: datetime = NOW,
) -> PostTransfer:
    """A transfer of two legs."""
    legs = (Leg(debit, amount), Leg(credit, -amount))
    return PostTransfer(transfer_id or new_id(), code, UUID(int=5), effective_at, legs, hold)


def hold(
    account: AccountKey,
    amount: int,
    *,
    hold_id: UUID | None = None,
    expires_at: datetime | None = None,
) -> CreateHold:
    """A hold on an account."""
    return CreateHold(hold_id or new_id(), account, amount, "test.hold", UUID(int=5), expires_at)


def post_one(*operations: Operation, now: datetime = NOW) -> GroupResult:
    """Post a single group."""
    return post([operations], now=now)[0]


def fund(account: AccountKey, amount: int) -> None:
    """Bring money from the bank (or a voucher from its budget) to an account."""
    source = VOUCHER_BUDGET if account.asset == VOUCHER_BUDGET.asset else BANK
    assert post_one(transfer(source, account, amount)).code == "ok"


def of(key: AccountKey) -> tuple[int, int, int]:
    """Balance, held and available of an account, in its normal side."""
    found = balances([key])[key]
    return found.balance, found.held, found.available


def stand(*keys: AccountKey) -> tuple[int, ...]:
    """The balance of each account, in its normal side."""
    found = balances(keys)
    return tuple(found[key].balance for key in keys)
