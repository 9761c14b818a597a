"""The shapes of trading: what is asked for, and what is shown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers import InputSerializer, InstantField, MoneyField, OutputSerializer, SlotField
from core.money import to_micro
from exchange.capacity.models import ResourceClass
from exchange.market import selectors
from exchange.market.intake import HORIZON_SLOTS, MAX_GRADES, MAX_PRICE_MICRO, MAX_UNITS
from exchange.market.models import OfferState, OrderState, Placement, TimeInForce
from exchange.market.requests import GradeLimit, OfferRequest, OrderRequest, ResaleRequest


class PriceField(MoneyField):
    """Yuan per unit-hour, above zero; inside, whole micro-yuan."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_micro=1, max_micro=MAX_PRICE_MICRO, **kwargs)


class DecimalMoneyField(MoneyField):
    """Shows a decimal of yuan from the database as money."""

    def to_representation(self, value: Any) -> str:
        return super().to_representation(to_micro(value))


class GradeLimitInput(InputSerializer):
    grade = serializers.CharField(max_length=64)
    limit_price_per_unit_hour = PriceField(
        help_text="The most paid per unit-hour, all in: compute, transport, tax."
    )


class OrderInput(InputSerializer):
    """A buy order. Hours are whole UTC hours; limits are all-in and tax-inclusive."""

    grades = serializers.ListField(
        child=GradeLimitInput(), allow_empty=False, max_length=MAX_GRADES
    )
    units = serializers.IntegerField(min_value=1, max_value=MAX_UNITS)
    min_units = serializers.IntegerField(min_value=1, max_value=MAX_UNITS, default=1)
    duration_hours = serializers.IntegerField(min_value=1, max_value=HORIZON_SLOTS)
    on_demand = serializers.BooleanField(
        default=False,
        help_text="Start at once: the rest of this hour, by the second, and the whole hours.",
    )
    earliest_start_at = InstantField(allow_null=True, default=None)
    latest_end_at = InstantField(
        allow_null=True, default=None, help_text="Left out: as early as the duration allows."
    )
    placement = serializers.ChoiceField(Placement.choices, default=Placement.ANYWHERE)
    rtt_region = serializers.CharField(max_length=32, allow_null=True, default=None)
    max_rtt_ms = serializers.DecimalField(
        max_digits=8, decimal_places=3, allow_null=True, default=None
    )
    regions_allowed = serializers.ListField(
        child=serializers.CharField(max_length=32),
        allow_null=True,
        default=None,
        max_length=100,
        help_text="Where the centre may stand; a province stands for its cities.",
    )
    regions_excluded = serializers.ListField(
        child=serializers.CharField(max_length=32), default=list, max_length=100
    )
    min_green_share = serializers.DecimalField(
        max_digits=5, decimal_places=4, min_value=0, max_value=1, default=Decimal(0)
    )
    max_pue = serializers.DecimalField(
        max_digits=4, decimal_places=3, min_value=1, max_value=5, allow_null=True, default=None
    )
    min_reliability = serializers.DecimalField(
        max_digits=5, decimal_places=4, min_value=0, max_value=1, default=Decimal(0)
    )
    data_region = serializers.CharField(max_length=32, allow_null=True, default=None)
    data_in_gb_per_unit = serializers.DecimalField(
        max_digits=10, decimal_places=3, min_value=0, default=Decimal(0)
    )
    data_out_gb_per_unit = serializers.DecimalField(
        max_digits=10, decimal_places=3, min_value=0, default=Decimal(0)
    )
    accepts_reclaimable = serializers.BooleanField(default=False)
    max_cost = MoneyField(
        min_micro=1, allow_null=True, default=None, help_text="A ceiling on the whole order."
    )
    time_in_force = serializers.ChoiceField(TimeInForce.choices, default=TimeInForce.GTC)
    good_till_at = InstantField(allow_null=True, default=None)
    client_reference = serializers.CharField(max_length=64, allow_blank=True, default="")
    allow_outside_band = serializers.BooleanField(
        default=False,
        help_text="Let a price pass that lies outside the book's band around the index.",
    )

    def to_request(self) -> OrderRequest:
        """The checked order, as the market takes it."""
        values = dict(self.validated_data)
        allowed = values.pop("regions_allowed")
        return OrderRequest(
            grades=tuple(
                GradeLimit(grade=limit["grade"], limit_micro=limit["limit_price_per_unit_hour"])
                for limit in values.pop("grades")
            ),
            max_cost_micro=values.pop("max_cost"),
            regions_allowed=None if allowed is None else tuple(allowed),
            regions_excluded=tuple(values.pop("regions_excluded")),
            **values,
        )


