"""The shapes of amendments: what of an order is to change, and what became of it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers import InputSerializer, InstantField, MoneyField, OutputSerializer, SlotField
from api.v1.market.serializers import GradeLimitInput, OrderGradeSerializer, shown_limits
from exchange.market.intake import MAX_GRADES, MAX_UNITS
from exchange.market.models import AmendmentState, TimeInForce
from exchange.market.requests import AmendRequest, GradeLimit


class AmendInput(InputSerializer):
    """Other terms of an order; what is left out stays. Ended with `cancel`, not with zero units."""

    version = serializers.IntegerField(
        min_value=0, help_text="The order's `version` that you know: two amendments cannot cross."
    )
    grades = serializers.ListField(
        child=GradeLimitInput(), allow_empty=False, max_length=MAX_GRADES, required=False
    )
    units = serializers.IntegerField(min_value=1, max_value=MAX_UNITS, required=False)
    min_units = serializers.IntegerField(min_value=1, max_value=MAX_UNITS, required=False)
    earliest_start_at = InstantField(required=False)
    latest_end_at = InstantField(required=False)
    max_cost = MoneyField(
        min_micro=1, allow_null=True, required=False, help_text="Null: no ceiling any more."
    )
    time_in_force = serializers.ChoiceField(TimeInForce.choices, required=False)
    good_till_at = InstantField(allow_null=True, required=False)
    allow_outside_band = serializers.BooleanField(
        required=False, help_text="Let new limits lie outside the price band."
    )

    def to_request(self) -> AmendRequest:
        """What is to change, as the market takes it."""
        values = dict(self.validated_data)
        version, named = (
            values.pop("version"),
            frozenset(values) - {"version", "allow_outside_band"},
        )
        limits = tuple(
            GradeLimit(grade=limit["grade"], limit_micro=limit["limit_price_per_unit_hour"])
            for limit in values.pop("grades", ())
        )
        ceiling = values.pop("max_cost", None)
        return AmendRequest(
            version=version, named=named, limits=limits, max_cost_micro=ceiling, **values
        )


class AmendmentSerializer(OutputSerializer):
    """Terms of an order that were asked for, whole; number 0 are those that it was placed with."""

    id = serializers.UUIDField()
    order_id = serializers.UUIDField()
    number = serializers.IntegerField()
    state = serializers.ChoiceField(AmendmentState.choices)
    reason = serializers.CharField(
        help_text="Of a refusal: the order was `closed`, more `units` were filled, or the "
        "`ceiling` was spent, when the book came to it."
    )
    keeps_priority = serializers.BooleanField(source="keeps_entry")
    grades = serializers.SerializerMethodField()
    units = serializers.IntegerField()
    min_units = serializers.IntegerField()
    earliest_start_at = SlotField(source="earliest_slot")
    latest_end_at = SlotField(source="latest_slot")
    max_cost = MoneyField(source="max_cost_micro", allow_null=True)
    time_in_force = serializers.ChoiceField(TimeInForce.choices)
    good_till_at = InstantField(allow_null=True)
    requested_at = InstantField()
    decided_at = InstantField(allow_null=True)

    @extend_schema_field(OrderGradeSerializer(many=True))
    def get_grades(self, amendment: Any) -> list[dict[str, str]]:
        """The grades with the limits asked for."""
        return shown_limits(self, amendment.order.grade_ids, amendment.limit_prices)
