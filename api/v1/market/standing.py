"""Standing orders: what is kept for as long as the price is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.paging import paged
from api.serializers import (
    EmptyInput,
    InputSerializer,
    InstantField,
    MoneyField,
    OutputSerializer,
    SlotField,
)
from api.v1.market.serializers import GradeLimitInput, OrderGradeSerializer, OrderInput
from api.views import ApiView, WriteView
from core import clock
from exchange.market.intake import HORIZON_SLOTS, MAX_GRADES, MAX_UNITS
from exchange.market.requests import GradeLimit, OrderRequest
from exchange.market.standing import selectors, services
from exchange.market.standing.models import RollState, StandingOrder, StandingState, WaitReason
from exchange.market.standing.wishes import StandingRequest

_LEAD = "How many seconds before its first hour each roll is ordered."
_EXAMPLE = OpenApiExample(
    "Thirty-two accelerators, by the four hours, for as long as they cost at most 12 yuan",
    value={
        "grades": [{"grade": "intelligent.ascend-910b.1", "limit_price_per_unit_hour": "12"}],
        "units": 32,
        "min_units": 16,
        "duration_hours": 4,
        "lead_seconds": 3600,
        "max_cost_per_day": "9000",
    },
    request_only=True,
)


class StandingInput(OrderInput):
    """What is to be kept: an order without its window; `duration_hours` are those of each roll."""

    on_demand = None  # type: ignore[assignment]  # each roll says these itself
    earliest_start_at = None  # type: ignore[assignment]
    latest_end_at = None  # type: ignore[assignment]
    time_in_force = None  # type: ignore[assignment]
    good_till_at = None  # type: ignore[assignment]
    max_cost = None  # type: ignore[assignment]
    first_start_at = SlotField(
        allow_null=True, default=None, help_text="Left out: from the next hour on."
    )
    until = SlotField(allow_null=True, default=None, help_text="Left out: until you end it.")
    lead_seconds = serializers.IntegerField(
        min_value=services.MIN_LEAD_SECONDS,
        max_value=services.MAX_LEAD_SECONDS,
        default=1800,
        help_text=_LEAD,
    )
    prefers_same_pool = serializers.BooleanField(
        default=True, help_text="Ask the pool that it stands on first, within the limit."
    )
    max_cost_per_day = MoneyField(min_micro=1, allow_null=True, default=None)
    max_cost_in_all = MoneyField(min_micro=1, allow_null=True, default=None)

    def to_standing(self) -> StandingRequest:
        """The checked standing order, as the market takes it."""
        values = dict(self.validated_data)
        own = {
            "first_slot": values.pop("first_start_at"),
            "until_slot": values.pop("until"),
            "day_budget_micro": values.pop("max_cost_per_day"),
            "budget_micro": values.pop("max_cost_in_all"),
            "lead_seconds": values.pop("lead_seconds"),
            "prefers_same_pool": values.pop("prefers_same_pool"),
        }
        return StandingRequest(wish=_wish(values), **own)


def _wish(values: dict[str, Any]) -> OrderRequest:
    allowed = values.pop("regions_allowed")
    return OrderRequest(
        grades=_limits(values.pop("grades")),
        regions_allowed=None if allowed is None else tuple(allowed),
        regions_excluded=tuple(values.pop("regions_excluded")),
        **values,
    )


def _limits(rows: Any) -> tuple[GradeLimit, ...]:
    return tuple(
        GradeLimit(grade=row["grade"], limit_micro=row["limit_price_per_unit_hour"]) for row in rows
    )


class StandingChangeInput(InputSerializer):
    """What changes from the next roll on; what is left out stays."""

    version = serializers.IntegerField(min_value=0, help_text="The version that you know.")
    grades = serializers.ListField(
        child=GradeLimitInput(), allow_empty=False, max_length=MAX_GRADES, required=False
    )
    units = serializers.IntegerField(min_value=1, max_value=MAX_UNITS, required=False)
    min_units = serializers.IntegerField(min_value=1, max_value=MAX_UNITS, required=False)
    duration_hours = serializers.IntegerField(min_value=1, max_value=HORIZON_SLOTS, required=False)
    until = SlotField(allow_null=True, required=False)
    lead_seconds = serializers.IntegerField(
        min_value=services.MIN_LEAD_SECONDS,
        max_value=services.MAX_LEAD_SECONDS,
        required=False,
        help_text=_LEAD,
    )
    prefers_same_pool = serializers.BooleanField(required=False)
    max_cost_per_day = MoneyField(min_micro=1, allow_null=True, required=False)
    max_cost_in_all = MoneyField(min_micro=1, allow_null=True, required=False)

    def changes(self) -> dict[str, Any]:
        """The fields that change, by the market's names."""
        names = {
            "until": "until_slot",
            "max_cost_per_day": "day_budget_micro",
            "max_cost_in_all": "budget_micro",
        }
        values = {names.get(k, k): v for k, v in self.validated_data.items() if k != "version"}
        if "grades" in values:
            values["grades"] = _limits(values["grades"])
        return values