class OrdersQuery(InputSerializer):
    state = serializers.ChoiceField(OrderState.choices, required=False)
    client_reference = serializers.CharField(max_length=64, required=False)


class OrderGradeSerializer(OutputSerializer):
    grade = serializers.CharField()
    limit_price_per_unit_hour = DecimalMoneyField()


class OrderHoldSerializer(OutputSerializer):
    id = serializers.UUIDField()
    amount = MoneyField(help_text="Yuan that the order could cost when placed or last amended.")


def shown_limits(
    serializer: serializers.BaseSerializer, grade_ids: Any, prices: Any
) -> list[dict[str, str]]:
    """Grades with their limits: one query, however many are shown with this context."""
    context = cast(dict[str, Any], serializer.context)
    codes: dict[int, str] = context.setdefault("grade_codes", {})
    codes.update({} if codes else selectors.grade_codes())
    money = DecimalMoneyField()
    return [
        {"grade": codes[grade], "limit_price_per_unit_hour": money.to_representation(price)}
        for grade, price in zip(grade_ids, prices, strict=True)
    ]


class OrderSerializer(OutputSerializer):
    id = serializers.UUIDField()
    state = serializers.ChoiceField(OrderState.choices)
    state_reason = serializers.CharField()
    book = serializers.CharField(source="book.code")
    client_reference = serializers.CharField()
    grades = serializers.SerializerMethodField()
    units = serializers.IntegerField()
    min_units = serializers.IntegerField()
    filled_units = serializers.IntegerField()
    duration_hours = serializers.IntegerField(source="duration_slots")
    on_demand = serializers.BooleanField()
    earliest_start_at = SlotField(source="earliest_slot")
    latest_end_at = SlotField(source="latest_slot")
    placement = serializers.ChoiceField(Placement.choices)
    rtt_region = serializers.CharField(source="rtt_region_id", allow_null=True)
    max_rtt_ms = serializers.SerializerMethodField()
    regions_allowed = serializers.ListField(child=serializers.CharField(), allow_null=True)
    regions_excluded = serializers.ListField(child=serializers.CharField())
    min_green_share = serializers.DecimalField(max_digits=5, decimal_places=4)
    max_pue = serializers.DecimalField(max_digits=4, decimal_places=3, allow_null=True)
    min_reliability = serializers.DecimalField(max_digits=5, decimal_places=4)
    data_region = serializers.CharField(source="data_region_id", allow_null=True)
    data_in_gb_per_unit = serializers.DecimalField(max_digits=12, decimal_places=3)
    data_out_gb_per_unit = serializers.DecimalField(max_digits=12, decimal_places=3)
    accepts_reclaimable = serializers.BooleanField()
    max_cost = MoneyField(source="max_cost_micro", allow_null=True)
    time_in_force = serializers.ChoiceField(TimeInForce.choices)
    good_till_at = InstantField(allow_null=True)
    version = serializers.IntegerField(
        help_text="Number of the amendment whose terms these are; 0: as placed."
    )
    hold = serializers.SerializerMethodField()
    spent = MoneyField(source="spent_micro", help_text="Yuan that the trades cost at the most.")
    cancel_requested_at = InstantField(allow_null=True)
    placed_at = InstantField()
    closed_at = InstantField(allow_null=True)

    @extend_schema_field(OrderGradeSerializer(many=True))
    def get_grades(self, order: Any) -> list[dict[str, str]]:
        """The acceptable grades with their limits."""
        return shown_limits(self, order.grade_ids, order.limit_prices)

    @extend_schema_field(OrderHoldSerializer)
    def get_hold(self, order: Any) -> dict[str, Any]:
        """The hold in the ledger; it has the order's own id until an amendment needs more."""
        return {
            "id": str(order.hold_id or order.id),
            "amount": MoneyField().to_representation(order.held_micro),
        }

    @extend_schema_field(serializers.DecimalField(max_digits=8, decimal_places=3, allow_null=True))
    def get_max_rtt_ms(self, order: Any) -> str | None:
        """The round-trip bound in milliseconds."""
        return None if order.max_rtt_us is None else f"{order.max_rtt_us / 1000:.3f}"


