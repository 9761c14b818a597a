"""Deciding orders on arrays, compiled: what `walk` does for `anywhere`, order after order.

The rules are those of `reference`, and each function here has its counterpart in `walk`, `search`
or `conditions`. Numba compiles them to machine code at the first call (and keeps it in its cache:
`warm_up`), so they are written as loops over plain numbers. All values fit 64 bits: `quick` sees to
that before it asks.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numba import njit

from exchange.market.arrays import BLOCK, NO_WAY, NONE, SHORTEST, WORD

_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)
_FULL = -1
_EVERY_HOUR = (1 << 24) - 1
_NO = np.int64(NONE)
_LENGTHS = np.array(SHORTEST)


@njit(cache=True)
def decide(book: Any, orders: Any, parts: Any, first: int, keep: bool) -> tuple[int, int]:
    """Decide `orders[first:]` one after another, writing what they take into `parts`.

    Answers how many orders are decided in all and how many parts they took; fewer than there are
    where `parts` is full. Without `keep`, nothing stays claimed.
    """
    scratch = np.zeros(book.free.shape[1] + 1, np.uint64)
    count = 0
    for i in range(first, len(orders)):
        until = _settle(book, orders[i], i, parts, count, scratch)
        if until == _FULL:
            return i, count
        if not keep:
            _give_back(book, orders[i], parts, count, until)
        count = until
    return len(orders), count


@njit(cache=True)
def _settle(book, order, number, parts, count, scratch):  # type: ignore[no-untyped-def]
    """`walk.settle_on`: where the order's parts end, or `_FULL`. None where they are too few."""
    goal = order.units
    until, left = _walk(book, order, number, goal, parts, count, scratch)
    if until == _FULL:
        return _FULL
    rest = left
    if not order.whole and 0 < rest < order.min_units:
        _give_back(book, order, parts, count, until)
        until = count
        goal = order.units - order.min_units
        if goal > 0:
            until, left = _walk(book, order, number, goal, parts, count, scratch)
            if until == _FULL:
                return _FULL
            rest = order.units - (goal - left)
        else:
            rest = order.units
    units = order.units - rest
    fewest = order.units if order.whole else min(order.min_units, order.units)
    if units < fewest or not (rest == 0 or rest >= order.min_units):
        _give_back(book, order, parts, count, until)
        return count
    return until


@njit(cache=True)
def _walk(book, order, number, goal, parts, count, scratch):  # type: ignore[no-untyped-def]
    """`walk.candidates` and `_walk`: take from offers and starts by rank until the goal is reached.

    Answers where the parts end (or `_FULL`, everything given back) and what is left of the goal.
    """
    until = count
    a, b = _next(book, order, 0, 0, scratch, True), _next(book, order, 1, 0, scratch, True)
    waiting = [(_NO, _NO, _NO, _ZERO, _ZERO, _NO, _NO, _NO)]  # value, entry, id, row, price, side
    waiting.pop()
    while True:
        side = 0 if b == NONE or (a != NONE and not _before(book, order, a, b)) else 1
        at = b if side else a
        row = NONE if at == NONE else book.shelves[order.shelves[side], at]
        if waiting and (row == NONE or waiting[0][:5] < _least_rank(book.offers, order, row)):
            found = heapq.heappop(waiting)
            until, goal = _take(book, order, number, found, parts, until, goal, scratch)
            if until == _FULL:
                _give_back(book, order, parts, count, len(parts))
            if until == _FULL or goal == 0:
                return until, goal
            _wait(book, order, found[7], found[5], found[6], waiting, scratch)
        elif row == NONE:
            return until, goal
        else:
            _wait(book, order, np.int64(side), row, _NO, waiting, scratch)
            if side:
                b = _next(book, order, 1, b + 1, scratch, until == count)
            else:
                a = _next(book, order, 0, a + 1, scratch, until == count)


@njit(cache=True)
def _before(book, order, a, b):  # type: ignore[no-untyped-def]
    """Whether what stands at `b` on the second shelf ranks before `a` on the first."""
    first, second = book.shelves[order.shelves[0], a], book.shelves[order.shelves[1], b]
    return _least_rank(book.offers, order, second) < _least_rank(book.offers, order, first)


