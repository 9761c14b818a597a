"""Reference data in Django's admin: regions, links, device models, grades, books and rule sets.

What the market writes (offers, orders, trades, leases) is not here: the console shows it, and only
the services change it.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin, TabularInline

from accounts import audit
from accounts.actors import for_user
from core import clock
from exchange.capacity.models import Book, DeviceFigure, DeviceModel, Grade
from exchange.pricing.models import RuleSet
from exchange.topology.models import Link, Region


class ReferenceAdmin(ModelAdmin):
    """Reference data: every change is a row of the audit chain, and nothing is removed."""

    compressed_fields = True
    list_per_page = 50

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save and record in one transaction."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            audit.record(
                actor=for_user(request.user),  # type: ignore[arg-type]
                action=f"{obj._meta.model_name}.{'change' if change else 'add'}",
                subject_kind=obj._meta.model_name,
                subject_id=str(obj.pk),
                before={name: _plain(form.initial.get(name)) for name in form.changed_data}
                if change
                else None,
                after={name: _plain(form.cleaned_data.get(name)) for name in form.changed_data},
                now=clock.now(),
            )


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | str) else str(value)


class ReadOnlyAdmin(ModelAdmin):
    """What people may look at here, and only the exchange itself writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Region)
class RegionAdmin(ReferenceAdmin):
    list_display = ["code", "name_zh", "name_en", "kind", "role", "parent"]
    list_filter = ["kind", "role"]
    list_select_related = ["parent"]
    search_fields = ["code", "name_zh", "name_en"]
    autocomplete_fields = ["parent"]


@admin.register(Link)
class LinkAdmin(ReferenceAdmin):
    list_display = [
        "region_a",
        "region_b",
        "carrier",
        "distance_km",
        "rtt_us",
        "bandwidth_gbps",
        "price_per_gb",
        "is_open",
    ]
    list_filter = ["is_open"]
    list_select_related = ["region_a", "region_b", "carrier"]
    search_fields = ["region_a__name_zh", "region_b__name_zh", "region_a__code", "region_b__code"]
    autocomplete_fields = ["region_a", "region_b"]
    raw_id_fields = ["carrier"]


class DeviceFigureInline(TabularInline):
    model = DeviceFigure
    extra = 0
    fields = ["quantity", "value", "kind", "source"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(DeviceModel)
class DeviceModelAdmin(ReferenceAdmin):
    list_display = ["code", "name", "vendor", "kind", "is_domestic", "memory_gb"]
    list_filter = ["kind", "is_domestic", "vendor"]
    search_fields = ["code", "name", "vendor"]
    inlines = [DeviceFigureInline]


@admin.register(DeviceFigure)
class DeviceFigureAdmin(ReferenceAdmin):
    list_display = ["device_model", "quantity", "value", "kind", "source"]
    list_filter = ["kind", "quantity"]
    list_select_related = ["device_model"]
    search_fields = ["device_model__code", "device_model__name"]
    autocomplete_fields = ["device_model"]


@admin.register(Grade)
class GradeAdmin(ReferenceAdmin):
    list_display = ["code", "book", "resource_class", "device_model", "unit_description"]
    list_filter = ["resource_class", "book"]
    list_select_related = ["book", "device_model"]
    search_fields = ["code", "device_model__name"]
    autocomplete_fields = ["device_model"]


@admin.register(Book)
class BookAdmin(ReadOnlyAdmin):
    list_display = ["code", "resource_class", "admitted", "version"]


@admin.register(RuleSet)
class RuleSetAdmin(ReferenceAdmin):
    """Append-only: a new version is added, none is changed."""

    list_display = [
        "version",
        "valid_from_at",
        "commission_bp",
        "compute_vat_bp",
        "transport_vat_bp",
        "brokerage_vat_bp",
        "reporting_grace_seconds",
    ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


admin.site.site_title = _("Compute exchange")
admin.site.site_header = _("Compute exchange: reference data")