class TradeSerializer(OutputSerializer):
    """A trade as its parties see it: the other one is not named."""

    id = serializers.UUIDField()
    side = serializers.SerializerMethodField()
    order_id = serializers.SerializerMethodField()
    offer_id = serializers.SerializerMethodField()
    lease_id = serializers.UUIDField(source="id", help_text="The lease has the trade's own id.")
    grade = serializers.CharField(source="grade.code")
    region = serializers.CharField(source="seller_region_id")
    centre_id = serializers.UUIDField(source="pool.centre_id")
    pool_id = serializers.UUIDField()
    units = serializers.IntegerField()
    starts_at = InstantField()
    ends_at = InstantField()
    price_per_unit_hour = DecimalMoneyField()
    compute = MoneyField(source="compute_micro")
    transport = MoneyField(source="transport_micro")
    is_reclaimable = serializers.BooleanField()
    reclaim_notice_seconds = serializers.IntegerField(allow_null=True)
    reclaim_compensation_bp = serializers.IntegerField()
    reclaim_least_compensation = MoneyField(source="reclaim_least_micro")
    allows_resale = serializers.BooleanField()
    resold_from = serializers.UUIDField(
        source="resold_from_id", allow_null=True, help_text="The trade whose hours these are."
    )
    rule_set = serializers.IntegerField(source="rule_set_id")
    traded_at = InstantField()

    def _is(self, party: str, trade: Any) -> bool:
        return self._organisation() in (None, getattr(trade, party))

    def _organisation(self) -> Any:
        actor = self.context["actor"]
        return None if actor.is_operator() else actor.organisation_id

    @extend_schema_field(serializers.ChoiceField(["buyer", "seller", "operator"]))
    def get_side(self, trade: Any) -> str:
        """Which part the caller has in it."""
        if self._organisation() is None:
            return "operator"
        return "buyer" if self._is("buyer_id", trade) else "seller"

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_order_id(self, trade: Any) -> str | None:
        """The order; shown to the buyer."""
        return str(trade.order_id) if self._is("buyer_id", trade) else None

    @extend_schema_field(serializers.UUIDField(allow_null=True))
    def get_offer_id(self, trade: Any) -> str | None:
        """The offer; shown to the seller."""
        return str(trade.offer_id) if self._is("seller_id", trade) else None


class TradesQuery(InputSerializer):
    order = serializers.UUIDField(required=False)
    offer = serializers.UUIDField(required=False)
    traded_since = InstantField(required=False)


