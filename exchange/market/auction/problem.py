"""What an auction is asked: zones, slots, grades, orders and links, in whole numbers.

Money is whole micro-yuan per unit-hour, quantity whole units, a slot an hour counted as elsewhere.
The order in which things stand here never matters: the engine sorts by id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import gcd
from typing import Any, Final, NamedTuple

VERSION: Final = 1


class Side(StrEnum):
    """Who pays and who delivers."""

    BUY = "buy"  # pays the price, takes the units
    SELL = "sell"  # delivers the units, is paid the price


class Node(NamedTuple):
    """Where a price is made: a grade in a zone in a slot."""

    grade: str
    zone: str
    slot: int


@dataclass(frozen=True, slots=True)
class Step:
    """Any part of `units` in one slot, at `price_micro` per unit-hour or better."""

    id: str
    side: Side
    grade: str
    zone: str
    slot: int
    price_micro: int
    units: int

    @property
    def node(self) -> Node:
        """Where it trades."""
        return Node(self.grade, self.zone, self.slot)


@dataclass(frozen=True, slots=True)
class Block:
    """Units in several slots, all of them or nothing, at `price_micro` per unit-hour on average.

    `least_ratio` below 1 lets the auction accept a share of at least that, the same in each slot
    and in whole units: the ratio is a multiple of 1 / `lots`. `parent` names a block without which
    this one is not accepted.
    """

    id: str
    side: Side
    grade: str
    zone: str
    price_micro: int
    units_by_slot: tuple[tuple[int, int], ...]
    least_ratio: Fraction = Fraction(1)
    parent: str | None = None

    @property
    def lots(self) -> int:
        """Into how many equal parts of whole units it can be cut: the units' common divisor."""
        return gcd(*(units for _, units in self.units_by_slot))

    @property
    def least_lots(self) -> int:
        """The fewest lots that may be accepted."""
        return max(1, -(-self.least_ratio.numerator * self.lots // self.least_ratio.denominator))

    @property
    def unit_hours(self) -> int:
        """Units summed over slots, when wholly accepted."""
        return sum(units for _, units in self.units_by_slot)


@dataclass(frozen=True, slots=True)
class MinimumIncome:
    """A seller's condition: its sell steps earn at least this, or none of them is accepted.

    The least income is `fixed_micro` and `price_micro` for each unit-hour accepted.
    """

    id: str
    step_ids: tuple[str, ...]
    fixed_micro: int
    price_micro: int = 0


class FlowLimit(NamedTuple):
    """How much a link carries in a slot, in units of all grades together, each way.

    A flow from `from_zone` to `to_zone` counts as positive: `min_flow <= 0 <= max_flow`.
    """

    slot: int
    min_flow: int
    max_flow: int


@dataclass(frozen=True, slots=True)
class Link:
    """Carries units between two zones, either way, for `price_micro` per unit-hour.

    In a slot that `limits` does not name it carries nothing.
    """

    id: str
    from_zone: str
    to_zone: str
    price_micro: int
    limits: tuple[FlowLimit, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One auction. `lowest_` and `highest_price_micro` bound every order's price and the answer."""

    zones: tuple[str, ...]
    grades: tuple[str, ...]
    slots: tuple[int, ...]
    steps: tuple[Step, ...] = ()
    blocks: tuple[Block, ...] = ()
    links: tuple[Link, ...] = ()
    minimum_incomes: tuple[MinimumIncome, ...] = ()
    lowest_price_micro: int = 0
    highest_price_micro: int = 10**12

    def nodes(self) -> Iterator[Node]:
        """Every grade, zone and slot, sorted."""
        for grade in sorted(self.grades):
            for zone in sorted(self.zones):
                for slot in sorted(self.slots):
                    yield Node(grade, zone, slot)

    def as_json(self) -> dict[str, Any]:
        """As plain JSON, sorted by id, so that equal problems have equal text."""
        return {
            "version": VERSION,
            "zones": sorted(self.zones),
            "grades": sorted(self.grades),
            "slots": sorted(self.slots),
            "lowest_price_micro": self.lowest_price_micro,
            "highest_price_micro": self.highest_price_micro,
            "steps": [_step_json(step) for step in sorted(self.steps, key=lambda s: s.id)],
            "blocks": [_block_json(block) for block in sorted(self.blocks, key=lambda b: b.id)],
            "links": [_link_json(link) for link in sorted(self.links, key=lambda k: k.id)],
            "minimum_incomes": [
                {
                    "id": income.id,
                    "step_ids": sorted(income.step_ids),
                    "fixed_micro": income.fixed_micro,
                    "price_micro": income.price_micro,
                }
                for income in sorted(self.minimum_incomes, key=lambda m: m.id)
            ],
        }

    def digest(self) -> str:
        """SHA-256 of the canonical JSON: what a certificate is about."""
        return digest(self.as_json())


def digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON document: keys sorted, no spaces, UTF-8."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def problem_from_json(document: Mapping[str, Any]) -> Problem:
    """The problem that `as_json` wrote. Raises KeyError or ValueError where it is none."""
    if document["version"] != VERSION:
        raise ValueError(f"version {document['version']} of a problem is not known")
    return Problem(
        zones=tuple(document["zones"]),
        grades=tuple(document["grades"]),
        slots=tuple(document["slots"]),
        lowest_price_micro=document["lowest_price_micro"],
        highest_price_micro=document["highest_price_micro"],
        steps=tuple(Step(**{**row, "side": Side(row["side"])}) for row in document["steps"]),
        blocks=tuple(_block_from_json(row) for row in document["blocks"]),
        links=tuple(
            Link(**{**row, "limits": tuple(FlowLimit(*limit) for limit in row["limits"])})
            for row in document["links"]
        ),
        minimum_incomes=tuple(
            MinimumIncome(**{**row, "step_ids": tuple(row["step_ids"])})
            for row in document["minimum_incomes"]
        ),
    )


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "id": step.id,
        "side": step.side.value,
        "grade": step.grade,
        "zone": step.zone,
        "slot": step.slot,
        "price_micro": step.price_micro,
        "units": step.units,
    }


def _block_json(block: Block) -> dict[str, Any]:
    return {
        "id": block.id,
        "side": block.side.value,
        "grade": block.grade,
        "zone": block.zone,
        "price_micro": block.price_micro,
        "units_by_slot": [list(pair) for pair in sorted(block.units_by_slot)],
        "least_ratio": [block.least_ratio.numerator, block.least_ratio.denominator],
        "parent": block.parent,
    }


def _link_json(link: Link) -> dict[str, Any]:
    return {
        "id": link.id,
        "from_zone": link.from_zone,
        "to_zone": link.to_zone,
        "price_micro": link.price_micro,
        "limits": [list(limit) for limit in sorted(link.limits)],
    }


def _block_from_json(row: Mapping[str, Any]) -> Block:
    return Block(
        **{
            **row,
            "side": Side(row["side"]),
            "units_by_slot": tuple((slot, units) for slot, units in row["units_by_slot"]),
            "least_ratio": Fraction(*row["least_ratio"]),
        }
    )
