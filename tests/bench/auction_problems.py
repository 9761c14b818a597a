"""Random auctions for benchmarks and tests: made, since no trace carries bids for compute."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from exchange.market.auction.problem import Block, FlowLimit, Link, Problem, Side, Step

YUAN = 1_000_000


def made(
    *,
    seed: int,
    zones: int,
    slots: int,
    grades: int,
    steps: int,
    blocks: int,
    links_per_zone: int = 2,
) -> Problem:
    """An auction whose demand and power tariff follow the day, with zones dear and cheap.

    Steps fall on zones, slots and grades evenly, half on each side; asks lie around a zone's and
    hour's cost, bids around a fifth above it, for 1 to 40 units. A block runs over 2 to 12 slots,
    has 2 to 20 units in each and a price near its zone's; a quarter can be cut to a half; a tenth
    hang on another. Links form a ring with chords, carry 20 to 80 units of all grades together and
    cost up to 0.5 yuan.
    """
    random = Random(seed)
    zone_names = tuple(f"zone-{i:02}" for i in range(zones))
    grade_names = tuple(f"grade-{i}" for i in range(grades))
    level = {grade: random.uniform(5, 50) for grade in grade_names}
    tilt = {zone: random.uniform(0.8, 1.2) for zone in zone_names}
    hour = [1 + 0.25 * ((slot * 24 // slots % 24) in range(8, 22)) for slot in range(slots)]

    def price(grade: str, zone: str, at: list[int], factor: float, spread: float) -> int:
        mean = sum(hour[slot] for slot in at) / len(at)
        drawn = level[grade] * tilt[zone] * mean * factor * random.lognormvariate(0, spread)
        return max(round(drawn * 100), 1) * YUAN // 100

    def step(i: int) -> Step:
        side = Side.BUY if i % 2 else Side.SELL
        grade, zone = random.choice(grade_names), random.choice(zone_names)
        slot = random.randrange(slots)
        factor = 1.2 if side is Side.BUY else 1.0
        cost = price(grade, zone, [slot], factor, 0.3)
        return Step(f"step-{i:06}", side, grade, zone, slot, cost, random.randint(1, 40))

    def block(i: int) -> Block:
        side = Side.BUY if i % 2 else Side.SELL
        grade, zone = random.choice(grade_names), random.choice(zone_names)
        length = random.randint(2, min(12, slots))
        start = random.randrange(slots - length + 1)
        at = list(range(start, start + length))
        parent = f"block-{random.randrange(i):04}" if i and random.random() < 0.1 else None
        least = (1, 2) if random.random() < 0.25 else (1, 1)
        factor = 1.15 if side is Side.BUY else 1.0
        units = random.randint(1, 10) * 2
        return Block(
            f"block-{i:04}",
            side,
            grade,
            zone,
            price(grade, zone, at, factor, 0.15),
            tuple((slot, units) for slot in at),
            Fraction(*least),
            parent,
        )

    def link(start: int, end: int) -> Link:
        limits = tuple(
            FlowLimit(slot, -random.randint(20, 80), random.randint(20, 80))
            for slot in range(slots)
        )
        cost = random.randrange(50) * YUAN // 100
        return Link(f"{start:02}-{end:02}", zone_names[start], zone_names[end], cost, limits)

    ends = {(i, (i + 1) % zones) for i in range(zones) if zones > 1}
    while len(ends) < min(zones * links_per_zone * 3 // 4, zones * (zones - 1) // 2):
        start, end = random.sample(range(zones), 2)
        if (end, start) not in ends:
            ends.add((start, end))
    return Problem(
        zones=zone_names,
        grades=grade_names,
        slots=tuple(range(slots)),
        steps=tuple(step(i) for i in range(steps)),
        blocks=tuple(block(i) for i in range(blocks)),
        links=tuple(link(start, end) for start, end in sorted(ends)),
    )