class OfferInput(InputSerializer):
    """A sell order for one pool. Hours are whole UTC hours; prices are tax-inclusive."""

    pool = serializers.UUIDField()
    units = serializers.IntegerField(min_value=1, max_value=MAX_UNITS)
    start_at = InstantField()
    end_at = InstantField()
    prices = serializers.ListField(
        child=PriceField(),
        min_length=1,
        max_length=24,
        help_text="One price per unit-hour, or 24: one for each hour of the UTC day.",
    )
    min_duration_hours = serializers.IntegerField(min_value=1, max_value=HORIZON_SLOTS, default=1)
    max_duration_hours = serializers.IntegerField(
        min_value=1, max_value=HORIZON_SLOTS, allow_null=True, default=None
    )
    min_chunk_units = serializers.IntegerField(min_value=1, max_value=MAX_UNITS, default=1)
    is_reclaimable = serializers.BooleanField(default=False)
    reclaim_notice_seconds = serializers.IntegerField(
        min_value=1, max_value=31 * 86_400, allow_null=True, default=None
    )
    allow_outside_band = serializers.BooleanField(
        default=False,
        help_text="Let a price pass that lies outside the book's band around the index.",
    )
    reclaim_compensation_bp = serializers.IntegerField(
        min_value=0,
        max_value=10_000,
        default=0,
        help_text="Paid to the buyer: so much of the price of what is not delivered.",
    )
    reclaim_least_compensation = MoneyField(min_micro=0, default=0)
    allows_resale = serializers.BooleanField(
        default=False, help_text="Buyers may resell whole hours that are still to come."
    )


def offer_request(values: dict[str, Any]) -> OfferRequest:
    """A checked offer, as the market takes it."""
    facts = dict(values)
    return OfferRequest(
        prices_micro=tuple(facts.pop("prices")),
        reclaim_least_micro=facts.pop("reclaim_least_compensation"),
        **facts,
    )


class ResaleInput(InputSerializer):
    """Whole UTC hours of a trade that you bought, from the next hour on."""

    units = serializers.IntegerField(min_value=1, max_value=MAX_UNITS)
    start_at = InstantField()
    end_at = InstantField()
    prices = serializers.ListField(child=PriceField(), min_length=1, max_length=24)
    min_duration_hours = serializers.IntegerField(min_value=1, max_value=HORIZON_SLOTS, default=1)
    min_chunk_units = serializers.IntegerField(min_value=1, max_value=MAX_UNITS, default=1)
    allow_outside_band = serializers.BooleanField(
        default=False,
        help_text="Let a price pass that lies outside the book's band around the index.",
    )


def resale_request(values: dict[str, Any]) -> ResaleRequest:
    """A checked resale, as the market takes it."""
    facts = dict(values)
    return ResaleRequest(prices_micro=tuple(facts.pop("prices")), **facts)


class OffersInput(InputSerializer):
    offers = serializers.ListField(child=OfferInput(), allow_empty=False, max_length=1000)


class OfferChangeInput(InputSerializer):
    """New terms; what is left out stays."""

    units = serializers.IntegerField(min_value=1, max_value=MAX_UNITS, required=False)
    start_at = InstantField(required=False)
    end_at = InstantField(required=False)
    prices = serializers.ListField(child=PriceField(), min_length=1, max_length=24, required=False)
    min_duration_hours = serializers.IntegerField(
        min_value=1, max_value=HORIZON_SLOTS, required=False
    )
    max_duration_hours = serializers.IntegerField(
        min_value=1, max_value=HORIZON_SLOTS, required=False
    )
    min_chunk_units = serializers.IntegerField(min_value=1, max_value=MAX_UNITS, required=False)
    allow_outside_band = serializers.BooleanField(required=False)

    def changes(self) -> dict[str, Any]:
        """The fields of an offer request that change."""
        values = dict(self.validated_data)
        if "prices" in values:
            values["prices_micro"] = tuple(values.pop("prices"))
        return values


class OffersQuery(InputSerializer):
    state = serializers.ChoiceField(OfferState.choices, required=False)
    pool = serializers.UUIDField(required=False)


