"""Bases and fields for the serializers of all rooms: they check shape and render, nothing else."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.money import MAX_MICRO, to_decimal, to_micro
from core.slots import is_slot_boundary, slot_of, slot_start_at

_MONEY = re.compile(r"-?\d{1,13}(\.\d{1,6})?")


if TYPE_CHECKING:
    _Base = serializers.Serializer
else:
    _Base = object


class _Spare(threading.local):
    """Of each thread: by class, sets of fields that no serializer uses now."""

    def __init__(self) -> None:
        self.by_class: dict[type, list[Any]] = {}


_spare = _Spare()


class _FieldsReused(_Base):
    """Borrows a set of fields for a piece of work, and gives it back.

    The framework copies every field of a class deeply for each instance; for an order that costs
    more than checking and rendering it. Fields keep nothing but whose they are, so a set serves
    one serializer after the other.
    """

    def _borrow_fields(self) -> bool:
        """Have fields; whether they are to be given back (not where they were had already)."""
        own = self.__dict__
        if "fields" in own:
            return False
        spare = _spare.by_class.get(type(self))
        if not spare:
            return True  # made at the first use
        own["fields"] = fields = spare.pop()
        fields.serializer = self
        for field in fields.values():
            field.parent = self
        return True

    def _give_back_fields(self) -> None:
        fields = self.__dict__.pop("fields", None)
        if fields is None:
            return
        # What was worked on must not live on through them.
        fields.serializer = None
        for field in fields.values():
            field.parent = None
        _spare.by_class.setdefault(type(self), []).append(fields)


class InputSerializer(_FieldsReused, serializers.Serializer):
    """A body or a query; fields that it does not know are refused."""

    default_error_messages = {"unknown": "is not a field of this request"}

    def run_validation(self, data: Any = serializers.empty) -> Any:
        """The checked values; a ``ValidationError`` names every bad one."""
        borrowed = self._borrow_fields()
        try:
            return super().run_validation(data)
        finally:
            if borrowed:
                self._give_back_fields()

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
    """The body of an action that takes no values: the address says it all."""


class OutputSerializer(_FieldsReused, serializers.Serializer):
    """An answer; it only renders."""

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """The answer as it goes into JSON."""
        borrowed = self._borrow_fields()
        try:
            return super().to_representation(instance)
        finally:
            if borrowed:
                self._give_back_fields()


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
