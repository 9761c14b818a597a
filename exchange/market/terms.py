"""The words in which a book is told to an engine, and in which the engine answers.

Both engines (`reference`, `engine`) take and give exactly these. Everything is plain data: ids are
whole numbers (`UUID.int`), instants are whole seconds since the epoch, slots are hours since the
epoch, prices are micro-yuan per unit-hour. `reference` says what the words do.

Amounts inside a match are numerators without division: a *price numerator* is, for one unit, the
sum over the slots of price x seconds; divided by 3600 it is micro-yuan.
Transport of one unit is kept in nano-yuan (thousandths of GB x micro-yuan per GB).

What an engine answers are structs of msgspec, which are made several times faster than dataclasses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec

from exchange.topology.paths import PathTerms

__all__ = [
    "AmendmentOutcome",
    "Anchor",
    "BatchResult",
    "CapacityReleased",
    "Claim",
    "ClockTicked",
    "Entry",
    "Event",
    "Fill",
    "Network",
    "OfferChanged",
    "OfferClosed",
    "OfferEntered",
    "OfferOpened",
    "OfferTerms",
    "OrderAmended",
    "OrderCancelled",
    "OrderEntered",
    "OrderExpired",
    "OrderOutcome",
    "OrderTerms",
    "OutcomeState",
    "PathTerms",
    "Placement",
    "PoolChanged",
    "PoolTerms",
    "Rested",
    "TimeInForce",
    "TradingHalted",
    "TradingResumed",
]

Entry = tuple[int, int]
"""When the matcher took something into the book: (number of the batch, sequence in it)."""


class Placement(StrEnum):
    """How close together the fills of one order must be."""

    SAME_POOL = "same_pool"  # one pool and one start for all fills, later ones too
    SAME_CENTRE = "same_centre"  # one centre and one start for all fills, later ones too
    SAME_REGION = "same_region"  # one region and one start for all fills, later ones too
    ANYWHERE = "anywhere"  # each fill has a place and a start of its own


class TimeInForce(StrEnum):
    """How long an order waits for what it did not get at once."""

    GTC = "gtc"  # until its window can no longer be met
    GTD = "gtd"  # likewise, but not past its `good_till_s`
    IOC = "ioc"  # not at all: what fits now is filled, the rest cancelled
    FOK = "fok"  # not at all: everything is filled now, or nothing


class OutcomeState(StrEnum):
    """Where a batch left an order."""

    OPEN = "open"  # it rests, nothing of it was ever filled
    PARTIALLY_FILLED = "partially_filled"  # it rests, some of it is filled
    FILLED = "filled"  # nothing of it remains
    CANCELLED = "cancelled"  # its rest was taken out, on request or by ioc and fok
    EXPIRED = "expired"  # its rest can no longer be met
    REJECTED = "rejected"  # it never came into the book


class Rested(StrEnum):
    """Whose limit a trade was made at: the side that came into the book first."""

    OFFER = "offer"  # the order came later and pays the offer's price
    ORDER = "order"  # the offer came later and gets the order's limit less transport


@dataclass(frozen=True, slots=True)
class PoolTerms:
    """What of a pool the matcher looks at."""

    id: int
    provider: int
    centre: int
    region: str
    grade: int
    units: int  # tradable: what all trades of the pool may hold at once in any slot
    green_share_bp: int = 0
    pue_milli: int = 1_500
    reliability_bp: int = 10_000
    open: bool = True  # False: nothing new is sold (unreachable, maintenance, halted)


@dataclass(frozen=True, slots=True)
class OfferTerms:
    """A sell order: units of one pool over a window of slots, at a price."""

    id: int
    pool: int
    provider: int
    entry: Entry
    units: int  # what this offer sells at once in any slot, at most
    start_slot: int
    end_slot: int  # exclusive
    prices: tuple[int, ...]  # micro-yuan per unit-hour: one, or 24 by the UTC hour of the slot
    min_duration_slots: int = 1
    max_duration_slots: int = 1_000_000
    min_chunk_units: int = 1
    reclaimable: bool = False
    open: bool = True  # False: paused or withdrawn


@dataclass(frozen=True, slots=True)
class Anchor:
    """The place and the start that the first fill of a `same_*` order fixed for the others."""

    place: int | str  # a pool's id, a centre's id or a region's code, by the order's placement
    start_slot: int


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """A buy order, or what remains of it."""

    id: int
    buyer: int
    entry: Entry
    limits: tuple[tuple[int, int], ...]  # (grade, all-in limit in micro-yuan per unit-hour)
    units: int
    remaining_units: int
    duration_slots: int
    earliest_slot: int
    latest_slot: int  # exclusive end of the last slot that may be used
    min_units: int = 1
    on_demand: bool = False
    placement: Placement = Placement.ANYWHERE
    rtt_region: str | None = None
    max_rtt_us: int | None = None
    regions_allowed: frozenset[str] | None = None  # codes of regions where centres stand
    regions_excluded: frozenset[str] = frozenset()
    min_green_share_bp: int = 0
    max_pue_milli: int | None = None
    min_reliability_bp: int = 0
    data_region: str | None = None
    data_milli_gb: int = 0  # in and out together, for each unit
    accept_reclaimable: bool = False
    max_cost_micro: int | None = None  # ceiling on the whole order, transport included
    time_in_force: TimeInForce = TimeInForce.GTC
    good_till_s: int | None = None
    anchor: Anchor | None = None
    spent_micro: int = 0  # cost of the fills so far, counted against the ceiling


@dataclass(frozen=True, slots=True)
class Claim:
    """Capacity that a trade holds; what a book's state is rebuilt from."""

    offer: int
    pool: int
    units: int
    start_slot: int
    end_slot: int


