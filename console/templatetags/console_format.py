"""How figures look: money, numbers, shares and instants, each in one way on every page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from django import template
from django.conf import settings
from django.template.defaultfilters import date as format_date
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

from console import cells, words
from core.money import to_decimal

register = template.Library()
NOTHING = "–"
MINUS = "−"  # a true minus, as wide as a plus
_FEN = Decimal("0.01")
_MICRO = Decimal("0.000001")


def plain_yuan(amount_micro: int, places: Decimal = _FEN) -> str:
    """Micro-yuan as yuan with thousands separators, half-even: ``¥1,234.57``. For reading only."""
    shown = to_decimal(amount_micro).quantize(places, ROUND_HALF_EVEN)
    sign = MINUS if shown < 0 else ""
    return f"{sign}¥{abs(shown):,}"


@register.filter
def yuan(amount_micro: int | None) -> SafeString | str:
    """Micro-yuan to the fen; the exact amount, to the millionth, shows on hover."""
    if amount_micro is None:
        return NOTHING
    return format_html(
        '<data class="money{}" value="{}" title="{}">{}</data>',
        " below" if amount_micro < 0 else "" if amount_micro else " zero",
        amount_micro,
        plain_yuan(amount_micro, _MICRO),
        plain_yuan(amount_micro),
    )


@register.filter
def yuan_exact(amount_micro: int | None) -> SafeString | str:
    """Micro-yuan to the millionth, where each of them counts."""
    if amount_micro is None:
        return NOTHING
    shown = plain_yuan(amount_micro, _MICRO)
    look = "money" if amount_micro else "money zero"
    return format_html('<data class="{}" value="{}">{}</data>', look, amount_micro, shown)


@register.filter
def plain(amount_micro: int) -> str:
    """Micro-yuan to the fen, as text (in drawings and titles)."""
    return plain_yuan(amount_micro)


@register.filter
def fen(amount_fen: int | None) -> SafeString | str:
    """Whole fen as yuan."""
    return yuan(None if amount_fen is None else amount_fen * 10_000)


@register.filter
def number(value: int | Decimal | None) -> str:
    """A quantity with thousands separators, without the zeros at the end of a fraction."""
    if value is None:
        return NOTHING
    shown = f"{value:,}"
    if "." in shown:
        shown = shown.rstrip("0").rstrip(".")
    return shown.replace("-", MINUS)


@register.filter
def share(value: Decimal | float | None) -> str:
    """A share of one in per cent, to one place."""
    if value is None:
        return NOTHING
    exact = Decimal(str(value)) * 100
    return f"{exact.quantize(Decimal('0.1'), ROUND_HALF_EVEN):,}\N{NO-BREAK SPACE}%"


@register.filter
def instant(at: datetime | None) -> SafeString | str:
    """An instant in the page's time zone; in UTC on hover."""
    if at is None:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.astimezone(UTC).isoformat(),
        at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f UTC"),
        localtime(at).strftime("%Y-%m-%d %H:%M:%S"),
    )


@register.filter
def minute(at: datetime | None) -> SafeString | str:
    """An instant to the minute, in the page's time zone; in UTC on hover."""
    if at is None:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.astimezone(UTC).isoformat(),
        at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        instant_plain(at),
    )


@register.filter
def instant_plain(at: datetime) -> str:
    """An instant to the minute, as text."""
    return localtime(at).strftime("%Y-%m-%d %H:%M")


@register.filter
def hour(at: datetime) -> str:
    """The hour of an instant, of two digits."""
    return localtime(at).strftime("%H")


@register.filter
def day(value: date | None) -> str:
    """A calendar day."""
    return NOTHING if value is None else format_date(value, "Y-m-d")


@register.filter
def word(code: str, vocabulary: str) -> str:
    """What a code is called: ``{{ batch.state|word:"batch" }}``."""
    return str(words.word(vocabulary, code))


@register.simple_tag
def state(code: str, vocabulary: str) -> SafeString:
    """A state as a small label; its look repeats what its word says."""
    return format_html(
        '<span class="state {}">{}</span>', words.tone(code), words.word(vocabulary, code)
    )


@register.filter
def region_name(region: object) -> str:
    """A region's name in the language of the page."""
    return cells.region_name(region) or NOTHING


@register.filter
def short_id(value: object) -> str:
    """The start and the end of an id, for tables; the whole of it stands in the title."""
    whole = str(value)
    return f"{whole[:8]}…{whole[-6:]}" if len(whole) > 20 else whole


_LOOKS: Final[dict[str, Callable[[cells.Cell], SafeString | str]]] = {
    "money": lambda one: yuan(one.value),
    "instant": lambda one: instant(one.value),
    "minute": lambda one: minute(one.value),
    "date": lambda one: day(one.value),
    "number": lambda one: number(one.value),
    "share": lambda one: share(one.value),
    "state": lambda one: format_html('<span class="state {}">{}</span>', one.tone, one.value),
    "id": lambda one: format_html('<code title="{}">{}</code>', one.value, short_id(one.value)),
    "code": lambda one: format_html("<code>{}</code>", one.value),
    "text": lambda one: str(one.value),
}


def _shown(one: cells.Cell) -> SafeString | str:
    return NOTHING if one.value is None else _LOOKS[one.kind](one)


@register.simple_tag
def cell(value: cells.Cell) -> SafeString | str:
    """A cell's value in its own look, as a link where it leads somewhere."""
    shown = _shown(value)
    if value.href and value.value:
        return format_html('<a href="{}">{}</a>', value.href, shown)
    return shown


@register.simple_tag
def operator_zone() -> str:
    """The time zone in which the console shows times."""
    return str(settings.OPERATOR_TIME_ZONE)


@register.filter
def lookup(values: dict[str, object], key: str) -> object:
    """A dictionary's value by a key that is a variable; None where it has none."""
    return values.get(key)


@register.filter
def account_word(code: str) -> str:
    """What a ledger account's use is called."""
    return str(words.account_word(code))