@njit(cache=True)
def _least_rank(offers, order, row):  # type: ignore[no-untyped-def]
    """What bounds the ranks of an offer's candidates from below."""
    offer = offers[row]
    seconds = order.slots * 3600 - order.past_s
    least = 1000 * offer.least[order.length] * seconds
    return least, offer.entry[0], offer.entry[1], offer.id[0], offer.id[1]


# The shelf


@njit(cache=True)
def _next(book, order, side, at, scratch, clean):  # type: ignore[no-untyped-def]
    """The next place on the shelf, from `at` on, whose offer fits and may give; or NONE.

    A block that was looked at in vain is summed up anew once there were as many claims as the shelf
    has offers: sooner costs more than it saves. Never while the order has taken something, which it
    may give back: the sum would be too low.
    """
    shelf = order.shelves[side]
    if shelf == NONE:
        return NONE
    most = order.limits[side] // (1000 * (order.slots * 3600 - order.past_s))
    count = book.shelved[shelf]
    fruitless = at % BLOCK == 0
    while at < count:
        block = at // BLOCK
        if at % BLOCK == 0:
            fruitless = True
            if book.offers[book.shelves[shelf, at]].least[order.length] > most:
                return NONE
            if not _any_bit(
                book.maybe, shelf, block, order.first - book.base, order.last - book.base
            ):
                at += BLOCK
                continue
        row = book.shelves[shelf, at]
        if book.fits[order.wishes, row // WORD] >> np.uint64(row % WORD) & _ONE:
            if book.offers[row].least[order.length] > most:
                return NONE
            if _suits(book.offers, order, row) and _starts(
                book.free, book.base, order, row, scratch
            ):
                return at
        at += 1
        if (
            clean
            and fruitless
            and (at % BLOCK == 0 or at == count)
            and book.claims[0] - book.seen[shelf, block] >= count
        ):
            _sum_up(book, shelf, block, _LENGTHS[order.length])
    return NONE


@njit(cache=True)
def _any_bit(maybe, shelf, block, low, high):  # type: ignore[no-untyped-def]
    """Whether any bit of the slots `[low, high]`, counted from the base, is set."""
    for word in range(low // WORD, min(high // WORD, maybe.shape[2] - 1) + 1):
        bits = maybe[shelf, block, word]
        if word == low // WORD:
            bits &= _ALL << np.uint64(low % WORD)
        if word == high // WORD:
            bits &= _ALL >> np.uint64(WORD - 1 - high % WORD)
        if bits != _ZERO:
            return True
    return False


@njit(cache=True)
def sum_up(book: Any, shelf: int, length: int) -> None:
    """Make the skip index of a shelf anew; `length` is its class's shortest duration."""
    for block in range((book.shelved[shelf] + BLOCK - 1) // BLOCK):
        _sum_up(book, shelf, block, length)


@njit(cache=True)
def _sum_up(book, shelf, block, length):  # type: ignore[no-untyped-def]
    words = book.free.shape[1]
    summary = book.maybe[shelf, block]
    summary[:] = _ZERO
    runs = np.empty(words, np.uint64)
    for at in range(block * BLOCK, min((block + 1) * BLOCK, book.shelved[shelf])):
        runs[:] = book.free[book.shelves[shelf, at]]
        _keep_runs(runs, words, length)
        for word in range(words):
            summary[word] |= runs[word]
    book.seen[shelf, block] = book.claims[0]


@njit(cache=True)
def _keep_runs(words, count, length):  # type: ignore[no-untyped-def]
    """`calendar.runs`: keep the bits from which on `length` bits in a row are set."""
    have = 1
    while have < length:
        step = min(have, length - have)
        skip, shift = step // WORD, np.uint64(step % WORD)
        for i in range(count):
            low = words[i + skip] if i + skip < count else _ZERO
            if shift != _ZERO:
                high = words[i + skip + 1] if i + skip + 1 < count else _ZERO
                low = low >> shift | high << (np.uint64(WORD) - shift)
            words[i] &= low
        have += step


# One offer


@njit(cache=True)
def _suits(offers, order, row):  # type: ignore[no-untyped-def]
    """The tests that depend on the order itself, but on neither start nor quantity."""
    offer = offers[row]
    return (
        order.buyer != offer.provider
        and offer.min_duration <= order.duration <= offer.max_duration
        and offer.chunk <= order.units
    )


@njit(cache=True)
def judge_wishes(book: Any, wishes: int, offers: int) -> None:
    """Set the bits of all offers anew for one kind of wishes."""
    for row in range(offers):
        _judge(book, wishes, row)


@njit(cache=True)
def judge_offer(book: Any, row: int, wishes: int) -> None:
    """Set the bit of one offer anew for all kinds of wishes."""
    for kind in range(wishes):
        _judge(book, kind, row)


@njit(cache=True)
def _judge(book, kind, row):  # type: ignore[no-untyped-def]
    """The tests of an order's wishes; grade and open are the shelf's."""
    offer, wishes = book.offers[row], book.wishes[kind]
    pool = book.pools[offer.pool]
    bit = _ONE << np.uint64(row % WORD)
    if (
        pool.green_bp >= wishes.min_green_bp
        and pool.pue_milli <= wishes.max_pue_milli
        and pool.reliability_bp >= wishes.min_reliability_bp
        and (wishes.reclaimable or not offer.reclaimable)
        and book.ways[kind, pool.region] != NO_WAY
    ):
        book.fits[kind, row // WORD] |= bit
    else:
        book.fits[kind, row // WORD] &= ~bit


@njit(cache=True)
def _starts(free, base, order, row, scratch):  # type: ignore[no-untyped-def]
    """`search.free_starts`: how many words of `scratch` now hold the possible starts, the order's
    first start lowest; 0 where there is none.
    """
    low = order.first - base
    count = order.last - order.first + order.slots  # of slots that the order may use
    words = (count + WORD - 1) // WORD
    skip, shift = low // WORD, np.uint64(low % WORD)
    kept = free.shape[1]
    words = min(words, kept - skip)
    if words <= 0:
        return 0
    for i in range(words):
        bits = free[row, skip + i] >> shift
        if shift != _ZERO and skip + i + 1 < kept:
            bits |= free[row, skip + i + 1] << (np.uint64(WORD) - shift)
        scratch[i] = bits
    if count < words * WORD:
        scratch[words - 1] &= _ALL >> np.uint64(words * WORD - count)
    _keep_runs(scratch, words, order.slots)
    found = _ZERO
    for i in range(words):
        found |= scratch[i]
    return words if found != _ZERO else 0


@njit(cache=True)
def _wait(book, order, side, row, above, waiting, scratch):  # type: ignore[no-untyped-def]
    """Let the offer's cheapest starts that cost more than `above` wait, if within the limit."""
    offer = book.offers[row]
    words = _starts(book.free, book.base, order, row, scratch)
    own = _next_price(offer, order, above, _hours_of(scratch, words, order))
    if own == NONE:
        return
    way = book.ways[order.wishes, book.pools[offer.pool].region]
    value = 1000 * own + 3600 * order.data_milli_gb * way
    if value <= order.limits[side]:
        entry, id_ = offer.entry, offer.id
        heapq.heappush(waiting, (value, entry[0], entry[1], id_[0], id_[1], row, own, side))


@njit(cache=True)
def _hours_of(scratch, words, order):  # type: ignore[no-untyped-def]
    """Bits of the UTC hours on which possible starts fall."""
    hours = 0
    for offset in range(min(order.last - order.first + 1, words * WORD)):
        if scratch[offset // WORD] >> np.uint64(offset % WORD) & _ONE:
            hours |= 1 << (order.first + offset) % 24
            if hours == _EVERY_HOUR:
                break
    return hours


@njit(cache=True)
def _next_price(offer, order, above, hours):  # type: ignore[no-untyped-def]
    """The least price numerator above `above` of a start in one of the hours, or NONE."""
    least = NONE
    for hour in range(24):
        if hours >> hour & 1:
            own = price_at(offer, order, hour)
            if own > above and (least == NONE or own < least):
                least = own
            if offer.hours == 1:
                break
    return least


@njit(cache=True)
def price_at(offer, order, hour):  # type: ignore[no-untyped-def]
    """The price numerator of a start in an hour of the day."""
    until = offer.until
    if offer.hours == 1:
        return until[1] * (order.slots * 3600 - order.past_s)
    cost = order.slots // 24 * until[24] + until[hour + order.slots % 24] - until[hour]
    return cost * 3600 - (until[hour + 1] - until[hour]) * order.past_s


@njit(cache=True)
def _take(book, order, number, found, parts, until, goal, scratch):  # type: ignore[no-untyped-def]
    """Take the most that may be taken from each start of an offer at one price, earliest first.

    Answers where the parts end (or `_FULL`) and what is left of the goal.
    """
    value, row, own, limit = found[0], found[5], found[6], order.limits[found[7]]
    offer = book.offers[row]
    words = _starts(book.free, book.base, order, row, scratch)
    for offset in range(min(order.last - order.first + 1, words * WORD)):
        if not scratch[offset // WORD] >> np.uint64(offset % WORD) & _ONE:
            continue
        start = order.first + offset
        if price_at(offer, order, start % 24) != own:
            continue
        low = start - book.base
        free = min(
            offer.units - _most_sold(book.sold_of_offer, row, low, order.slots),
            book.pools[offer.pool].units
            - _most_sold(book.sold_of_pool, offer.pool, low, order.slots),
        )
        units = _largest_take(goal, free, offer.chunk)
        if units == 0:
            continue
        if until == len(parts):
            return _FULL, goal
        part = parts[until]
        part.order, part.offer, part.start, part.units = number, row, start, units
        part.value = value
        part.numerator = own
        if order.entry[0] < offer.entry[0] or (
            order.entry[0] == offer.entry[0] and order.entry[1] < offer.entry[1]
        ):
            part.numerator = (limit - (value - 1000 * own)) // 1000
        add(book, row, start, start + order.slots, units)
        until += 1
        goal -= units
        if goal == 0:
            return until, goal
        if _starts(book.free, book.base, order, row, scratch) == 0:
            break
    return until, goal


@njit(cache=True)
def _most_sold(sold, row, low, slots):  # type: ignore[no-untyped-def]
    most = sold[row, low]
    for i in range(low + 1, low + slots):
        most = max(most, sold[row, i])
    return most


@njit(cache=True)
def _largest_take(goal, free, chunk):  # type: ignore[no-untyped-def]
    """`conditions.largest_take`."""
    units = free if free <= goal else min(goal, free - chunk)
    return units if units >= chunk else 0


# What is sold


@njit(cache=True)
def _give_back(book, order, parts, since, until):  # type: ignore[no-untyped-def]
    for i in range(since, until):
        start = parts[i].start
        add(book, parts[i].offer, start, start + order.slots, -parts[i].units)


@njit(cache=True)
def add(book: Any, row: int, start: int, end: int, units: int) -> None:
    """Count `units` of an offer more (or fewer, below zero) as sold in the slots `[start, end)`."""
    pool = book.offers[row].pool
    low, high = max(start - book.base, 0), end - book.base
    for i in range(low, high):
        book.sold_of_offer[row, i] += units
        book.sold_of_pool[pool, i] += units
    book.claims[0] += 1
    other = book.pools[pool].first_offer
    while other != NONE:
        refresh(
            book.free,
            book.sold_of_offer,
            book.sold_of_pool,
            book.offers[other],
            book.pools[pool].units,
            other,
            max(low, book.offers[other].start - book.base),
            min(high, book.offers[other].end - book.base),
        )
        other = book.offers[other].sibling


@njit(cache=True)
def refresh(
    free: Any,
    of_offer: Any,
    of_pool: Any,
    offer: Any,
    pool_units: int,
    row: int,
    low: int,
    high: int,
) -> None:
    """Set the bits of an offer anew in the slots `[low, high)` of its window, from the base."""
    most_of_offer, most_of_pool = offer.units - offer.chunk, pool_units - offer.chunk
    i = low
    while i < high:
        word, stop = i // WORD, min(high, (i // WORD + 1) * WORD)
        mask = (_ALL << np.uint64(i % WORD)) & (_ALL >> np.uint64((WORD - stop % WORD) % WORD))
        bits = _ZERO
        while i < stop:
            has = of_offer[row, i] <= most_of_offer and of_pool[offer.pool, i] <= most_of_pool
            bits |= np.uint64(has) << np.uint64(i % WORD)
            i += 1
        free[row, word] = (free[row, word] & ~mask) | bits
