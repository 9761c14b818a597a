"""Values on their way to a page: what is shown, how, and where it leads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import get_language

from console import words

Words: TypeAlias = str | Promise
CellKind = Literal[
    "text", "money", "instant", "minute", "date", "number", "state", "share", "id", "code"
]


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a table or a list of facts."""

    kind: CellKind
    value: Any
    href: str = ""
    tone: str = ""  # of a state: good, busy, bad, quiet


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled value."""

    label: Words
    cell: Cell


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column; figures stand at the right, in tabular numbers."""

    label: Words
    figures: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its heading; ``anchor`` is the fragment that leads to it."""

    title: Words
    anchor: str
    columns: list[Column]
    rows: list[list[Cell]]
    empty: Words = ""
    note: Words = ""
    footer: list[Cell] = field(default_factory=list)


def text(value: object, href: str = "") -> Cell:
    """Words as they are; nothing is shown as a dash."""
    return Cell("text", value, href)


def code(value: object, href: str = "") -> Cell:
    """A machine's word, in the typewriter face."""
    return Cell("code", value, href)


def money(amount_micro: int | None, href: str = "") -> Cell:
    """An amount in micro-yuan."""
    return Cell("money", amount_micro, href)


def instant(at: datetime | None) -> Cell:
    """An instant, shown in the operator's time zone."""
    return Cell("instant", at)


def minute(at: datetime | None) -> Cell:
    """An instant that lies on a whole minute, such as a slot's start."""
    return Cell("minute", at)


def day(value: date, href: str = "") -> Cell:
    """A calendar day of the operator."""
    return Cell("date", value, href)


def number(value: object, href: str = "") -> Cell:
    """A count or quantity."""
    return Cell("number", value, href)


def state(vocabulary: str, value: str) -> Cell:
    """A state in words, with the look that belongs to it."""
    return Cell("state", words.word(vocabulary, value), tone=words.tone(value))


def share(value: object) -> Cell:
    """A share of one, shown in per cent."""
    return Cell("share", value)


def thing(kind: str, thing_id: UUID | None) -> Cell:
    """A link to a thing by its id."""
    return Cell("id", thing_id, thing_url(kind, thing_id) if thing_id else "")


def thing_url(kind: str, thing_id: UUID) -> str:
    """The address of the page that shows a thing."""
    return reverse("console:thing", args=[kind, thing_id])


def region_name(region: Any) -> str:
    """A region's name in the language of the page."""
    if region is None:
        return ""
    chinese = (get_language() or "").startswith("zh")
    return str(region.name_zh if chinese else region.name_en)


def region(value: Any) -> Cell:
    """A region by name."""
    return text(region_name(value))


def organisation(value: Any) -> Cell:
    """An organisation by name, leading to its page."""
    return text(value.name, thing_url("organisation", value.id)) if value else text(None)
