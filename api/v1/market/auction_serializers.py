"""The shapes of day-ahead auctions: what is asked for, and what is shown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers import InputSerializer, InstantField, MoneyField, OutputSerializer, SlotField
from api.v1.market.serializers import DecimalMoneyField, PriceField
from core.slots import slot_start_at
from exchange.market.day_ahead.intake import MAX_LINES, MAX_UNITS
from exchange.market.day_ahead.models import AuctionLine, AuctionState, EntryState, LineKind
from exchange.market.day_ahead.requests import (
    AuctionOfferRequest,
    AuctionOrderRequest,
    LineRequest,
    LinkRequest,
    ScheduleRequest,
    TimesRequest,
)


class SlotUnitsInput(InputSerializer):
    start_at = SlotField(help_text="An hour of the delivery day.")
    units = serializers.IntegerField(min_value=1, max_value=MAX_UNITS)


class AuctionLineInput(InputSerializer):
    """A step takes any part in each hour; a block all hours together, at least `least_ratio`."""

    kind = serializers.ChoiceField(LineKind.choices, default=LineKind.STEP)
    price_per_unit_hour = PriceField(help_text="A limit: buyers pay, sellers get this or better.")
    slots = serializers.ListField(child=SlotUnitsInput(), min_length=1, max_length=26)
    least_ratio = serializers.DecimalField(
        max_digits=5, decimal_places=4, min_value=0, max_value=1, default=Decimal(1)
    )
    parent = serializers.IntegerField(  # type: ignore[assignment]  # a field, not the attribute
        min_value=0,
        max_value=MAX_LINES,
        allow_null=True,
        default=None,
        help_text="Position of the block, before this one, without which this is not accepted.",
    )

    def validate_slots(self, slots: list[dict[str, int]]) -> list[dict[str, int]]:
        """Each hour stands once."""
        if len({slot["start_at"] for slot in slots}) < len(slots):
            raise serializers.ValidationError("An hour stands twice; add its units up.")
        return slots


def _lines(values: list[dict[str, Any]]) -> tuple[LineRequest, ...]:
    return tuple(
        LineRequest(
            kind=line["kind"],
            price_micro=line["price_per_unit_hour"],
            units_by_slot={slot["start_at"]: slot["units"] for slot in line["slots"]},
            least_ratio=line["least_ratio"],
            parent=line["parent"],
        )
        for line in values
    )


class AuctionOrderInput(InputSerializer):
    """A buy order. No constraint is finer than grade and zone."""

    grade = serializers.CharField(max_length=64)
    zone = serializers.CharField(max_length=32, help_text="The city in which you take delivery.")
    lines = serializers.ListField(child=AuctionLineInput(), allow_empty=False, max_length=MAX_LINES)
    client_reference = serializers.CharField(max_length=64, allow_blank=True, default="")

    def to_request(self) -> AuctionOrderRequest:
        """As the auction takes it."""
        values = dict(self.validated_data)
        return AuctionOrderRequest(lines=_lines(values.pop("lines")), **values)


class AuctionOfferInput(InputSerializer):
    """A sell order of a pool: its lines together are what goes to the auction."""

    pool = serializers.UUIDField()
    lines = serializers.ListField(child=AuctionLineInput(), allow_empty=False, max_length=MAX_LINES)
    minimum_income = MoneyField(
        min_micro=0,
        allow_null=True,
        default=None,
        help_text="The steps earn this at least, or none of them is accepted.",
    )
    minimum_income_per_unit_hour = MoneyField(min_micro=0, default=0)
    client_reference = serializers.CharField(max_length=64, allow_blank=True, default="")

    def to_request(self) -> AuctionOfferRequest:
        """As the auction takes it."""
        values = dict(self.validated_data)
        variable = values.pop("minimum_income_per_unit_hour")
        return AuctionOfferRequest(
            lines=_lines(values.pop("lines")),
            minimum_income_micro=values.pop("minimum_income"),
            minimum_income_per_unit_hour_micro=variable,
            **values,
        )


class AuctionTimesInput(InputSerializer):
    """An auction announced by hand; times left out follow the timetable."""

    delivery_date = serializers.DateField()
    reason = serializers.CharField(max_length=500)
    opens_at = InstantField(allow_null=True, default=None)
    closes_at = InstantField(allow_null=True, default=None)
    clear_by_at = InstantField(allow_null=True, default=None)
    publish_by_at = InstantField(allow_null=True, default=None)

    def to_request(self) -> TimesRequest:
        """As the auction takes it."""
        return TimesRequest(**{k: v for k, v in self.validated_data.items() if k != "reason"})


class AuctionReasonInput(InputSerializer):
    reason = serializers.CharField(max_length=500)


class AuctionScheduleInput(InputSerializer):
    """A timetable: times of the day before delivery, in the operator's time zone."""

    valid_from_date = serializers.DateField()
    is_running = serializers.BooleanField(default=True)
    announced_days = serializers.IntegerField(min_value=1, max_value=14, default=2)
    opens_at = serializers.TimeField()
    closes_at = serializers.TimeField()
    clear_by_at = serializers.TimeField()
    publish_by_at = serializers.TimeField()
    solver_seconds = serializers.IntegerField(min_value=1, max_value=600, default=30)
    lowest_price = PriceField()
    highest_price = PriceField()

    def to_request(self) -> ScheduleRequest:
        """As the auction takes it."""
        values = dict(self.validated_data)
        return ScheduleRequest(
            lowest_price_micro=values.pop("lowest_price"),
            highest_price_micro=values.pop("highest_price"),
            **values,
        )


