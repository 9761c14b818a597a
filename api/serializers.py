"""Bases and fields for the serializers of all rooms: they check shape and render, nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.money import MAX_MICRO, to_decimal, to_micro
from core.slots import is_slot_boundary, slot_of, slot_start_at

_MONEY = re.compile(r"-?\d{1,13}(\.\d{1,6})?")


class InputSerializer(serializers.Serializer):
    """A body or a query; fields that it does not know are refused."""

    default_error_messages = {"unknown": "is not a field of this request"}

    def to_internal_value(self, data: Any) -> Any:
        """The checked values; a ``ValidationError`` names unknown and bad fields together."""
        unknown = (
            sorted(set(map(str, data)) - set(self.fields)) if isinstance(data, Mapping) else []
        )
        bad: dict[str, Any] = {
            name: [serializers.ErrorDetail(str(self.error_messages["unknown"]), code="unknown")]
            for name in unknown[:20]
        }
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            if not bad or not isinstance(error.detail, dict):
                raise
            raise serializers.ValidationError({**bad, **error.detail}) from error
        if bad:
            raise serializers.ValidationError(bad)
        return values


class EmptyInput(InputSerializer):
    """The body of an action that takes no values: `{}`."""


class OutputSerializer(serializers.Serializer):
    """An answer; it only renders."""


@extend_schema_field(
    {"type": "string", "pattern": r"^-?\d{1,13}(\.\d{1,6})?$", "examples": ["12.345678"]}
)
class MoneyField(serializers.Field):
    """Yuan as a text with at most six places; inside, whole micro-yuan (``int``).

    A JSON number is refused: it would have passed through binary floating point.
    """

    default_error_messages = {
        "invalid": 'must be a text of yuan with at most six decimal places, such as "12.345678"',
        "min_value": "must be at least {limit}",
        "max_value": "must be at most {limit}",
    }

    def __init__(
        self,
        *,
        min_micro: int | None = 0,
        max_micro: int = MAX_MICRO // 1_000_000,
        **kwargs: Any,
    ) -> None:
        self.min_micro, self.max_micro = min_micro, max_micro
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> int:
        """Micro-yuan."""
        if not isinstance(data, str) or not _MONEY.fullmatch(data):
            self.fail("invalid")
        amount = to_micro(Decimal(data))
        if self.min_micro is not None and amount < self.min_micro:
            self.fail("min_value", limit=f"{to_decimal(self.min_micro):f}")
        if amount > self.max_micro:
            self.fail("max_value", limit=f"{to_decimal(self.max_micro):f}")
        return amount

    def to_representation(self, value: int) -> str:
        """A text with six places."""
        return f"{to_decimal(value):.6f}"


@extend_schema_field(OpenApiTypes.DATETIME)
class InstantField(serializers.DateTimeField):
    """An instant with its offset; rendered in UTC with ``Z``."""

    default_error_messages = {
        "invalid": "must be an instant in ISO 8601 with its offset, such as 2026-11-23T08:00:00Z",
        "naive": "must name its offset from UTC, such as Z",
    }

    def enforce_timezone(self, value: datetime) -> datetime:
        """Refuse an instant without an offset, which nobody can place."""
        if value.tzinfo is None:
            self.fail("naive")
        try:
            return super().enforce_timezone(value)
        except OverflowError:
            self.fail("invalid")


@extend_schema_field(OpenApiTypes.DATETIME)
class SlotField(InstantField):
    """The start of a slot as a whole UTC hour; inside, the slot's number (``int``)."""

    default_error_messages = {"boundary": "must be a whole hour of UTC"}

    def to_internal_value(self, value: Any) -> int:  # type: ignore[override]
        """The slot's number."""
        at = super().to_internal_value(value)
        if not is_slot_boundary(at):
            self.fail("boundary")
        return slot_of(at)

    def to_representation(self, value: int) -> str:  # type: ignore[override]
        """The instant at which the slot starts."""
        return slot_start_at(value).strftime("%Y-%m-%dT%H:%M:%SZ")


class ProblemFieldSerializer(OutputSerializer):
    """One bad value."""

    field = serializers.CharField(help_text="Where it stands: a dotted path.")
    rule = serializers.CharField(help_text="The rule that it breaks.")
    mend = serializers.CharField(help_text="How to mend it.")


class ProblemSerializer(OutputSerializer):
    """A refusal, as RFC 9457 has it."""

    type = serializers.CharField(help_text="The address of a page about this kind of problem.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What happened here, in a sentence or two.")
    instance = serializers.CharField(required=False, help_text="The address that was asked.")
    retry_helps = serializers.BooleanField(help_text="Whether the same request may succeed later.")
    request_id = serializers.CharField(required=False)
    errors = ProblemFieldSerializer(many=True, required=False)  # type: ignore[assignment]
