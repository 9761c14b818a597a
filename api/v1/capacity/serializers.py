"""What the capacity room takes and shows."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from api.serializers import InputSerializer, InstantField, MoneyField, OutputSerializer, SlotField
from exchange.capacity import rules, selectors
from exchange.capacity.models import Pool, ResourceClass
from exchange.capacity.services import MAX_HOURS
from exchange.capacity.states import REPORTED_HEALTH


class CodeField(serializers.RegexField):
    """A provider's own short name for a thing of its own."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
            max_length=64,
            help_text="your own short name for it",
            **kwargs,
        )


class PriceField(serializers.DecimalField):
    """A price kept as a decimal, as a text of yuan with six places."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=18, decimal_places=6, coerce_to_string=True, **kwargs)


class ShareField(serializers.DecimalField):
    """A share between 0 and 1 as a text with at most four places."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=5, decimal_places=4, min_value=0, max_value=1, **kwargs)


class PueField(serializers.DecimalField):
    """Total power over power for computing, as a text with at most three places."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=4, decimal_places=3, min_value=1, max_value=5, **kwargs)


# Reference data


class RegionSerializer(OutputSerializer):
    """A node of the region tree."""

    code = serializers.CharField()
    name_zh = serializers.CharField()
    name_en = serializers.CharField()
    kind = serializers.CharField(help_text="country, province or city")
    role = serializers.CharField(help_text="core, pole, point, hub, partner or none")
    parent = serializers.CharField(  # type: ignore[assignment]  # a field
        source="parent_id", allow_null=True
    )
    latitude = serializers.DecimalField(8, 5, allow_null=True)
    longitude = serializers.DecimalField(8, 5, allow_null=True)


class LinkSerializer(OutputSerializer):
    """A link; it carries both ways."""

    id = serializers.IntegerField()
    region_a = serializers.CharField(source="region_a_id")
    region_b = serializers.CharField(source="region_b_id")
    carrier_id = serializers.UUIDField(allow_null=True)
    distance_km = serializers.DecimalField(8, 1)
    rtt_us = serializers.IntegerField(help_text="round-trip time in microseconds")
    bandwidth_gbps = serializers.IntegerField()
    price_per_gb = PriceField(help_text="yuan per GB, tax-inclusive")
    is_open = serializers.BooleanField()


class LinkChangeInput(InputSerializer):
    """New values of a link; what is left out stays."""

    carrier_id = serializers.UUIDField(required=False)
    bandwidth_gbps = serializers.IntegerField(required=False, min_value=1, max_value=1_000_000)
    price_per_gb = MoneyField(required=False)
    is_open = serializers.BooleanField(required=False)


class FigureSerializer(OutputSerializer):
    """One performance figure with where it comes from."""

    quantity = serializers.CharField(help_text="such as fp64_tflops or memory_bandwidth_gb_s")
    value = serializers.DecimalField(14, 3)
    kind = serializers.CharField(help_text="vendor, measured or verified")
    source = serializers.CharField()  # type: ignore[assignment]  # a field


class DeviceModelSerializer(OutputSerializer):
    """A catalogue entry."""

    code = serializers.CharField()
    name = serializers.CharField()
    vendor = serializers.CharField()
    kind = serializers.CharField(help_text="gpu, npu, dcu, cpu or qpu")
    is_domestic = serializers.BooleanField()
    memory_gb = serializers.DecimalField(10, 2, allow_null=True)
    figures = FigureSerializer(many=True)


class GradeSerializer(OutputSerializer):
    """A standardised instrument: what one unit of it is."""

    code = serializers.CharField()
    resource_class = serializers.CharField()
    book = serializers.CharField(source="book.code")
    device_model = serializers.CharField(source="device_model_id")
    devices_per_unit = serializers.IntegerField()
    vcpus_per_unit = serializers.IntegerField(allow_null=True)
    memory_gb_per_unit = serializers.IntegerField(allow_null=True)
    unit_description = serializers.CharField()


class GradeQuery(InputSerializer):
    """Which grades."""

    resource_class = serializers.ChoiceField(ResourceClass.choices, required=False)


# Centres


class CentreInput(InputSerializer):
    """A new centre."""

    code = CodeField()
    name = serializers.CharField(max_length=128)
    region = serializers.CharField(max_length=32, help_text="a city of the region tree")
    standard_racks = serializers.IntegerField(min_value=1, max_value=rules.MAX_RACKS)
    pue = PueField()
    green_share = ShareField()


class CentreChangeInput(InputSerializer):
    """New values of a centre; what is left out stays."""

    name = serializers.CharField(max_length=128, required=False)
    standard_racks = serializers.IntegerField(
        min_value=1, max_value=rules.MAX_RACKS, required=False
    )
    pue = PueField(required=False)
    green_share = ShareField(required=False)


class CentreSerializer(OutputSerializer):
    """A centre."""

    id = serializers.UUIDField()
    provider_id = serializers.UUIDField()
    code = serializers.CharField()
    name = serializers.CharField()
    region = serializers.CharField(source="region_id")
    standard_racks = serializers.IntegerField()
    pue = serializers.DecimalField(4, 3)
    green_share = serializers.DecimalField(5, 4)
    is_reachable = serializers.BooleanField()
    last_heartbeat_at = InstantField(allow_null=True)
    created_at = InstantField()


class CentreQuery(InputSerializer):
    """Which centres."""

    region = serializers.CharField(required=False, max_length=32)
    is_reachable = serializers.BooleanField(required=False, allow_null=True, default=None)


class HourInput(InputSerializer):
    """Power price and green share of the hour from ``start_at``."""

    start_at = SlotField()
    power_price_per_kwh = MoneyField(min_micro=-(10**12), help_text="yuan per kWh; may be negative")
    green_share = ShareField()


class HoursInput(InputSerializer):
    """Some hours of a centre, each once; forecast or actual, the last word counts."""

    hours = serializers.ListField(child=HourInput(), allow_empty=False, max_length=MAX_HOURS)


class HourSerializer(OutputSerializer):
    """Power price and green share of one hour."""

    start_at = SlotField(source="slot")
    power_price_per_kwh = PriceField()
    green_share = serializers.DecimalField(5, 4)


class HoursSerializer(OutputSerializer):
    """The hours of a centre in order."""

    hours = HourSerializer(many=True)


class HoursQuery(InputSerializer):
    """Which hours; at most 62 days."""

    from_at = SlotField()
    to_at = SlotField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The range is not empty and not too long."""
        if not 0 < attrs["to_at"] - attrs["from_at"] <= MAX_HOURS:
            raise serializers.ValidationError(
                {"to_at": f"must be 1 to {MAX_HOURS} hours after from_at"}
            )
        return attrs


