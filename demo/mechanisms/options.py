"""What the files do not say and somebody must choose. Each is an option of the command."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


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
