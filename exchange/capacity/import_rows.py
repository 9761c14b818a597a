"""Rows of a capacity file: from JSON or CSV text to typed values, with every bad cell named. Pure.

A JSON file is ``{"centres": […], "pools": […], "offers": […]}``. A CSV file has a header line and
a column ``kind`` (``centre``, ``pool`` or ``offer``); other columns are the same fields, an empty
cell is a field left out, and several prices stand in one cell with spaces between them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from core.slots import is_slot_boundary, slot_of

KINDS: Final = ("centre", "pool", "offer")
MAX_ROWS: Final = 50_000
_MAX_WHOLE: Final = 2_147_483_647
_HOURS_OF_DAY: Final = 24


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One bad value: the row (line of a CSV file, or position in its JSON list, from 1)."""

    row: int
    kind: str
    field: str
    rule: str
    mend: str

    def as_error(self, *, from_csv: bool) -> dict[str, Any]:
        """The member of the problem's ``errors``; ``field`` is a dotted path into the file."""
        path = f"lines.{self.row}" if from_csv else f"{self.kind}s.{self.row - 1}"
        return {
            "row": self.row,
            "kind": self.kind,
            "field": f"{path}.{self.field}" if self.field else path,
            "rule": self.rule,
            "mend": self.mend,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the file, its values typed; ``problems`` where some could not be."""

    row: int
    kind: str
    values: dict[str, Any]
    problems: tuple[RowProblem, ...] = ()


@dataclass(frozen=True, slots=True)
class CapacityFile:
    """The rows of a file by kind, and what is wrong with the file as a whole."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    problems: list[RowProblem] = field(default_factory=list)
    from_csv: bool = False


class _Bad(Exception):
    def __init__(self, rule: str, mend: str) -> None:
        self.rule, self.mend = rule, mend


def read_json(body: object) -> CapacityFile:
    """The rows of a decoded JSON body."""
    file = CapacityFile()
    if not isinstance(body, Mapping):
        file.problems.append(
            _of_file("is an object with centres, pools and offers", "see the docs")
        )
        return file
    for name in body:
        if name not in {f"{kind}s" for kind in KINDS}:
            file.problems.append(
                _of_file(f"'{name}' is not a list of this file", "send centres, pools and offers")
            )
    for kind in KINDS:
        listed = body.get(f"{kind}s", [])
        if not isinstance(listed, list):
            file.problems.append(_of_file(f"{kind}s is a list", "send a list of objects"))
            continue
        for number, raw in enumerate(listed, start=1):
            if isinstance(raw, Mapping):
                file.rows[kind].append(_typed(number, kind, raw))
            else:
                problem = RowProblem(number, kind, "", "is an object", "send fields by name")
                file.rows[kind].append(Row(number, kind, {}, (problem,)))
    return _bounded(file)


def read_csv(text: str) -> CapacityFile:
    """The rows of a CSV text; row numbers are line numbers, the header being line 1."""
    file = CapacityFile(from_csv=True)
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        known = {"kind"}.union(*(FIELDS[kind] for kind in KINDS))
        file.problems.extend(_of_header(header, known))
        if file.problems:
            return file
        for cells in reader:
            if any(cell.strip() for cell in cells):
                _add_line(file, reader.line_num, header, cells)
    except csv.Error as error:
        rule = f"is CSV as RFC 4180 has it: {error}"
        file.problems.append(RowProblem(reader.line_num, "file", "", rule, 'quote cells with "'))
    return _bounded(file)


def _of_header(header: Sequence[str], known: set[str]) -> list[RowProblem]:
    problems = []
    if "kind" not in header:
        problems.append(
            RowProblem(1, "file", "kind", "the header has a column kind", "name the columns")
        )
    for name in sorted(set(header) - known):
        problems.append(
            RowProblem(1, "file", name or "(empty)", "is a known column", "leave the column out")
        )
    if len(set(header)) < len(header):
        problems.append(RowProblem(1, "file", "", "names each column once", "rename one"))
    return problems


def _add_line(file: CapacityFile, line: int, header: list[str], cells: list[str]) -> None:
    values = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
    kind = values.pop("kind", "")
    if len(cells) != len(header):
        rule = f"has {len(header)} cells as the header has, not {len(cells)}"
        file.problems.append(RowProblem(line, kind or "file", "", rule, "quote cells with commas"))
    elif kind not in KINDS:
        rule = f"is one of {', '.join(KINDS)}"
        file.problems.append(RowProblem(line, "file", "kind", rule, "say what the row is"))
    else:
        given = {name: cell for name, cell in values.items() if cell}
        file.rows[kind].append(_typed(line, kind, given))


def _bounded(file: CapacityFile) -> CapacityFile:
    count = sum(len(rows) for rows in file.rows.values())
    if count > MAX_ROWS:
        return CapacityFile(
            problems=[_of_file(f"has at most {MAX_ROWS} rows, not {count}", "send it in parts")],
            from_csv=file.from_csv,
        )
    if count == 0 and not file.problems:
        file.problems.append(_of_file("has at least one row", "send centres, pools or offers"))
    return file


def _of_file(rule: str, mend: str) -> RowProblem:
    return RowProblem(1, "file", "", rule, mend)


def _typed(number: int, kind: str, raw: Mapping[str, Any]) -> Row:
    """The row with typed values; what cannot be typed is a problem and stands in no value."""
    fields = FIELDS[kind]
    values: dict[str, Any] = {}
    problems = [
        RowProblem(number, kind, str(name), f"is not a field of a {kind}", "leave the field out")
        for name in raw
        if name not in fields
    ]
    for name, (convert, is_required, default) in fields.items():
        if raw.get(name) is None:
            if is_required:
                problems.append(RowProblem(number, kind, name, "is required", "send this field"))
            values[name] = default
            continue
        try:
            values[name] = convert(raw[name])
        except _Bad as bad:
            problems.append(RowProblem(number, kind, name, bad.rule, bad.mend))
            values[name] = None
    return Row(number, kind, values, tuple(problems))


def _text(value: object) -> str:
    if not isinstance(value, str) or "\x00" in value:
        raise _Bad("is a text", "send a text")
    return value


def _whole(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit():
        value = int(value) if len(value) < 20 else None
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _MAX_WHOLE:
        raise _Bad("is a whole number", "send digits only")
    return value


def _decimal(places: int) -> Callable[[object], Decimal]:
    def convert(value: object) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise _Bad("is a decimal number", "send a number such as 1.25")
        return _finite(str(value), places)

    return convert


def _finite(text: str, places: int) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _Bad("is a decimal number", "send a number such as 1.25") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(number) >= 10**12:
        raise _Bad("is a finite number below 10^12", "send a number such as 1.25")
    if -exponent > places:
        raise _Bad(f"has at most {places} decimal places", "round it")
    return number


def _prices(value: object) -> list[Decimal]:
    given = value.split() if isinstance(value, str) else value
    if not isinstance(given, list) or len(given) not in (1, _HOURS_OF_DAY):
        raise _Bad("has one price, or 24 by UTC hour of the day", "send 1 or 24 texts of yuan")
    if not all(isinstance(price, str) for price in given):
        raise _Bad("has prices as texts, never as numbers", 'send "5.20"')
    prices = [_finite(price, 6) for price in given]
    if any(price < 0 for price in prices):
        raise _Bad("has no negative price", "send prices of 0 or more")
    return prices


def _slot(value: object) -> int:
    try:
        at = datetime.fromisoformat(value if isinstance(value, str) else "")
        if at.tzinfo is None:
            raise ValueError
    except (ValueError, OverflowError):
        rule = "is an instant in ISO 8601 with its offset"
        raise _Bad(rule, "send 2026-11-23T08:00:00Z") from None
    if not is_slot_boundary(at):
        raise _Bad("is a whole hour of UTC", "send the start of an hour")
    return slot_of(at)


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    raise _Bad("is true or false", "send true or false")


_Field = tuple[Callable[[object], Any], bool, Any]

# Field → how it is read, whether it is required, what stands for it where it is left out.
FIELDS: Final[dict[str, dict[str, _Field]]] = {
    "centre": {
        "code": (_text, True, None),
        "name": (_text, True, None),
        "region": (_text, True, None),
        "standard_racks": (_whole, True, None),
        "pue": (_decimal(3), True, None),
        "green_share": (_decimal(4), True, None),
    },
    "pool": {
        "centre": (_text, True, None),
        "code": (_text, True, None),
        "grade": (_text, True, None),
        "units": (_whole, True, None),
    },
    "offer": {
        "centre": (_text, True, None),
        "pool": (_text, True, None),
        "units": (_whole, True, None),
        "start_at": (_slot, True, None),
        "end_at": (_slot, True, None),
        "prices": (_prices, True, None),
        "min_duration_slots": (_whole, False, 1),
        "max_duration_slots": (_whole, False, None),
        "min_chunk_units": (_whole, False, 1),
        "is_reclaimable": (_truth, False, False),
        "reclaim_notice_seconds": (_whole, False, None),
    },
}