class StandingSerializer(OutputSerializer):
    id = serializers.UUIDField()
    state = serializers.ChoiceField(StandingState.choices)
    reason = serializers.ChoiceField(
        [*WaitReason.choices, ("", "None")], help_text="What stands in the way, or ended it."
    )
    version = serializers.IntegerField()
    client_reference = serializers.CharField()
    grades = serializers.SerializerMethodField()
    units = serializers.IntegerField()
    min_units = serializers.IntegerField(source="terms.min_units")
    duration_hours = serializers.IntegerField(source="duration_slots")
    placement = serializers.CharField(source="terms.placement")
    lead_seconds = serializers.IntegerField()
    prefers_same_pool = serializers.BooleanField()
    until = SlotField(source="until_slot", allow_null=True)
    max_cost_per_day = MoneyField(source="day_budget_micro", allow_null=True)
    max_cost_in_all = MoneyField(source="budget_micro", allow_null=True)
    next_start_at = SlotField(source="next_slot", help_text="The first hour not yet asked for.")
    next_roll_at = InstantField(help_text="When it is asked for.")
    created_at = InstantField()
    ended_at = InstantField(allow_null=True)

    @extend_schema_field(OrderGradeSerializer(many=True))
    def get_grades(self, standing: StandingOrder) -> list[dict[str, str]]:
        """The acceptable grades with their limits."""
        money = MoneyField()
        return [
            {
                "grade": limit["grade"],
                "limit_price_per_unit_hour": money.to_representation(limit["limit_micro"]),
            }
            for limit in standing.terms["grades"]
        ]


class RollSerializer(OutputSerializer):
    """What was asked for from one hour on."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(RollState.choices)
    starts_at = SlotField(source="start_slot")
    ends_at = SlotField(source="end_slot")
    units = serializers.IntegerField()
    filled_units = serializers.IntegerField(help_text="Known once an order of it is closed.")
    pool_order_id = serializers.UUIDField(allow_null=True)
    market_order_id = serializers.UUIDField(allow_null=True)
    created_at = InstantField()


class StandingQuery(InputSerializer):
    state = serializers.ChoiceField(StandingState.choices, required=False)
    client_reference = serializers.CharField(max_length=64, required=False)


def _shown(standing: StandingOrder, status: int = 200) -> Response:
    return Response(StandingSerializer(standing).data, status=status)


class StandingOrdersView(WriteView):
    scope = "orders"

    @extend_schema(
        operation_id="standing_orders_list",
        summary="Your standing orders",
        parameters=[StandingQuery],
        responses=paged(StandingSerializer),
    )
    def get(self, request: Request) -> Response:
        """Your standing orders, the newest first."""
        found = selectors.visible_to(self.actor).filter(**self.query(StandingQuery))
        return self.page(found, StandingSerializer)

    @extend_schema(
        operation_id="standing_orders_create",
        summary="Keep capacity",
        request=StandingInput,
        responses={201: StandingSerializer},
        examples=[_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Keep units for as long as the price is within your limits: before the running hours
        end, an ordinary order for the next ones is placed. Nothing is held before that."""
        wanted = self.checked(StandingInput).to_standing()
        made = services.create(actor=self.actor, request=wanted, now=clock.now())
        return _shown(made, 201)


class StandingOrderView(WriteView):
    scope = "orders"

    @extend_schema(
        operation_id="standing_orders_get",
        summary="A standing order",
        responses=StandingSerializer,
    )
    def get(self, request: Request, standing_id: UUID) -> Response:
        """One of your standing orders."""
        return _shown(selectors.standing_order(actor=self.actor, standing_id=standing_id))

    @extend_schema(
        operation_id="standing_orders_change",
        summary="Change a standing order",
        request=StandingChangeInput,
        responses={200: StandingSerializer},
    )
    def patch(self, request: Request, standing_id: UUID) -> Response:
        """Change what is kept from the next roll on; what was ordered already stays ordered."""
        checked = self.checked(StandingChangeInput)
        changed = services.change(
            actor=self.actor,
            standing_id=standing_id,
            version=checked.validated_data["version"],
            changes=checked.changes(),
            now=clock.now(),
        )
        return _shown(changed)


class StandingRollsView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="standing_orders_rolls",
        summary="The rolls of a standing order",
        responses=paged(RollSerializer),
    )
    def get(self, request: Request, standing_id: UUID) -> Response:
        """What a standing order has asked for, the newest first."""
        found = selectors.standing_order(actor=self.actor, standing_id=standing_id)
        return self.page(selectors.rolls_of(found.id), RollSerializer)


_MOVED: dict[str, Any] = {"request": EmptyInput, "responses": {200: StandingSerializer}}


def _moved(view: WriteView, verb: Callable[..., StandingOrder], standing_id: UUID) -> Response:
    view.body(EmptyInput)
    return _shown(verb(actor=view.actor, standing_id=standing_id, now=clock.now()))


class StandingPauseView(WriteView):
    scope = "orders"

    @extend_schema(operation_id="standing_orders_pause", summary="Pause a standing order", **_MOVED)
    def post(self, request: Request, standing_id: UUID) -> Response:
        """Order nothing new until resumed; orders placed already stay."""
        return _moved(self, services.pause, standing_id)


class StandingResumeView(WriteView):
    scope = "orders"

    @extend_schema(
        operation_id="standing_orders_resume", summary="Resume a standing order", **_MOVED
    )
    def post(self, request: Request, standing_id: UUID) -> Response:
        """Go on with the first hour that is still to come."""
        return _moved(self, services.resume, standing_id)


class StandingEndView(WriteView):
    scope = "orders"

    @extend_schema(operation_id="standing_orders_end", summary="End a standing order", **_MOVED)
    def post(self, request: Request, standing_id: UUID) -> Response:
        """Order nothing new, for good; orders placed already stay."""
        return _moved(self, services.end, standing_id)