class OfferSerializer(OutputSerializer):
    """An offer as the book knows it; changes asked for show once the book has taken them."""

    id = serializers.UUIDField()
    state = serializers.ChoiceField(OfferState.choices)
    pool = serializers.UUIDField(source="pool_id")
    grade = serializers.CharField(source="pool.grade.code")
    units = serializers.IntegerField()
    start_at = SlotField(source="start_slot")
    end_at = SlotField(source="end_slot")
    prices = serializers.ListField(child=DecimalMoneyField())
    min_duration_hours = serializers.IntegerField(source="min_duration_slots")
    max_duration_hours = serializers.IntegerField(source="max_duration_slots")
    min_chunk_units = serializers.IntegerField()
    is_reclaimable = serializers.BooleanField()
    reclaim_notice_seconds = serializers.IntegerField(allow_null=True)
    reclaim_compensation_bp = serializers.IntegerField()
    reclaim_least_compensation = MoneyField(source="reclaim_least_micro")
    allows_resale = serializers.BooleanField()
    resale_of = serializers.UUIDField(
        source="resale_of_id", allow_null=True, help_text="The trade whose hours it offers."
    )
    created_at = InstantField()


class OffersSerializer(OutputSerializer):
    offers = OfferSerializer(many=True)


class BookSerializer(OutputSerializer):
    code = serializers.CharField()
    resource_class = serializers.ChoiceField(ResourceClass.choices)
    grades = serializers.SerializerMethodField()

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_grades(self, book: Any) -> list[str]:
        """The grades traded in it."""
        return [grade.code for grade in book.grades.all()]


MAX_DEPTH_SLOTS = 7 * 24


class ScopeQuery(InputSerializer):
    grade = serializers.CharField(max_length=64, required=False)
    region = serializers.CharField(max_length=32, required=False)


class DepthQuery(ScopeQuery):
    grade = serializers.CharField(max_length=64)
    levels = serializers.IntegerField(min_value=1, max_value=100, default=20)
    to = SlotField(required=False, help_text="Together with `from`; a week at the most.")

    def get_fields(self) -> dict[str, Any]:
        """``from`` is a word of Python, so it cannot be an attribute."""
        since = SlotField(
            required=False,
            help_text="Depth over a range of hours: what offers have in all of them.",
        )
        return super().get_fields() | {"from": since}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The range, as ``slots``; None for the present hour."""
        since, to = attrs.get("from"), attrs.get("to")
        attrs["slots"] = None
        if since is not None or to is not None:
            if since is None or to is None or not 0 < to - since <= MAX_DEPTH_SLOTS:
                raise serializers.ValidationError(
                    {"to": "goes with from, lies after it, and at most a week"}
                )
            attrs["slots"] = range(since, to)
        return attrs


class BestPriceSerializer(OutputSerializer):
    grade = serializers.CharField()
    region = serializers.CharField()
    offer_price = DecimalMoneyField(allow_null=True)
    offered_units = serializers.IntegerField()
    bid_price = DecimalMoneyField(allow_null=True)
    bid_units = serializers.IntegerField()


class BestPricesSerializer(OutputSerializer):
    at = InstantField()
    results = BestPriceSerializer(many=True)


class LevelSerializer(OutputSerializer):
    side = serializers.ChoiceField(["offer", "bid"])
    price = DecimalMoneyField()
    units = serializers.IntegerField()
    count = serializers.IntegerField()


class DepthSerializer(OutputSerializer):
    at = InstantField()
    grade = serializers.CharField()
    region = serializers.CharField(allow_null=True)
    levels = LevelSerializer(many=True)


class PublicTradeSerializer(OutputSerializer):
    """A trade without names."""

    id = serializers.UUIDField()
    grade = serializers.CharField(source="grade.code")
    region = serializers.CharField(source="seller_region_id")
    units = serializers.IntegerField()
    price_per_unit_hour = DecimalMoneyField()
    starts_at = InstantField()
    ends_at = InstantField()
    traded_at = InstantField()


class StatisticsQuery(InputSerializer):
    from_at = SlotField()
    to_at = SlotField()


class UtilisationSerializer(OutputSerializer):
    region = serializers.CharField()
    resource_class = serializers.ChoiceField(ResourceClass.choices)
    registered_unit_hours = serializers.IntegerField()
    sold_unit_hours = serializers.IntegerField()


class StatisticsSerializer(OutputSerializer):
    from_at = SlotField()
    to_at = SlotField()
    utilisation = UtilisationSerializer(many=True)
