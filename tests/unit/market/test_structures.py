"""The engine's building blocks against the plainest lists."""

from __future__ import annotations

from random import Random

import pytest

from exchange.market.calendar import runs
from exchange.market.ladder import Ladder
from exchange.market.supply import Supply
from exchange.market.terms import Claim
from tests.unit.market.scene import offer, pool


@pytest.mark.parametrize("seed", range(20))
def test_what_is_sold_and_free_is_what_a_plain_dictionary_says(seed):
    random, first, bound = Random(seed), 100, 40
    supply, plain = Supply(first), dict.fromkeys(range(3_000), 0)
    stock = supply.set_pool(pool(1, units=bound))
    of_pool = supply.set_offer(offer(1, 5, units=60, start_slot=110, end_slot=1_500))
    for _ in range(60):
        start = random.randrange(90, 1_000)
        end, units = start + random.randrange(1, 400), random.randrange(1, 5)
        supply.claim(Claim(1, 1, units, start, end))
        for slot in range(start, end):
            plain[slot] += units
        if random.random() < 0.2:
            supply.unclaim(Claim(1, 1, units, start, end))
            for slot in range(start, end):
                plain[slot] -= units
        if random.random() < 0.1:
            first += 27
            supply.forget_before(first)
        low = random.randrange(first, first + 1_200)
        length, starts = random.randrange(1, 200), random.randrange(1, 50)
        window = [plain[slot] for slot in range(low, low + starts + length)]
        assert stock.sold.most(low, low + length) == max(window[:length])
        by_start = [max(window[i : i + length]) for i in range(starts)]
        assert stock.sold.most_by_start(low, starts, length).tolist() == by_start
        bits = supply.free_bits(of_pool) >> (low - first) & (1 << length) - 1
        assert bits == sum(
            (110 <= low + i < 1_500 and window[i] < bound) << i for i in range(length)
        )


@pytest.mark.parametrize(
    ("bits", "length", "starts"),
    [
        (0b0, 1, 0b0),
        (0b1011, 1, 0b1011),
        (0b1011, 2, 0b0001),
        (0b11101111, 3, 0b00100011),
        (0b11111, 5, 0b1),
        (0b11111, 6, 0b0),
    ],
)
def test_runs_are_the_starts_of_enough_bits_in_a_row(bits, length, starts):
    assert runs(bits, length) == starts


@pytest.mark.parametrize("seed", range(20))
def test_the_least_that_a_tariff_can_ask_is_never_more_than_what_it_asks(seed):
    random = Random(seed)
    prices = tuple(random.randrange(100) for _ in range(24))
    supply = Supply(first_slot=0)
    supply.set_pool(pool(1))
    supply.set_offer(offer(1, 0, prices=prices))
    for slots in range(1, 80):
        (((least, _, _), listed),) = supply.in_price_order([1], slots)
        means = [sum(prices[(h + i) % 24] for i in range(slots)) / slots for h in range(24)]
        assert least <= min(means)
        assert listed.tariff(slots)[0][0] == pytest.approx(min(means) * slots * 3600)
        if slots in {1, 2, 4, 8, 24}:
            assert least >= min(prices)


def test_a_ladder_stays_sorted_through_thousands_of_changes():
    random = Random(1)
    ladder, plain = Ladder(), set()
    for i in range(6_000):
        if plain and random.random() < 0.3:
            rung = random.choice(sorted(plain)[:50])
            ladder.discard(rung)
            plain.discard(rung)
        else:
            rung = (random.randrange(-50, 0), (1, i), i)
            ladder.add(rung)
            plain.add(rung)
    ladder.discard((-999, (0, 0), 0))  # not there: without effect
    assert list(ladder) == sorted(plain)
    assert len(ladder) == len(plain)
    for rung in list(ladder):
        ladder.discard(rung)
    assert list(ladder) == []


def test_a_rung_may_go_while_the_ladder_is_walked():
    ladder = Ladder((-i, (1, i), i) for i in range(2_000))
    walked = []
    for rung in ladder:
        walked.append(rung)
        ladder.discard(rung)
    assert len(walked) == 2_000
    assert len(ladder) == 0
