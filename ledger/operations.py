"""The words of the ledger's public interface: what a caller asks for, and what it is answered.

Pure values. An amount is a whole number of the asset's smallest unit (``CNY``: a millionth of a
yuan), so that fractions, ``NaN`` and infinity cannot be expressed; zero is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias
from uuid import UUID

MAX_AMOUNT = 10**18  # of a single leg or hold; the balances themselves are 64-bit

NormalSideName: TypeAlias = Literal["debit", "credit"]
ResultCode: TypeAlias = Literal[
    "ok",  # applied now
    "exists",  # the same ids with the same content were applied before; nothing moved
    "conflicting_content",  # an id is known with other content, or only a part of the ids is known
    "unbalanced",  # a transfer's legs do not sum to zero in each asset and region
    "unknown_account",  # an account was never opened (or is striped, and cannot carry a hold)
    "hold_not_found",  # no such hold on an account that the transfer takes from
    "hold_exhausted",  # less rests on the hold than is to be posted or released
    "insufficient_funds",  # an account with a floor would be left with available < 0
    "out_of_range",  # a balance would leave 64 bits
    "period_closed",  # the period named takes no more entries, or not of this code
    "reversal_refused",  # what is to be reversed is unknown, reversed already, or not the opposite
]


class AccountKey(NamedTuple):
    """What names an account: whose, for what use, in which region's books, of which asset."""

    owner: UUID
    code: str
    region: str
    asset: str = "CNY"


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """How an account behaves.

    ``floor``: available (balance in the normal side − holds) never falls below zero.
    ``stripes``: an account that everybody writes to is kept as so many rows that add up to one;
    each call of ``post`` writes to one of them. Such an account has no floor and carries no holds.
    """

    key: AccountKey
    normal_side: NormalSideName
    floor: bool = False
    stripes: int = 1

    def __post_init__(self) -> None:
        if self.normal_side not in ("debit", "credit"):
            raise ValueError("the normal side is 'debit' or 'credit'")
        if not 1 <= self.stripes <= 64:
            raise ValueError("an account has 1 to 64 stripes")
        if self.floor and self.stripes != 1:
            raise ValueError("an account with a floor has one stripe")


def _check_amount(amount: int) -> None:
    if type(amount) is not int:
        raise TypeError("an amount is a whole number of the asset's smallest unit")
    if not -MAX_AMOUNT <= amount <= MAX_AMOUNT or not amount:
        raise ValueError("an amount is not zero and within 10^18 smallest units")


def _check_code(code: str) -> None:
    if not code or len(code) > 64:
        raise ValueError("a code has 1 to 64 characters")


def _check_aware(at: datetime) -> None:
    if at.tzinfo is None:
        raise ValueError("an instant carries its time zone")


@dataclass(frozen=True, slots=True)
class Leg:
    """One entry of a transfer: ``amount`` above zero debits the account, below zero credits it."""

    account: AccountKey
    amount: int

    def __post_init__(self) -> None:
        _check_amount(self.amount)


@dataclass(frozen=True, slots=True)
class PostTransfer:
    """Move amounts between accounts; the legs sum to zero in each asset and region.

    ``id`` is the caller's and makes the call repeatable. With ``hold`` set, what the transfer
    takes from the hold's account is a partial post of that hold and at most what rests on it.
    ``reverses`` names the transfer that this one undoes, leg by leg (see ``reversal_of``).
    ``period``: the period to book it into; ``None``: the open one, and a repeat matches any.
    """

    id: UUID
    code: str
    reference: UUID
    effective_at: datetime
    legs: tuple[Leg, ...]
    hold: UUID | None = None
    reverses: UUID | None = None
    period: int | None = None

    def __post_init__(self) -> None:
        _check_code(self.code)
        _check_aware(self.effective_at)
        if not 2 <= len(self.legs) <= 1000:
            raise ValueError("a transfer has 2 to 1000 legs")
        if self.reverses is not None and self.hold is not None:
            raise ValueError("a reversal takes from no hold")

    def is_repeated_by(self, wanted: PostTransfer) -> bool:
        """Whether ``wanted`` asks for what this transfer is."""
        return self == wanted or (wanted.period is None and replace(self, period=None) == wanted)


def reversal_of(
    transfer: PostTransfer, *, transfer_id: UUID, code: str, effective_at: datetime
) -> PostTransfer:
    """The transfer that undoes ``transfer``: a correction adds, it never changes what is there."""
    return PostTransfer(
        id=transfer_id,
        code=code,
        reference=transfer.reference,
        effective_at=effective_at,
        legs=tuple(Leg(leg.account, -leg.amount) for leg in transfer.legs),
        reverses=transfer.id,
    )


@dataclass(frozen=True, slots=True)
class CreateHold:
    """Set ``amount`` of an account aside, to be posted in parts, released, or expired by a sweep.

    ``expires_at`` is a term that ``ExtendHold`` may change, so it is no part of the content that
    a repeat must match. ``None``: the hold lasts until it is posted or released.
    """

    id: UUID
    account: AccountKey
    amount: int
    code: str
    reference: UUID
    expires_at: datetime | None

    def __post_init__(self) -> None:
        _check_amount(self.amount)
        _check_code(self.code)
        if self.amount < 0:
            raise ValueError("a hold's amount is above zero")
        if self.expires_at is not None:
            _check_aware(self.expires_at)


@dataclass(frozen=True, slots=True)
class ReleaseHold:
    """Give back ``amount`` of what rests on a hold; ``None``: all of it, also where nothing rests.

    A release has no id of its own. A partial one is repeatable only in a group with a transfer or
    a new hold, whose ids let the whole group be recognised.
    """

    hold: UUID
    amount: int | None = None

    def __post_init__(self) -> None:
        if self.amount is not None:
            _check_amount(self.amount)
            if self.amount < 0:
                raise ValueError("a released amount is above zero")


@dataclass(frozen=True, slots=True)
class ExtendHold:
    """Give a hold on which something rests another deadline (``None``: none)."""

    hold: UUID
    expires_at: datetime | None

    def __post_init__(self) -> None:
        if self.expires_at is not None:
            _check_aware(self.expires_at)


Operation: TypeAlias = PostTransfer | CreateHold | ReleaseHold | ExtendHold
Group: TypeAlias = tuple[Operation, ...]  # all or none


@dataclass(frozen=True, slots=True)
class GroupResult:
    """What became of a group; ``detail`` says in words what stood in the way."""

    ok: bool
    code: ResultCode
    detail: str = ""


@dataclass(frozen=True, slots=True)
class PeriodTerms:
    """What a period takes: everything while ``open``, ``closing_codes`` while ``closing``."""

    state: str
    closing_codes: frozenset[str] = frozenset()

    def takes(self, code: str) -> bool:
        """Whether a transfer of this code may still be booked into the period."""
        return self.state == "open" or (self.state == "closing" and code in self.closing_codes)


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's state in its normal side; ``available`` is balance − held."""

    balance: int
    held: int

    @property
    def available(self) -> int:
        """What may still be taken or held."""
        return self.balance - self.held
