"""Reading a capacity file: what is typed how, and what is said of bad cells."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.capacity import import_rows
from exchange.capacity.import_rows import read_csv, read_json

POOL = {"centre": "c1", "code": "p1", "grade": "g", "units": 4}
OFFER = {
    "centre": "c1",
    "pool": "p1",
    "units": 4,
    "start_at": "2026-11-23T08:00:00Z",
    "end_at": "2026-11-24T08:00:00+00:00",
    "prices": ["5.20"],
}
CENTRE = {
    "code": "c1",
    "name": "One",
    "region": "zhengzhou",
    "standard_racks": 10,
    "pue": "1.2",
    "green_share": 0.4,
}


def said(file) -> list[tuple[int, str, str]]:
    of_rows = [problem for rows in file.rows.values() for row in rows for problem in row.problems]
    return [(problem.row, problem.kind, problem.field) for problem in [*file.problems, *of_rows]]


def test_json_rows_are_typed():
    file = read_json({"centres": [CENTRE], "pools": [POOL], "offers": [OFFER]})
    assert said(file) == []
    assert file.rows["centre"][0].values["pue"] == Decimal("1.2")
    assert file.rows["centre"][0].values["green_share"] == Decimal("0.4")
    assert file.rows["offer"][0].values == {
        "centre": "c1",
        "pool": "p1",
        "units": 4,
        "start_at": 498728,
        "end_at": 498752,
        "prices": [Decimal("5.20")],
        "min_duration_slots": 1,
        "max_duration_slots": None,
        "min_chunk_units": 1,
        "is_reclaimable": False,
        "reclaim_notice_seconds": None,
    }


def test_csv_gives_the_same_rows():
    text = (
        "kind,code,name,region,standard_racks,pue,green_share,centre,grade,units,pool,start_at,"
        "end_at,prices\r\n"
        "centre,c1,One,zhengzhou,10,1.2,0.4,,,,,,,\r\n"
        "\r\n"
        "pool,p1,,,,,,c1,g,4,,,,\r\n"
        "offer,,,,,,,c1,,4,p1,2026-11-23T08:00:00Z,2026-11-24T08:00:00Z,5.20\r\n"
    )
    file = read_csv(text)
    assert said(file) == []
    same = read_json({"centres": [CENTRE], "pools": [POOL], "offers": [OFFER]})
    for kind in import_rows.KINDS:
        assert [row.values for row in file.rows[kind]] == [row.values for row in same.rows[kind]]
    assert [row.row for row in file.rows["pool"]] == [4]


@pytest.mark.parametrize(
    ("kind", "base", "field", "value"),
    [
        ("pool", POOL, "units", "4.5"),
        ("pool", POOL, "units", True),
        ("pool", POOL, "units", 4.0),
        ("pool", POOL, "units", None),
        ("pool", POOL, "units", "9" * 30),
        ("pool", POOL, "code", 7),
        ("pool", POOL, "code", "a\x00b"),
        ("centre", CENTRE, "pue", "NaN"),
        ("centre", CENTRE, "pue", "Infinity"),
        ("centre", CENTRE, "pue", "1.2345"),
        ("centre", CENTRE, "pue", "1,2"),
        ("centre", CENTRE, "green_share", []),
        ("offer", OFFER, "prices", []),
        ("offer", OFFER, "prices", ["1"] * 23),
        ("offer", OFFER, "prices", [5.2]),
        ("offer", OFFER, "prices", ["-1"]),
        ("offer", OFFER, "prices", ["1.2345678"]),
        ("offer", OFFER, "start_at", "2026-11-23T08:30:00Z"),
        ("offer", OFFER, "start_at", "2026-11-23T08:00:00"),
        ("offer", OFFER, "start_at", "tomorrow"),
        ("offer", OFFER, "is_reclaimable", "yes"),
    ],
)
def test_a_bad_value_is_named(kind, base, field, value):
    file = read_json({f"{kind}s": [base, base | {field: value}]})
    assert said(file) == [(2, kind, field)]


def test_unknown_fields_and_lists_are_named():
    file = read_json({"pools": [POOL | {"colour": "red"}], "racks": []})
    assert said(file) == [(1, "file", ""), (1, "pool", "colour")]


@pytest.mark.parametrize("body", [[], "text", None, 3, {}, {"pools": []}, {"pools": {}}])
def test_what_is_no_file_is_refused_as_a_whole(body):
    file = read_json(body)
    assert {problem.kind for problem in file.problems} == {"file"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [(1, "file", "kind")]),
        ("code,units\np1,3\n", [(1, "file", "kind")]),
        ("kind,colour\npool,red\n", [(1, "file", "colour")]),
        ("kind,code,code\npool,a,b\n", [(1, "file", "")]),
        ("kind,code\nrack,a\n", [(2, "file", "kind")]),
        ("kind,code\npool,a,b\n", [(2, "pool", "")]),
        ('kind,code\npool,"a\n', [(2, "file", "")]),
    ],
)
def test_bad_csv_is_named_by_line(text, expected):
    assert said(read_csv(text)) == expected


def test_too_many_rows(monkeypatch):
    monkeypatch.setattr(import_rows, "MAX_ROWS", 2)
    file = read_json({"pools": [POOL] * 3})
    assert said(file) == [(1, "file", "")]
    assert not any(file.rows.values())
