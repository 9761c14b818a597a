"""The ledger in plain Python: an independent account of what every call must answer and leave.

It works on deep copies, one group at a time, and knows nothing of locks, versions or SQL.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from ledger.services import (
    AccountKey,
    AccountSpec,
    CreateHold,
    ExtendHold,
    Group,
    PostTransfer,
    ReleaseHold,
)

MOST = 2**63 - 1

# Of one region and asset: debits, credits, and what the accounts of each code come to.
Books = tuple[int, int, dict[str, int]]


class Refusal(Exception):
    """A group is refused with this code."""


@dataclass
class ModelAccount:
    """Displayed balance (normal side) and what is held."""

    side: int
    floor: bool
    striped: bool
    balance: int = 0
    held: int = 0


@dataclass
class ModelHold:
    """A hold as it was made, and what became of it."""

    made: CreateHold
    expires_at: datetime | None
    rest: int
    posted: int = 0


@dataclass
class Model:
    """All of the books."""

    accounts: dict[AccountKey, ModelAccount] = field(default_factory=dict)
    holds: dict[UUID, ModelHold] = field(default_factory=dict)
    transfers: dict[UUID, PostTransfer] = field(default_factory=dict)
    periods: dict[int, str] = field(default_factory=dict)  # state by id
    closing_codes: dict[int, set[str]] = field(default_factory=dict)
    booked: dict[UUID, int] = field(default_factory=dict)  # the period of each transfer
    recorded: dict[UUID, datetime] = field(default_factory=dict)
    undone: set[UUID] = field(default_factory=set)

    def balance_at(self, key: AccountKey, at: datetime) -> int:
        """By the effective time, from all transfers."""
        side = self.accounts[key].side
        return sum(
            leg.amount * side
            for transfer in self.transfers.values()
            if transfer.effective_at <= at
            for leg in transfer.legs
            if leg.account == key
        )

    def books(self, counts: Callable[[PostTransfer], bool]) -> dict[tuple[str, str], Books]:
        """The trial balance of the transfers that count, by region and asset."""
        stands: dict[AccountKey, int] = {}
        for transfer in filter(counts, self.transfers.values()):
            for leg in transfer.legs:
                stands[leg.account] = stands.get(leg.account, 0) + leg.amount
        books: dict[tuple[str, str], Books] = {}
        for key, amount in stands.items():
            debits, credits_, codes = books.get((key.region, key.asset), (0, 0, {}))
            codes[key.code] = codes.get(key.code, 0) + amount
            books[key.region, key.asset] = (
                debits + max(amount, 0),
                credits_ + max(-amount, 0),
                codes,
            )
        return books

    def open(self, spec: AccountSpec) -> None:
        side = 1 if spec.normal_side == "debit" else -1
        self.accounts[spec.key] = ModelAccount(side, spec.floor, spec.stripes > 1)

    def post(self, groups: list[Group], now: datetime) -> list[str]:
        return [self._group(group, now) for group in groups]

    def expire(self, now: datetime) -> int:
        expired = 0
        for hold in self.holds.values():
            if hold.rest and hold.expires_at is not None and hold.expires_at <= now:
                self.accounts[hold.made.account].held -= hold.rest
                hold.rest = 0
                expired += 1
        return expired

    def _group(self, group: Group, now: datetime) -> str:
        seen = [self._seen(op) for op in group if isinstance(op, (PostTransfer, CreateHold))]
        if "other" in seen or len(set(seen)) > 1:
            return "conflicting_content"
        if seen and seen[0] == "same":
            return "exists"
        before = copy.deepcopy(
            (self.accounts, self.holds, self.transfers, self.booked, self.recorded, self.undone)
        )
        try:
            for operation in group:
                self._apply(operation, now)
            for account in self.accounts.values():
                if account.floor and account.balance - account.held < 0:
                    raise Refusal("insufficient_funds")
        except Refusal as refusal:
            (
                self.accounts,
                self.holds,
                self.transfers,
                self.booked,
                self.recorded,
                self.undone,
            ) = before
            return str(refusal)
        return "ok"

    def _seen(self, operation: PostTransfer | CreateHold) -> str:
        if isinstance(operation, PostTransfer):
            known = self.transfers.get(operation.id)
            if known is None:
                return "new"
            named = operation.period in (None, self.booked[operation.id])
            return "same" if named and replace(operation, period=known.period) == known else "other"
        hold = self.holds.get(operation.id)
        if hold is None:
            return "new"
        made = hold.made
        same = (made.account, made.amount, made.code, made.reference) == (
            operation.account,
            operation.amount,
            operation.code,
            operation.reference,
        )
        return "same" if same else "other"

    def _apply(self, operation: object, now: datetime) -> None:
        match operation:
            case PostTransfer():
                self._post(operation, now)
            case CreateHold():
                if operation.id in self.holds:
                    raise Refusal("conflicting_content")
                account = self._account(operation.account)
                if account.striped:
                    raise Refusal("unknown_account")
                account.held += operation.amount
                if account.held > MOST:
                    raise Refusal("out_of_range")
                self.holds[operation.id] = ModelHold(
                    operation, operation.expires_at, operation.amount
                )
            case ReleaseHold():
                hold = self._hold(operation.hold)
                amount = hold.rest if operation.amount is None else operation.amount
                self._shrink(hold, amount)
            case ExtendHold():
                hold = self._hold(operation.hold)
                if hold.rest == 0:
                    raise Refusal("hold_exhausted")
                hold.expires_at = operation.expires_at

    def _post(self, transfer: PostTransfer, now: datetime) -> None:
        if transfer.id in self.transfers:
            raise Refusal("conflicting_content")
        for place in {(leg.account.region, leg.account.asset) for leg in transfer.legs}:
            if sum(
                leg.amount
                for leg in transfer.legs
                if (leg.account.region, leg.account.asset) == place
            ):
                raise Refusal("unbalanced")
        period = transfer.period
        if period is None:
            period = next(n for n, state in self.periods.items() if state == "open")
        state = self.periods.get(period)
        if state != "open" and not (
            state == "closing" and transfer.code in self.closing_codes[period]
        ):
            raise Refusal("period_closed")
        if transfer.reverses:
            undone = self.transfers.get(transfer.reverses)
            if undone is None or transfer.reverses in self.undone:
                raise Refusal("reversal_refused")
            opposite = sorted((leg.account, -leg.amount) for leg in undone.legs)
            if sorted((leg.account, leg.amount) for leg in transfer.legs) != opposite:
                raise Refusal("reversal_refused")
            self.undone.add(transfer.reverses)
        hold = self._hold(transfer.hold) if transfer.hold else None
        taken = 0
        for leg in transfer.legs:
            account = self._account(leg.account)
            account.balance += leg.amount * account.side
            if abs(account.balance) > MOST:
                raise Refusal("out_of_range")
            if hold and leg.account == hold.made.account:
                taken -= leg.amount * account.side
        if hold:
            if taken <= 0:
                raise Refusal("hold_not_found")
            self._shrink(hold, taken)
            hold.posted += taken
        self.transfers[transfer.id] = transfer
        self.booked[transfer.id] = period
        self.recorded[transfer.id] = now

    def _shrink(self, hold: ModelHold, amount: int) -> None:
        if amount > hold.rest:
            raise Refusal("hold_exhausted")
        hold.rest -= amount
        self.accounts[hold.made.account].held -= amount

    def _account(self, key: AccountKey) -> ModelAccount:
        if key not in self.accounts:
            raise Refusal("unknown_account")
        return self.accounts[key]

    def _hold(self, hold_id: UUID) -> ModelHold:
        if hold_id not in self.holds:
            raise Refusal("hold_not_found")
        return self.holds[hold_id]
