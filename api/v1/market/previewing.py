"""The shapes of previews and explanations."""

from __future__ import annotations

from rest_framework import serializers

from api.serializers import InstantField, MoneyField, OutputSerializer


class ReclaimTermsSerializer(OutputSerializer):
    """On what terms the provider may take back what it sells."""

    notice_seconds = serializers.IntegerField(source="reclaim_notice_seconds")
    compensation_bp = serializers.IntegerField(source="reclaim_compensation_bp")
    least_compensation = MoneyField(source="reclaim_least_micro")


class PreviewFillSerializer(OutputSerializer):
    grade = serializers.CharField()
    region = serializers.CharField()
    centre_id = serializers.UUIDField()
    units = serializers.IntegerField()
    starts_at = InstantField()
    ends_at = InstantField()
    price_per_unit_hour = MoneyField(source="price_micro")
    compute = MoneyField(source="compute_micro")
    transport = MoneyField(source="transport_micro")
    reclaim = ReclaimTermsSerializer(allow_null=True, help_text="Null: it is sold firm.")


class PreviewCostSerializer(OutputSerializer):
    """What the fills would cost at full delivery; contained parts are not added to it."""

    compute = MoneyField(source="compute_micro")
    transport = MoneyField(source="transport_micro")
    total = MoneyField(source="total_micro")
    vat_contained = MoneyField(source="vat_micro")
    commission_contained = MoneyField(source="commission_micro")
    rule_set = serializers.IntegerField()


class NearestChangeSerializer(OutputSerializer):
    """A single change that would fill the order whole now."""

    change = serializers.CharField(help_text="limit, window, units, circle, region …")
    field = serializers.CharField()
    value = serializers.CharField()
    grade = serializers.CharField(allow_null=True)
    cost = MoneyField(source="cost_micro")


class WarningSerializer(OutputSerializer):
    rule = serializers.CharField(help_text="no_pool, price, ceiling, units, pue, filled_in_part …")
    says = serializers.CharField()


class PreviewSerializer(OutputSerializer):
    """What an order would get if it were placed now; nothing is stored or reserved."""

    would_fill_units = serializers.IntegerField()
    fills = PreviewFillSerializer(many=True)
    cost = PreviewCostSerializer()
    hold = MoneyField(source="hold_micro", help_text="What placing the order would hold.")
    pools = serializers.IntegerField(help_text="Pools of the book.")
    pools_that_fit = serializers.IntegerField(help_text="Pools with an offer that fits now.")
    tests = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="How many pools each named test turns away, by itself.",
    )
    nearest = NearestChangeSerializer(
        many=True, help_text="Empty where the order would be filled whole."
    )
    warnings = WarningSerializer(
        many=True, help_text="Why it might never be filled, or not whole; each by a rule's name."
    )
