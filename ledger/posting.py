"""Judging groups one at a time against the locked state, in memory.

Pure: knows no database. ``services`` locks and reads what the groups name, this decides what
becomes of each group in the order given, and ``statements`` writes the outcome at once. Since every
account concerned is locked, deciding here is exact: a group that is refused leaves the state as
it was, whatever comes before or after it, and the rows to be written already carry their running
balance and their account's version.

Which refusal is named where several hold: first what is known of the ids (a repeat is recognised
also where its funds are gone since), then the operations in the order given: of a transfer its
balance, its period, what it reverses, its hold, its accounts leg by leg, what rests on the hold; at
the end of the group its floors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from ledger.operations import (
    AccountKey,
    CreateHold,
    ExtendHold,
    Group,
    GroupResult,
    Operation,
    PeriodTerms,
    PostTransfer,
    ReleaseHold,
    ResultCode,
)

_MOST = 2**63 - 1
_OK = GroupResult(True, "ok")
_EXISTS = GroupResult(True, "exists")

# transfer id, position, account id, amount, balance after, version, hold id
EntryRow = tuple[UUID, int, int, int, int, int, UUID | None]


@dataclass(slots=True)
class AccountState:
    """A locked account; debits are above zero in ``balance``; ``side``: 1 debit, -1 credit."""

    id: int
    side: int
    floor: bool
    striped: bool
    balance: int
    held: int
    version: int
    recorded_at: datetime | None = None


@dataclass(slots=True)
class HoldState:
    """A hold of a locked account."""

    id: UUID
    account: AccountState
    key: AccountKey
    amount: int
    code: str
    reference: UUID
    created_at: datetime
    expires_at: datetime | None
    posted: int = 0
    released: int = 0
    resolution: str | None = None
    resolved_at: datetime | None = None

    @property
    def rest(self) -> int:
        """What may still be posted or released."""
        return self.amount - self.posted - self.released

    def is_repeated_by(self, wanted: CreateHold) -> bool:
        """Whether ``wanted`` says the same as what made this hold."""
        return (self.key, self.amount, self.code, self.reference) == (
            wanted.account,
            wanted.amount,
            wanted.code,
            wanted.reference,
        )


class _RefusedError(Exception):
    def __init__(self, code: ResultCode, detail: str) -> None:
        super().__init__(detail)
        self.result = GroupResult(False, code, detail)


@dataclass(slots=True)
class _Group:
    """What the group under judgement has touched, as it was before."""

    accounts: dict[int, tuple[AccountState, AccountKey, int, int, int, datetime | None]] = field(
        default_factory=dict
    )
    holds: dict[UUID, tuple[HoldState, tuple[int, int, str | None, datetime | None, object]]] = (
        field(default_factory=dict)
    )
    new_holds: list[UUID] = field(default_factory=list)


class Posting:
    """The state of one call: what was locked and read, and what is to be written.

    ``accounts``: the locked stripe of each key. ``holds`` and ``transfers``: those that exist
    already of the ids that the groups name; ``reversed``: which of them are reversed already.
    ``periods``: those that are not closed, and those named; one of them is open.

    ``recorded_at`` is ``now``, or the latest that any of the accounts was recorded at where clocks
    differ: along an account's entries it never falls.
    """

    def __init__(
        self,
        *,
        accounts: dict[AccountKey, AccountState],
        holds: dict[UUID, HoldState],
        transfers: dict[UUID, PostTransfer],
        now: datetime,
        periods: dict[int, PeriodTerms] | None = None,
        reversed_ids: set[UUID] | None = None,
    ) -> None:
        self._accounts = accounts
        self._holds = holds
        self._transfers = transfers
        self._now = now
        self._periods = periods or {}
        self._reversed = reversed_ids or set()
        self._open_period = next((n for n, p in self._periods.items() if p.state == "open"), None)
        self.recorded_at = max(
            [now, *(a.recorded_at for a in accounts.values() if a.recorded_at is not None)]
        )
        self.new_transfers: list[tuple[PostTransfer, int]] = []
        self.new_entries: list[EntryRow] = []
        self.new_holds: dict[UUID, HoldState] = {}
        self.changed_holds: dict[UUID, HoldState] = {}
        self.changed_accounts: dict[int, AccountState] = {}
        self._group = _Group()

    def judge(self, group: Group) -> GroupResult:
        """Apply the group as a whole, or say why not and leave everything as it was."""
        known = self._known(group)
        if known is not None:
            return known
        return self._whole(group)

    def expire(self, hold_id: UUID) -> bool:
        """Give the rest of an overdue hold back; ``False`` where it is not overdue (any more)."""
        hold = self._holds.get(hold_id)
        if hold is None or not hold.rest or hold.expires_at is None or hold.expires_at > self._now:
            return False
        self._group = _Group()
        self._take_from(hold, released=hold.rest, resolution="expired")
        self._keep()
        return True

    def _known(self, group: Group) -> GroupResult | None:
        """The answer where the group's ids are known already; ``None`` where all are new."""
        known = new = 0
        for operation in group:
            if type(operation) is PostTransfer:
                stored = self._transfers.get(operation.id)
                same = stored is not None and stored.is_repeated_by(operation)
            elif type(operation) is CreateHold:
                hold = self._holds.get(operation.id)
                stored, same = hold, hold is not None and hold.is_repeated_by(operation)  # type: ignore[assignment]
            else:
                continue
            if stored is None:
                new += 1
            elif same:
                known += 1
            else:
                return GroupResult(
                    False, "conflicting_content", f"{operation.id} is known with other content"
                )
        if not known:
            return None
        if new:
            return GroupResult(
                False, "conflicting_content", "some of the group's ids are known, others are not"
            )
        return _EXISTS

    def _whole(self, group: Group) -> GroupResult:
        self._group = _Group()
        transfers, entries = len(self.new_transfers), len(self.new_entries)
        try:
            for operation in group:
                self._apply(operation)
            self._check_floors()
        except _RefusedError as refused:
            self._undo(transfers, entries)
            return refused.result
        self._keep()
        return _OK

    def _apply(self, operation: Operation) -> None:
        if type(operation) is PostTransfer:
            self._post(operation)
        elif type(operation) is CreateHold:
            self._create(operation)
        elif type(operation) is ReleaseHold:
            self._release(operation)
        elif type(operation) is ExtendHold:
            self._extend(operation)
        else:
            raise TypeError(f"not an operation of the ledger: {operation!r}")

    def _post(self, transfer: PostTransfer) -> None:
        if transfer.id in self._transfers:
            raise _RefusedError("conflicting_content", f"{transfer.id} stands twice in the group")
        _check_balanced(transfer)
        period = self._check_period(transfer)
        if transfer.reverses is not None:
            self._check_reversal(transfer, transfer.reverses)
        hold = None if transfer.hold is None else self._find_hold(transfer.hold)
        taken = 0
        rows = self.new_entries
        for position, leg in enumerate(transfer.legs, start=1):
            account = self._touch(leg.account)
            account.balance = balance = account.balance + leg.amount
            account.version = version = account.version + 1
            account.recorded_at = self.recorded_at
            if not -_MOST <= balance <= _MOST:
                raise _RefusedError("out_of_range", f"{_name(leg.account)} would leave 64 bits")
            held_here = hold is not None and hold.account is account
            rows.append(
                (
                    transfer.id,
                    position,
                    account.id,
                    leg.amount,
                    balance,
                    version,
                    transfer.hold if held_here else None,
                )
            )
            if held_here:
                taken -= leg.amount * account.side
        if hold is not None:
            if taken <= 0:
                raise _RefusedError(
                    "hold_not_found", f"the transfer takes nothing from the account of {hold.id}"
                )
            self._take_from(hold, posted=taken, resolution="posted")
        self._transfers[transfer.id] = transfer
        self.new_transfers.append((transfer, period))
        if transfer.reverses is not None:
            self._reversed.add(transfer.reverses)

    def _check_period(self, transfer: PostTransfer) -> int:
        period = self._open_period if transfer.period is None else transfer.period
        if period is None:
            raise _RefusedError("period_closed", "no period is open")
        terms = self._periods.get(period)
        if terms is None or not terms.takes(transfer.code):
            raise _RefusedError("period_closed", f"period {period} takes no {transfer.code}")
        return period

    def _check_reversal(self, transfer: PostTransfer, reverses: UUID) -> None:
        original = self._transfers.get(reverses)
        if original is None:
            raise _RefusedError("reversal_refused", f"there is no transfer {reverses}")
        if reverses in self._reversed:
            raise _RefusedError("reversal_refused", f"{reverses} is reversed already")
        undone = sorted((leg.account, -leg.amount) for leg in original.legs)
        if undone != sorted((leg.account, leg.amount) for leg in transfer.legs):
            raise _RefusedError(
                "reversal_refused", f"the legs are not the opposite of those of {reverses}"
            )

    def _create(self, wanted: CreateHold) -> None:
        if wanted.id in self._holds:
            raise _RefusedError("conflicting_content", f"{wanted.id} stands twice in the group")
        account = self._touch(wanted.account)
        if account.striped:
            raise _RefusedError(
                "unknown_account", f"{_name(wanted.account)} is striped and carries no holds"
            )
        account.held += wanted.amount
        if account.held > _MOST:
            raise _RefusedError("out_of_range", f"{_name(wanted.account)} would leave 64 bits")
        self._holds[wanted.id] = HoldState(
            id=wanted.id,
            account=account,
            key=wanted.account,
            amount=wanted.amount,
            code=wanted.code,
            reference=wanted.reference,
            created_at=self._now,
            expires_at=wanted.expires_at,
        )
        self._group.new_holds.append(wanted.id)

    def _release(self, wanted: ReleaseHold) -> None:
        hold = self._find_hold(wanted.hold)
        amount = hold.rest if wanted.amount is None else wanted.amount
        if amount:
            self._take_from(hold, released=amount, resolution="released")

    def _extend(self, wanted: ExtendHold) -> None:
        hold = self._find_hold(wanted.hold)
        if not hold.rest:
            raise _RefusedError("hold_exhausted", f"nothing rests on {hold.id}")
        self._save(hold)
        hold.expires_at = wanted.expires_at

    def _find_hold(self, hold_id: UUID) -> HoldState:
        hold = self._holds.get(hold_id)
        if hold is None:
            raise _RefusedError("hold_not_found", f"there is no hold {hold_id}")
        return hold

    def _take_from(
        self, hold: HoldState, *, posted: int = 0, released: int = 0, resolution: str
    ) -> None:
        if posted + released > hold.rest:
            raise _RefusedError(
                "hold_exhausted",
                f"{hold.rest} rests on {hold.id}, less than {posted + released}",
            )
        self._save(hold)
        self._touch(hold.key).held -= posted + released
        hold.posted += posted
        hold.released += released
        if not hold.rest:
            hold.resolution, hold.resolved_at = resolution, self._now

    def _touch(self, key: AccountKey) -> AccountState:
        account = self._accounts.get(key)
        if account is None:
            raise _RefusedError("unknown_account", f"{_name(key)} was never opened")
        if account.id not in self._group.accounts:
            self._group.accounts[account.id] = (
                account,
                key,
                account.balance,
                account.held,
                account.version,
                account.recorded_at,
            )
        return account

    def _save(self, hold: HoldState) -> None:
        if hold.id not in self._group.holds:
            before = (
                hold.posted,
                hold.released,
                hold.resolution,
                hold.resolved_at,
                hold.expires_at,
            )
            self._group.holds[hold.id] = (hold, before)

    def _check_floors(self) -> None:
        for account, key, *_ in self._group.accounts.values():
            if account.floor and account.balance * account.side < account.held:
                short = account.held - account.balance * account.side
                raise _RefusedError(
                    "insufficient_funds", f"{_name(key)} is short of {short} smallest units"
                )

    def _keep(self) -> None:
        group = self._group
        for account_id, (account, *_) in group.accounts.items():
            self.changed_accounts[account_id] = account
        for hold_id in group.new_holds:
            self.new_holds[hold_id] = self._holds[hold_id]
        for hold_id, (hold, _) in group.holds.items():
            if hold_id not in self.new_holds:
                self.changed_holds[hold_id] = hold

    def _undo(self, transfers: int, entries: int) -> None:
        group = self._group
        for account, _, balance, held, version, recorded_at in group.accounts.values():
            account.balance, account.held, account.version = balance, held, version
            account.recorded_at = recorded_at
        for hold, before in group.holds.values():
            (
                hold.posted,
                hold.released,
                hold.resolution,
                hold.resolved_at,
                hold.expires_at,
            ) = before  # type: ignore[assignment]
        for hold_id in group.new_holds:
            del self._holds[hold_id]
        for transfer, _ in self.new_transfers[transfers:]:
            del self._transfers[transfer.id]
            if transfer.reverses is not None:
                self._reversed.discard(transfer.reverses)
        del self.new_transfers[transfers:], self.new_entries[entries:]