class AuctionLinkInput(InputSerializer):
    """Units that a link carries each way, by hour of the delivery day."""

    price_per_unit_hour = MoneyField(min_micro=0)
    forward_units = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=10**9), min_length=24, max_length=24
    )
    backward_units = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=10**9), min_length=24, max_length=24
    )

    def to_request(self, link_id: int) -> LinkRequest:
        """As the auction takes it."""
        values = self.validated_data
        return LinkRequest(
            link_id=link_id,
            price_micro=values["price_per_unit_hour"],
            forward_units=tuple(values["forward_units"]),
            backward_units=tuple(values["backward_units"]),
        )


class AuctionsQuery(InputSerializer):
    state = serializers.ChoiceField(AuctionState.choices, required=False)
    delivery_date = serializers.DateField(required=False)


class AuctionSerializer(OutputSerializer):
    """An auction and its times."""

    id = serializers.UUIDField()
    delivery_date = serializers.DateField()
    state = serializers.ChoiceField(AuctionState.choices)
    state_reason = serializers.CharField()
    delivery_starts_at = SlotField(source="first_slot")
    delivery_ends_at = SlotField(source="end_slot")
    opens_at = InstantField()
    closes_at = InstantField()
    clear_by_at = InstantField()
    publish_by_at = InstantField()
    lowest_price = DecimalMoneyField()
    highest_price = DecimalMoneyField()
    announced_at = InstantField()
    opened_at = InstantField(allow_null=True)
    closed_at = InstantField(allow_null=True)
    cleared_at = InstantField(allow_null=True)
    ended_at = InstantField(allow_null=True)


class SlotUnitsSerializer(OutputSerializer):
    start_at = InstantField()
    units = serializers.IntegerField()
    reserved_units = serializers.IntegerField(
        allow_null=True, help_text="Of an offer, once the gate is closed."
    )
    accepted_units = serializers.IntegerField(allow_null=True, help_text="Once published.")


class AuctionLineSerializer(OutputSerializer):
    """A line and what it got; `token` is its name in the public problem and certificate."""

    token = serializers.UUIDField()
    kind = serializers.ChoiceField(LineKind.choices)
    price_per_unit_hour = DecimalMoneyField(source="price")
    least_ratio = serializers.DecimalField(max_digits=5, decimal_places=4)
    parent = serializers.SerializerMethodField()  # type: ignore[assignment]  # likewise
    slots = serializers.SerializerMethodField()
    amount = serializers.SerializerMethodField()
    reason = serializers.SerializerMethodField()

    @extend_schema_field({"type": ["integer", "null"]})
    def get_parent(self, line: AuctionLine) -> int | None:
        """The position of the parent."""
        siblings: dict[Any, int] = self.context["positions"]
        return None if line.parent_id is None else siblings[line.parent_id]

    @extend_schema_field(SlotUnitsSerializer(many=True))
    def get_slots(self, line: AuctionLine) -> list[dict[str, Any]]:
        """Hours with units."""
        reserved = getattr(getattr(line, "reservation", None), "units", None)
        accepted = getattr(getattr(line, "answer", None), "accepted", None)
        first: int = self.context["first_slot"]
        found = [
            {
                "start_at": slot_start_at(first + hour),
                "units": units,
                "reserved_units": None if reserved is None else reserved[hour],
                "accepted_units": None if accepted is None else accepted[hour],
            }
            for hour, units in enumerate(line.units)
            if units
        ]
        return list(SlotUnitsSerializer(found, many=True).data)

    @extend_schema_field(MoneyField(allow_null=True))
    def get_amount(self, line: AuctionLine) -> str | None:
        """What the line pays or gets at the uniform prices; null before publication."""
        answer = getattr(line, "answer", None)
        return None if answer is None else MoneyField().to_representation(answer.amount_micro)

    @extend_schema_field({"type": "string"})
    def get_reason(self, line: AuctionLine) -> str:
        """Why a block was not wholly accepted; empty where it was."""
        answer = getattr(line, "answer", None)
        return "" if answer is None else str(answer.reason)