class Network(Protocol):
    """Where data can travel, how long that takes and what it costs."""

    def path(self, a: str, b: str, max_rtt_us: int | None) -> PathTerms | None:
        """The cheapest path between two regions within a round-trip bound, or None."""
        ...

    def alternatives(self, a: str, b: str) -> Sequence[PathTerms]:
        """All paths that no other beats in price and round trip."""
        ...


# Events, in the order of the admission. A batch is what handling them one by one gives.


@dataclass(frozen=True, slots=True)
class OrderEntered:
    """A new order: matched against the book; what remains rests, unless `ioc` or `fok`."""

    order: OrderTerms


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """The buyer takes the rest of an order out; without effect where it no longer rests."""

    order: int
    reason: str = "requested"


@dataclass(frozen=True, slots=True)
class OrderAmended:
    """New terms of an order: it is taken out and enters again, with what of it is filled and spent,
    and its anchor, as the book has them. Whoever admits it gives a new entry, or keeps the old one
    where the order only asks for less. Refused, and nothing changes, where the order no longer
    rests, or where more of it is filled than the new units, or spent than the new ceiling leaves.
    """

    order: OrderTerms


@dataclass(frozen=True, slots=True)
class OrderExpired:
    """The sweep takes an order out that can no longer be met; like a cancel otherwise."""

    order: int
    reason: str = "window"


@dataclass(frozen=True, slots=True)
class OfferEntered:
    """A new offer: resting orders that it reaches are matched, the best first."""

    offer: OfferTerms


@dataclass(frozen=True, slots=True)
class OfferChanged:
    """New terms of an offer. Whoever admits it gives a new entry (priority is lost), or keeps the
    entry where only units were reduced. What was sold stays sold.
    """

    offer: OfferTerms


@dataclass(frozen=True, slots=True)
class OfferClosed:
    """Paused or withdrawn: nothing more is sold from it."""

    offer: int


@dataclass(frozen=True, slots=True)
class OfferOpened:
    """A paused offer sells again; `entry` (where given) replaces its old one."""

    offer: int
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class PoolChanged:
    """A new pool, or new terms of a known one: units, health, green share."""

    pool: PoolTerms


@dataclass(frozen=True, slots=True)
class CapacityReleased:
    """A trade gave capacity back: ended early, failed, busted."""

    offer: int
    pool: int
    units: int
    start_slot: int
    end_slot: int


@dataclass(frozen=True, slots=True)
class ClockTicked:
    """Time went on: resting on-demand orders are matched again, since for them alone the passing
    of time opens new slots. Due in the first batch of each new slot; allowed more often.
    """


@dataclass(frozen=True, slots=True)
class TradingHalted:
    """Nothing more is sold from these pools until trading is resumed."""

    pools: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TradingResumed:
    """These pools sell again, all at once; then resting orders are matched, as by a tick."""

    pools: tuple[int, ...]


Event = (
    OrderEntered
    | OrderCancelled
    | OrderAmended
    | OrderExpired
    | OfferEntered
    | OfferChanged
    | OfferClosed
    | OfferOpened
    | PoolChanged
    | CapacityReleased
    | ClockTicked
    | TradingHalted
    | TradingResumed
)


class Fill(msgspec.Struct, frozen=True, gc=False):
    """A match that becomes a trade: units of one pool over whole slots at one price.

    What it costs: `exchange.pricing.engine.trade_cost(price_numerator=, units=,
    transport_nano_per_unit=)`; the engines count the same against an order's ceiling.
    """

    order: int
    offer: int
    pool: int
    grade: int
    units: int
    start_slot: int
    end_slot: int
    starts_now: bool  # on demand: charged from `now`, within `start_slot`
    start_s: int
    end_s: int
    price_numerator: int  # for one unit: sum of micro-yuan per hour x seconds
    seconds: int  # end_s - start_s
    transport_nano_per_unit: int
    links: tuple[int, ...]  # of the path that the data takes, from the data's region on
    rested: Rested
    event_index: int


class OrderOutcome(msgspec.Struct, frozen=True, gc=False):
    """What a batch made of one order that it touched: its state after the whole batch."""

    order: int
    state: OutcomeState
    reason: str  # "" where the state says it all
    filled_units: int  # in this batch
    remaining_units: int
    spent_micro: int  # since the order began
    anchor: Anchor | None


@dataclass(frozen=True, slots=True)
class AmendmentOutcome:
    """Whether an amendment was applied, or what refused it: `closed`, `units`, `ceiling`."""

    order: int
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Fills in the order in which they were made; outcomes in the order of the first touch;
    amendments in the order of their events.
    """

    fills: tuple[Fill, ...]
    outcomes: tuple[OrderOutcome, ...]
    amendments: tuple[AmendmentOutcome, ...] = ()