class PoolReportInput(InputSerializer):
    """How one pool is."""

    code = serializers.CharField(max_length=64)
    health = serializers.ChoiceField([(name, name) for name in REPORTED_HEALTH])
    available_units = serializers.IntegerField(
        min_value=0, max_value=rules.MAX_UNITS, required=False
    )


class HeartbeatInput(InputSerializer):
    """A sign of life; pools that are not named stay as they are."""

    pools = serializers.ListField(child=PoolReportInput(), required=False, max_length=1000)


class HeartbeatSerializer(OutputSerializer):
    """What the heartbeat did."""

    received_at = InstantField()
    was_unreachable = serializers.BooleanField()
    changed_pools = serializers.IntegerField()


# Pools


class PoolInput(InputSerializer):
    """A new pool."""

    centre_id = serializers.UUIDField()
    code = CodeField()
    grade = serializers.CharField(max_length=64)
    units = serializers.IntegerField(min_value=1, max_value=rules.MAX_UNITS)


class PoolChangeInput(InputSerializer):
    """New values of a pool; what is left out stays."""

    units = serializers.IntegerField(min_value=0, max_value=rules.MAX_UNITS, required=False)
    available_units = serializers.IntegerField(
        min_value=0, max_value=rules.MAX_UNITS, required=False
    )
    health = serializers.ChoiceField([(name, name) for name in REPORTED_HEALTH], required=False)


class PoolSerializer(OutputSerializer):
    """A pool."""

    id = serializers.UUIDField()
    centre_id = serializers.UUIDField()
    code = serializers.CharField()
    grade = serializers.CharField(source="grade.code")
    resource_class = serializers.CharField(source="grade.resource_class")
    units = serializers.IntegerField(help_text="registered")
    available_units = serializers.IntegerField(help_text="of these, what may be sold now")
    state = serializers.CharField(help_text="active, paused or withdrawn")
    health = serializers.CharField(help_text="healthy, degraded, unreachable or maintenance")
    is_open = serializers.SerializerMethodField(help_text="whether anything new may be sold")
    reliability = serializers.DecimalField(5, 4)
    created_at = InstantField()

    def get_is_open(self, pool: Pool) -> bool:
        """From state, health and the centre."""
        return selectors.is_open(pool)


