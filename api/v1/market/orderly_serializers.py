"""The shapes of a fair and orderly market: index, halts, rules, limits, concentration."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers import InputSerializer, InstantField, OutputSerializer, SlotField
from api.v1.market.serializers import DecimalMoneyField
from exchange.market.orderly.services import MAX_BAND_BP, MAX_INDEX_UNIT_HOURS, MAX_OPEN_ORDERS

HALT_STATES = ["halted", "open"]


class IndexQuery(InputSerializer):
    grade = serializers.CharField(max_length=64)
    region = serializers.CharField(max_length=32, required=False)
    to = SlotField(required=False, help_text="Hours that begin before it.")

    def get_fields(self) -> dict[str, Any]:
        """``from`` is a word of Python, so it cannot be an attribute."""
        since = SlotField(required=False, help_text="Hours that begin then or later.")
        return super().get_fields() | {"from": since}


class IndexHourSerializer(OutputSerializer):
    """The reference price of one hour; volume and trades are those of the hour itself."""

    grade = serializers.CharField(source="grade.code")
    region = serializers.CharField(source="region_id")
    hour = SlotField(source="slot")
    price_per_unit_hour = DecimalMoneyField()
    is_carried = serializers.BooleanField(
        help_text="Too little was traded: the price is that of an earlier hour."
    )
    priced_hour = SlotField(source="priced_slot", help_text="The hour in which it was made.")
    unit_hours = serializers.DecimalField(max_digits=18, decimal_places=3)
    trades = serializers.IntegerField()


class HaltInput(InputSerializer):
    """Which part of the market: one book, or one region with all below it in every book."""

    book = serializers.CharField(max_length=32, allow_null=True, default=None)
    region = serializers.CharField(max_length=32, allow_null=True, default=None)
    reason = serializers.CharField(max_length=500, help_text="Members read it.")


class ResumeInput(InputSerializer):
    reason = serializers.CharField(max_length=500, help_text="Members read it.")


class HaltSerializer(OutputSerializer):
    id = serializers.UUIDField()
    state = serializers.ChoiceField(HALT_STATES, help_text="Of its part of the market.")
    book = serializers.SerializerMethodField()
    region = serializers.CharField(source="region_id", allow_null=True)
    reason = serializers.CharField()
    halted_at = InstantField()
    resume_reason = serializers.CharField()
    resumed_at = InstantField(allow_null=True)

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_book(self, halt: Any) -> str | None:
        """The book's code."""
        return halt.book.code if halt.book else None


class BookStatusSerializer(OutputSerializer):
    """What a book's matcher knows: with the halts that its newest batch has taken."""

    book = serializers.CharField(source="code")
    state = serializers.SerializerMethodField()
    regions_halted = serializers.SerializerMethodField()
    band_bp = serializers.IntegerField(
        allow_null=True, help_text="How far a price may lie from the index; null: any price."
    )

    @extend_schema_field(serializers.ChoiceField(HALT_STATES))
    def get_state(self, book: Any) -> str:
        """Of the whole book."""
        return "halted" if book.is_halted else "open"

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_regions_halted(self, book: Any) -> list[str]:
        """Regions where nothing of it is matched, though the book be open."""
        lists = [regions for regions in book.halts_in_force.values() if regions is not None]
        return sorted({region for regions in lists for region in regions})


class StatusSerializer(OutputSerializer):
    books = BookStatusSerializer(many=True)
    halts = HaltSerializer(many=True, help_text="Those that are not resumed, the newest first.")


class BookRulesInput(InputSerializer):
    band_bp = serializers.IntegerField(
        min_value=1,
        max_value=MAX_BAND_BP,
        allow_null=True,
        help_text="Basis points both ways: 2000 is 20 %. Null: no band.",
    )
    index_min_unit_hours = serializers.IntegerField(
        min_value=1, max_value=MAX_INDEX_UNIT_HOURS, default=1
    )


class BookRulesSerializer(OutputSerializer):
    book = serializers.CharField(source="code")
    band_bp = serializers.IntegerField(allow_null=True)
    index_min_unit_hours = serializers.IntegerField()


class OrderLimitInput(InputSerializer):
    open_orders = serializers.IntegerField(
        min_value=0,
        max_value=MAX_OPEN_ORDERS,
        allow_null=True,
        help_text="Live orders at the most; null: the general limit.",
    )


class OrderLimitSerializer(OutputSerializer):
    organisation_id = serializers.UUIDField()
    open_orders = serializers.IntegerField(allow_null=True)


class ShareSerializer(OutputSerializer):
    provider_id = serializers.UUIDField(source="provider.id")
    provider = serializers.CharField(source="provider.name")
    units = serializers.IntegerField()
    share_bp = serializers.IntegerField(help_text="Basis points: 2500 is 25 %.")


class ConcentrationSerializer(OutputSerializer):
    units = serializers.IntegerField()
    providers = serializers.IntegerField()
    hhi = serializers.IntegerField(help_text="0 to 10,000: one provider has everything.")
    largest = ShareSerializer(many=True)


class SupplySerializer(OutputSerializer):
    grade = serializers.CharField()
    registered = ConcentrationSerializer()
    free = ConcentrationSerializer()


class SuppliesSerializer(OutputSerializer):
    at = InstantField()
    results = SupplySerializer(many=True)