def named_accounts(groups: Sequence[Group]) -> set[AccountKey]:
    """The accounts that the groups name themselves (those of existing holds come on top)."""
    keys: set[AccountKey] = set()
    for group in groups:
        for operation in group:
            if type(operation) is PostTransfer:
                keys.update([leg.account for leg in operation.legs])
            elif type(operation) is CreateHold:
                keys.add(operation.account)
    return keys


def named_holds(groups: Sequence[Group]) -> set[UUID]:
    """The holds that the groups make, take from, release or extend."""
    ids: set[UUID] = set()
    for group in groups:
        for operation in group:
            hold = operation.id if type(operation) is CreateHold else operation.hold  # type: ignore[union-attr]
            if hold is not None:
                ids.add(hold)
    return ids


def named_transfers(groups: Sequence[Group]) -> list[UUID]:
    """The ids of the transfers in the groups, and of those that they reverse."""
    ids = [op.id for group in groups for op in group if type(op) is PostTransfer]
    return ids + named_reversals(groups)


def named_reversals(groups: Sequence[Group]) -> list[UUID]:
    """The ids of the transfers that the groups reverse."""
    return [
        op.reverses
        for group in groups
        for op in group
        if type(op) is PostTransfer and op.reverses is not None
    ]


def named_periods(groups: Sequence[Group]) -> set[int]:
    """The periods that transfers in the groups name themselves."""
    return {
        op.period
        for group in groups
        for op in group
        if type(op) is PostTransfer and op.period is not None
    }