class PoolQuery(InputSerializer):
    """Which pools."""

    centre_id = serializers.UUIDField(required=False)
    grade = serializers.CharField(required=False, max_length=64)


# Import and search


class CapacityFileInput(InputSerializer):
    """A file of centres, pools and offers; rows as in ``text/csv``, see the description."""

    centres = serializers.ListField(child=serializers.DictField(), required=False)
    pools = serializers.ListField(child=serializers.DictField(), required=False)
    offers = serializers.ListField(child=serializers.DictField(), required=False)


class ImportSerializer(OutputSerializer):
    """How many of each the file brought in."""

    centres = serializers.IntegerField()
    pools = serializers.IntegerField()
    offers = serializers.IntegerField()


_FIGURES = (
    "fp64_tflops",
    "fp32_tflops",
    "fp16_tflops",
    "int8_tops",
    "memory_bandwidth_gb_s",
    "qubits",
)


class CapacitySearchQuery(InputSerializer):
    """What to look for. Without a window, the next hour."""

    resource_class = serializers.ChoiceField(ResourceClass.choices, required=False)
    grades = serializers.CharField(
        required=False, max_length=2000, help_text="codes with commas between them"
    )
    region = serializers.CharField(
        required=False, max_length=32, help_text="with everything below it"
    )
    min_fp64_tflops = serializers.DecimalField(14, 3, min_value=0, required=False)
    min_fp32_tflops = serializers.DecimalField(14, 3, min_value=0, required=False)
    min_fp16_tflops = serializers.DecimalField(14, 3, min_value=0, required=False)
    min_int8_tops = serializers.DecimalField(14, 3, min_value=0, required=False)
    min_memory_bandwidth_gb_s = serializers.DecimalField(14, 3, min_value=0, required=False)
    min_qubits = serializers.DecimalField(14, 3, min_value=0, required=False)
    min_memory_gb = serializers.DecimalField(10, 2, min_value=0, required=False)
    domestic_only = serializers.BooleanField(required=False, default=False)
    min_green_share = ShareField(required=False)
    max_pue = PueField(required=False)
    rtt_region = serializers.CharField(required=False, max_length=32)
    max_rtt_ms = serializers.DecimalField(9, 3, min_value=0, required=False)
    start_at = SlotField(required=False)
    end_at = SlotField(required=False)
    units = serializers.IntegerField(
        required=False, default=1, min_value=0, max_value=rules.MAX_UNITS
    )
    max_price_per_unit_hour = MoneyField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """What belongs together comes together."""
        if ("rtt_region" in attrs) != ("max_rtt_ms" in attrs):
            raise serializers.ValidationError(
                {"max_rtt_ms": "goes with rtt_region, and it with this"}
            )
        if ("start_at" in attrs) != ("end_at" in attrs):
            raise serializers.ValidationError({"end_at": "goes with start_at, and it with this"})
        if "start_at" in attrs and not 0 < attrs["end_at"] - attrs["start_at"] <= MAX_HOURS:
            raise serializers.ValidationError(
                {"end_at": f"must be 1 to {MAX_HOURS} hours after start_at"}
            )
        return attrs

    @staticmethod
    def figures_of(values: dict[str, Any]) -> dict[str, Any]:
        """The least values by quantity."""
        return {name: values[f"min_{name}"] for name in _FIGURES if f"min_{name}" in values}


class FoundCentreSerializer(OutputSerializer):
    """Where a pool stands."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    region = serializers.CharField(source="region_id")
    region_name_zh = serializers.CharField(source="region.name_zh")
    region_name_en = serializers.CharField(source="region.name_en")
    pue = serializers.DecimalField(4, 3)
    green_share = serializers.DecimalField(5, 4)


class FoundPoolSerializer(OutputSerializer):
    """A pool that fits, with what is free in the window and the lowest price offered."""

    pool_id = serializers.UUIDField(source="id")
    grade = serializers.CharField(source="grade.code")
    resource_class = serializers.CharField(source="grade.resource_class")
    unit_description = serializers.CharField(source="grade.unit_description")
    device_model = DeviceModelSerializer(source="grade.device_model")
    centre = FoundCentreSerializer()
    reliability = serializers.DecimalField(5, 4)
    free_units = serializers.IntegerField(help_text="in every hour of the window")
    lowest_price_per_unit_hour = PriceField(source="lowest_price", allow_null=True)
