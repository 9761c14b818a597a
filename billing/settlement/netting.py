"""Multilateral netting: from what each owes each to the few payments that settle it all. Pure.

A party's *position* is what it is owed less what it owes. Netting changes no position: it replaces
debts by payments with the same positions, at most n - 1 of them for n parties.

- `net`: whoever owes most pays whoever is owed most, until nothing is left. Every payment brings
  one of the two to zero, the last one both; hence n - 1.
- `net_centrally`: the operator is the central counterparty. Every other party with a position pays
  the operator or is paid by it, once.

Each payment names the debts behind it on both sides, each with its amount: what the payer
discharges of what it owes, and what the payee gets of what it is owed. What of a debt no payment
names was set off: the debtor's part against what the debtor was owed, the creditor's part against
what the creditor owed. Debts are taken in the order of their ids, parties in that of size and key,
so that equal input gives equal output, in whatever order it came.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Party = TypeVar("Party")
"""Whatever owes and is owed: hashable, and comparable with its like (a region's code, an id)."""


@dataclass(frozen=True, slots=True)
class Debt(Generic[Party]):
    """The debtor owes the creditor an amount above zero. The id (comparable, unique where given)
    is what payments name.
    """

    debtor: Party
    creditor: Party
    amount: int
    id: Any = None


@dataclass(frozen=True, slots=True)
class Portion:
    """So much of a debt."""

    debt: Any  # its id
    amount: int


@dataclass(frozen=True, slots=True)
class Payment(Generic[Party]):
    """A payment out of netting. The portions of each side sum to its amount; a central
    counterparty has none, since it owes and is owed by way of the others only.
    """

    payer: Party
    payee: Party
    amount: int
    discharged: tuple[Portion, ...]  # of what the payer owes
    received: tuple[Portion, ...]  # of what the payee is owed


def positions(debts: Iterable[Debt[Party]]) -> dict[Party, int]:
    """What each party is owed less what it owes, in the order of keys; the sum is zero."""
    sums: dict[Any, int] = defaultdict(int)
    for debt in debts:
        sums[debt.debtor] -= debt.amount
        sums[debt.creditor] += debt.amount
    return {party: sums[party] for party in sorted(sums)}


def net(debts: Iterable[Debt[Party]]) -> tuple[Payment[Party], ...]:
    """Payments from those who owe on balance straight to those who are owed.

    `ValueError` where a debt is not above zero, owed to oneself, or an id given twice.
    """
    ordered = _checked(debts)
    owing, owed = _owing(ordered), _owed(ordered)
    balance = positions(ordered)
    debtors = deque(_by_size((party, -position) for party, position in balance.items()))
    creditors = deque(_by_size(balance.items()))
    payments = []
    while debtors:
        (payer, debt), (payee, credit) = debtors.popleft(), creditors.popleft()
        amount = min(debt, credit)
        payments.append(
            Payment(payer, payee, amount, owing.take(payer, amount), owed.take(payee, amount))
        )
        if debt > amount:
            debtors.appendleft((payer, debt - amount))
        if credit > amount:
            creditors.appendleft((payee, credit - amount))
    return tuple(payments)


def net_centrally(debts: Iterable[Debt[Party]], operator: Party) -> tuple[Payment[Party], ...]:
    """One payment for each party but the operator: to it, or from it; payments in come first.

    `ValueError` as for `net`.
    """
    ordered = _checked(debts)
    owing, owed = _owing(ordered), _owed(ordered)
    others = [(party, n) for party, n in positions(ordered).items() if party != operator]
    pay_in = _by_size((party, -position) for party, position in others)
    pay_out = _by_size(others)
    return (
        *(Payment(party, operator, n, owing.take(party, n), ()) for party, n in pay_in),
        *(Payment(operator, party, n, (), owed.take(party, n)) for party, n in pay_out),
    )


def _checked(debts: Iterable[Debt[Party]]) -> list[Debt[Party]]:
    ordered = sorted(debts, key=_order)
    for i, debt in enumerate(ordered):
        if debt.amount <= 0:
            raise ValueError(f"the debt of {debt.debtor} to {debt.creditor} is not above zero")
        if debt.debtor == debt.creditor:
            raise ValueError(f"{debt.debtor} owes itself")
        if i and debt.id is not None and debt.id == ordered[i - 1].id:
            raise ValueError(f"two debts have the id {debt.id}")
    return ordered


def _order(debt: Debt[Any]) -> tuple[Any, ...]:
    if debt.id is not None:
        return True, debt.id
    return False, debt.debtor, debt.creditor, debt.amount


def _by_size(amounts: Iterable[tuple[Any, int]]) -> list[tuple[Any, int]]:
    """Those above zero, the largest first, equal ones by key."""
    above = [(party, amount) for party, amount in amounts if amount > 0]
    return sorted(above, key=lambda pair: (-pair[1], pair[0]))


def _owing(debts: Iterable[Debt[Any]]) -> _Portions:
    return _Portions((debt.debtor, debt) for debt in debts)


def _owed(debts: Iterable[Debt[Any]]) -> _Portions:
    return _Portions((debt.creditor, debt) for debt in debts)


class _Portions:
    """The debts of each party on one side, taken portion by portion in their order."""

    def __init__(self, pairs: Iterable[tuple[Any, Debt[Any]]]) -> None:
        self._left: dict[Any, deque[Portion]] = defaultdict(deque)
        for party, debt in pairs:
            self._left[party].append(Portion(debt.id, debt.amount))

    def take(self, party: Any, amount: int) -> tuple[Portion, ...]:
        """Portions that sum to `amount`, never more than the party has."""
        left, taken = self._left[party], []
        while amount:
            portion = left.popleft()
            here = min(amount, portion.amount)
            taken.append(Portion(portion.debt, here))
            if portion.amount > here:
                left.appendleft(Portion(portion.debt, portion.amount - here))
            amount -= here
        return tuple(taken)