def is_plain(groups: Sequence[Group]) -> bool:
    """Whether all that is asked for is transfers without hold, reversal or period, balanced and
    with different ids: what the fast path takes (``whole_set``)."""
    ids: set[UUID] = set()
    for group in groups:
        for op in group:
            if (
                type(op) is not PostTransfer
                or op.hold is not None
                or op.reverses is not None
                or op.period is not None
                or not _is_balanced(op)
            ):
                return False
            ids.add(op.id)
    return bool(ids) and len(ids) == sum(map(len, groups))


def _is_balanced(transfer: PostTransfer) -> bool:
    """Whether the legs sum to zero in each region and asset; quick where there is one of them."""
    region, asset = transfer.legs[0].account[2:]
    total = 0
    for leg in transfer.legs:
        if leg.account[2] != region or leg.account[3] != asset:
            return not any(_left(transfer).values())
        total += leg.amount
    return total == 0


def _left(transfer: PostTransfer) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = {}
    for leg in transfer.legs:
        place = leg.account[2:]  # region, asset
        sums[place] = sums.get(place, 0) + leg.amount
    return sums


def _check_balanced(transfer: PostTransfer) -> None:
    for (region, asset), total in _left(transfer).items():
        if total:
            raise _RefusedError(
                "unbalanced", f"the legs of {transfer.id} in {region} leave {total} {asset}"
            )


def _name(key: AccountKey) -> str:
    return f"{key.code} of {key.owner} in {key.region} ({key.asset})"