class AuctionEntrySerializer(OutputSerializer):
    id = serializers.UUIDField()
    auction_id = serializers.UUIDField()
    state = serializers.ChoiceField(EntryState.choices)
    grade = serializers.CharField(source="grade.code")
    zone = serializers.CharField(source="region_id")
    client_reference = serializers.CharField()
    replaces = serializers.UUIDField(source="replaces_id", allow_null=True)
    entered_at = InstantField()
    closed_at = InstantField(allow_null=True)
    lines = serializers.SerializerMethodField()

    @extend_schema_field(AuctionLineSerializer(many=True))
    def get_lines(self, entry: Any) -> list[dict[str, Any]]:
        """The lines, in their order."""
        lines = sorted(entry.lines.all(), key=lambda line: line.position)
        context = {
            "first_slot": entry.auction.first_slot,
            "positions": {line.id: line.position for line in lines},
        }
        return list(AuctionLineSerializer(lines, many=True, context=context).data)


class AuctionOrderSerializer(AuctionEntrySerializer):
    """An order; `held` is the most that it could come to, `spent` what its trades cost."""

    held = MoneyField(source="held_micro")
    spent = MoneyField(source="spent_micro")


class AuctionOfferSerializer(AuctionEntrySerializer):
    """An offer of a pool."""

    pool = serializers.UUIDField(source="pool_id")
    minimum_income = MoneyField(source="minimum_income_micro", allow_null=True)
    minimum_income_per_unit_hour = DecimalMoneyField()


class AuctionPriceSerializer(OutputSerializer):
    grade = serializers.CharField()
    zone = serializers.CharField()
    start_at = SlotField(source="slot")
    price_per_unit_hour = MoneyField(source="price_micro")
    bought_units = serializers.IntegerField()
    sold_units = serializers.IntegerField()


class AuctionFlowSerializer(OutputSerializer):
    link_id = serializers.CharField(source="link")
    from_zone = serializers.CharField()
    to_zone = serializers.CharField()
    grade = serializers.CharField()
    start_at = SlotField(source="slot")
    units = serializers.IntegerField()
    limit_units = serializers.IntegerField()
    is_full = serializers.BooleanField()
    transport = MoneyField(source="transport_micro")
    congestion_rent = MoneyField(source="rent_micro")


class AuctionBlockSerializer(OutputSerializer):
    token = serializers.CharField()
    side = serializers.CharField()
    grade = serializers.CharField()
    zone = serializers.CharField()
    price_per_unit_hour = MoneyField(source="price_micro")
    wanted_unit_hours = serializers.IntegerField()
    accepted_unit_hours = serializers.IntegerField()
    reason = serializers.CharField()
    forgone = MoneyField(source="forgone_micro")


class AuctionResultSerializer(OutputSerializer):
    """The public result. `method`: `optimal`, `time_limit`, or `fallback` (`note` says why)."""

    auction_id = serializers.UUIDField()
    delivery_date = serializers.DateField()
    method = serializers.CharField()
    note = serializers.CharField()
    solver = serializers.CharField()
    seconds = serializers.FloatField()
    solver_seconds = serializers.FloatField()
    gap = serializers.FloatField(help_text="How much more welfare there could be at most.")
    objective = MoneyField(source="objective_micro")
    bound = MoneyField(source="bound_micro")
    payments = MoneyField(source="payments_micro")
    receipts = MoneyField(source="receipts_micro")
    transport = MoneyField(source="transport_micro")
    congestion_rent = MoneyField(source="rent_micro")
    problem_sha256 = serializers.CharField()
    prices = AuctionPriceSerializer(many=True)
    flows = AuctionFlowSerializer(many=True)
    blocks = AuctionBlockSerializer(
        many=True, help_text="Blocks not, or not wholly, accepted; without names."
    )


class AuctionScheduleSerializer(OutputSerializer):
    id = serializers.IntegerField()
    valid_from_date = serializers.DateField()
    is_running = serializers.BooleanField()
    announced_days = serializers.IntegerField()
    opens_at = serializers.TimeField()
    closes_at = serializers.TimeField()
    clear_by_at = serializers.TimeField()
    publish_by_at = serializers.TimeField()
    solver_seconds = serializers.IntegerField()
    lowest_price = DecimalMoneyField()
    highest_price = DecimalMoneyField()
    created_at = InstantField()


class AuctionLinkSerializer(OutputSerializer):
    link_id = serializers.IntegerField()
    region_a = serializers.CharField(source="link.region_a_id")
    region_b = serializers.CharField(source="link.region_b_id")
    price_per_unit_hour = DecimalMoneyField()
    forward_units = serializers.ListField(child=serializers.IntegerField())
    backward_units = serializers.ListField(child=serializers.IntegerField())
    updated_at = InstantField()
