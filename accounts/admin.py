"""Accounts in Django's admin, to look at: what changes an organisation is a service."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts.models import ApiKey, AuditRow, Membership, OperatorRole, Organisation, User

admin.site.unregister(Group)


class ReadOnlyAdmin(ModelAdmin):
    """Nothing is added, changed or removed here."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    pass


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    ordering = ("email",)
    list_display = ("email", "name", "is_active", "is_staff")
    search_fields = ("email", "name")
    readonly_fields = ("last_login", "created_at")
    fieldsets = (
        (None, {"fields": ("email", "password")}),
        ("Person", {"fields": ("name", "language", "last_login", "created_at")}),
        (
            "Rights in this admin",
            {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")},
        ),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("email", "name", "password1", "password2")}),
    )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A person is made inactive; the audit chain keeps naming them."""
        return False


@admin.register(Organisation)
class OrganisationAdmin(ReadOnlyAdmin):
    list_display = ("name", "credit_code", "kinds", "region_code", "verification", "suspended")
    list_filter = ("verification", "suspended")
    search_fields = ("name", "credit_code")
    ordering = ("-id",)


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    list_display = ("user", "organisation", "role")
    list_select_related = ("user", "organisation")
    search_fields = ("user__email", "organisation__name")
    ordering = ("-id",)


@admin.register(OperatorRole)
class OperatorRoleAdmin(ReadOnlyAdmin):
    list_display = ("user", "role", "created_at")
    list_select_related = ("user",)
    ordering = ("-id",)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    list_display = ("prefix", "name", "organisation", "expires_at", "revoked_at", "last_used_at")
    list_select_related = ("organisation",)
    search_fields = ("prefix", "organisation__name")
    exclude = ("secret_sha256",)
    ordering = ("-id",)


@admin.register(AuditRow)
class AuditRowAdmin(ReadOnlyAdmin):
    list_display = ("id", "recorded_at", "actor_label", "action", "subject_kind", "subject_id")
    search_fields = ("=subject_id", "=actor_label", "=action")
    ordering = ("-id",)
    show_full_result_count = False
