"""Money: whole numbers of an asset's smallest unit, and the one place where amounts are rounded.

One unit of ``CNY`` is a millionth of a yuan. Binary floating point never enters: every function
here raises ``TypeError`` for a float.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from enum import Enum

CNY = "CNY"
MICRO = 1_000_000
MICRO_PER_FEN = 10_000
MAX_MICRO = 2**63 - 1


class Rounding(Enum):
    """How a quotient becomes whole."""

    DOWN = "down"  # towards minus infinity: what is promised at most
    UP = "up"  # towards plus infinity: what must be held at least
    HALF_EVEN = "half_even"  # to the nearest, ties to even: what is charged


def divide(numerator: int, denominator: int, rounding: Rounding) -> int:
    """The whole quotient of two whole numbers; ``denominator`` is above zero."""
    if not isinstance(numerator, int) or not isinstance(denominator, int):
        raise TypeError("amounts are whole numbers")
    if denominator <= 0:
        raise ValueError("the denominator must be above zero")
    quotient, remainder = divmod(numerator, denominator)
    if rounding is Rounding.UP and remainder:
        return quotient + 1
    if rounding is Rounding.HALF_EVEN and (
        2 * remainder > denominator or (2 * remainder == denominator and quotient % 2)
    ):
        return quotient + 1
    return quotient


def split(amount: int, weights: list[int]) -> list[int]:
    """Split ``amount`` in proportion to ``weights`` by largest remainders; the parts sum to it.

    Ties go to the earlier part, so equal input gives equal output. ``ValueError`` where the
    weights are negative or sum to zero.
    """
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise ValueError("weights must not be negative and must sum to more than zero")
    parts = [amount * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % total), i))
    for i in by_remainder[: amount - sum(parts)]:
        parts[i] += 1
    return parts


def to_micro(value: Decimal) -> int:
    """A decimal of yuan with at most six places as whole micro units.

    ``TypeError`` for a float; ``ValueError`` where a place would be lost or it is not finite.
    """
    if not isinstance(value, Decimal):
        raise TypeError("money is given as Decimal, never as float")
    try:
        scaled = value.scaleb(6)
        if scaled != scaled.to_integral_value():
            raise ValueError("money has at most six decimal places")
    except InvalidOperation as error:
        raise ValueError("money must be a finite number") from error
    return int(scaled)


def to_decimal(amount_micro: int) -> Decimal:
    """Whole micro units as a decimal of yuan with six places."""
    return Decimal(amount_micro).scaleb(-6)


def to_fen(amount_micro: int) -> tuple[int, int]:
    """An amount in whole fen, rounded half-even, and the remainder in micro units."""
    fen = divide(amount_micro, MICRO_PER_FEN, Rounding.HALF_EVEN)
    return fen, amount_micro - fen * MICRO_PER_FEN


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount of one asset in its smallest unit."""

    amount: int
    asset: str = CNY

    def __post_init__(self) -> None:
        if not isinstance(self.amount, int) or isinstance(self.amount, bool):
            raise TypeError("an amount of money is a whole number of the smallest unit")

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same_asset(other), self.asset)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same_asset(other), self.asset)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.asset)

    def _same_asset(self, other: Money) -> int:
        if self.asset != other.asset:
            raise ValueError(f"{self.asset} and {other.asset} do not add up")
        return other.amount

    def __str__(self) -> str:
        return f"{to_decimal(self.amount).quantize(Decimal('0.01'), ROUND_HALF_EVEN)} {self.asset}"
