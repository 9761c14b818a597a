"""What the files do not say and somebody must choose. Each is an option of the command."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


class OptionError(ValueError):
    """A choice that makes no sense; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The choices of a replay; the same choices and files give the same day."""

    seed: int = 20261123
    orders: int | None = None  # at most about so many orders; supply shrinks with them
    load: float = 0.9  # unit-hours asked for in the day, as a share of what the pools have
    regions: int = 6  # over which the nodes are dealt
    yuan_per_usd: Decimal = Decimal("7.10")
    limit_median: float = 1.2  # of a limit, as a multiple of the grade's mean list price
    limit_spread: float = 0.35  # standard deviation of the limit's logarithm
    deferrable_share: float = 0.4  # of orders (none of edge's), with a longer window
    deferrable_slack_slots: int = 12
    slack_slots: int = 4
    green_share: float = 0.1  # of the other orders, which ask for half carbon-free power
    firm_share: float = 0.7  # of each pool, offered for the whole day at the list price
    auction_share: float = 0.5  # of every offer, that goes to the day-ahead auction first
    auction_seconds: float = 10.0  # for the auction of one pool, at most
    auction_gap: float = 1e-3  # how far below the best welfare an auction may stay

    def __post_init__(self) -> None:
        """`OptionError` for the first choice that makes no sense."""
        for name in ("deferrable_share", "green_share", "firm_share", "auction_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} must be a share from 0 to 1")
        for name in ("load", "yuan_per_usd", "limit_median", "auction_seconds"):
            if not getattr(self, name) > 0:
                raise OptionError(f"{name} must be above zero")
        for name in ("limit_spread", "slack_slots", "deferrable_slack_slots", "auction_gap"):
            if not getattr(self, name) >= 0:
                raise OptionError(f"{name} must not be below zero")
        if self.regions < 1 or (self.orders is not None and self.orders < 1):
            raise OptionError("regions and orders must be at least one")
