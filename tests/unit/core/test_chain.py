"""The pure half of sealing: what makes a chain."""

from dataclasses import replace

import pytest

from core.sealing import GENESIS, Link, broken_links, seal_hash


def chain(*ranges):
    links, previous = [], GENESIS
    for number, (xid_from, xid_to) in enumerate(ranges, start=1):
        facts = {"number": number, "xid_from": xid_from, "xid_to": xid_to, "row_count": 2}
        digest = bytes([number]) * 32
        own = seal_hash(**facts, rows_digest=digest, previous=previous)
        links.append(Link(**facts, rows_digest=digest, previous_hash=previous, hash=own))
        previous = own
    return links


def test_a_whole_chain_has_nothing_wrong():
    assert list(broken_links([])) == []
    assert list(broken_links(chain((0, 5), (5, 9), (9, 30)))) == []


def test_the_hash_is_what_the_documentation_says():
    # printf '1|0|5|2|0101…|0000…' | sha256sum
    import hashlib

    line = f"1|0|5|2|{'01' * 32}|{'00' * 32}"
    assert chain((0, 5))[0].hash == hashlib.sha256(line.encode()).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"row_count": 3},
        {"rows_digest": bytes(32)},
        {"previous_hash": bytes(31) + b"x"},
        {"xid_to": 8},
        {"xid_from": 6},
        {"hash": bytes(32)},
        {"number": 7},
    ],
)
def test_any_change_of_a_seal_is_found(change):
    links = chain((0, 5), (5, 9), (9, 30))
    links[1] = replace(links[1], **change)
    assert list(broken_links(links))


def test_a_missing_seal_is_found():
    first, _, third = chain((0, 5), (5, 9), (9, 30))
    assert list(broken_links([first, third])) == ["seal 2 is missing"]


def test_a_range_with_a_gap_is_found_even_where_hashes_are_right():
    assert any("does not begin" in text for text in broken_links(chain((0, 5), (6, 9))))
