"""Shapes of accounts."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.roles import MEMBER_ROLES, OPERATOR_ROLES, ORGANISATION_KINDS, SCOPES
from accounts.services import PUBLIC_KINDS
from api.serializers import InputSerializer, InstantField, OutputSerializer

KIND_CHOICES = sorted(ORGANISATION_KINDS)
PUBLIC_KIND_CHOICES = sorted(PUBLIC_KINDS)


def _credit_code(*, required: bool = True) -> serializers.CharField:
    return serializers.CharField(
        min_length=18,
        max_length=18,
        help_text="Unified social credit code (GB 32100-2015), 18 characters with check character.",
        required=required,
    )


class OrganisationSerializer(OutputSerializer):
    """An organisation, as it sees itself and as the operator sees it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    credit_code = serializers.CharField()
    kinds = serializers.ListField(child=serializers.ChoiceField(KIND_CHOICES))
    region_code = serializers.CharField()
    verification = serializers.ChoiceField(["draft", "submitted", "verified", "refused"])
    verification_reason = serializers.CharField(help_text="Why it was refused; else empty.")
    suspended = serializers.BooleanField()
    suspended_reason = serializers.CharField()
    contact_name = serializers.CharField()
    contact_email = serializers.CharField()
    contact_phone = serializers.CharField()
    created_at = InstantField()
    verified_at = InstantField(allow_null=True)


class RegistrationInput(InputSerializer):
    """An organisation and its first member."""

    name = serializers.CharField(max_length=200)
    credit_code = _credit_code()
    kinds = serializers.ListField(
        child=serializers.ChoiceField(PUBLIC_KIND_CHOICES), min_length=1, max_length=3
    )
    region_code = serializers.CharField(max_length=32, help_text="As GET /api/v1/regions lists it.")
    owner_email = serializers.EmailField(max_length=254)
    owner_name = serializers.CharField(max_length=100)
    contact_phone = serializers.CharField(
        max_length=40, required=False, allow_blank=True, default=""
    )


class OrganisationInput(InputSerializer):
    """What may change; facts other than contacts only before verification."""

    name = serializers.CharField(max_length=200, required=False)
    credit_code = _credit_code(required=False)
    kinds = serializers.ListField(
        child=serializers.ChoiceField(PUBLIC_KIND_CHOICES),
        min_length=1,
        max_length=3,
        required=False,
    )
    region_code = serializers.CharField(max_length=32, required=False)
    contact_name = serializers.CharField(max_length=100, required=False, allow_blank=True)
    contact_email = serializers.EmailField(max_length=254, required=False, allow_blank=True)
    contact_phone = serializers.CharField(max_length=40, required=False, allow_blank=True)


class ReasonInput(InputSerializer):
    """Why, in words that the other side reads."""

    reason = serializers.CharField(max_length=1000)


class OrganisationsQuery(InputSerializer):
    """Filters of the operator's list."""

    verification = serializers.ChoiceField(
        ["draft", "submitted", "verified", "refused"], required=False
    )
    kind = serializers.ChoiceField(KIND_CHOICES, required=False)
    suspended = serializers.ChoiceField(["true", "false"], required=False)


class MemberSerializer(OutputSerializer):
    """A member of the organisation."""

    id = serializers.UUIDField()
    email = serializers.CharField(source="user.email")
    name = serializers.CharField(source="user.name")
    role = serializers.ChoiceField(sorted(MEMBER_ROLES))
    created_at = InstantField()


class MemberInput(InputSerializer):
    """A person to add."""

    email = serializers.EmailField(max_length=254)
    name = serializers.CharField(max_length=100)
    role = serializers.ChoiceField(sorted(MEMBER_ROLES))


class MemberRoleInput(InputSerializer):
    """Another role for a member."""

    role = serializers.ChoiceField(sorted(MEMBER_ROLES))


class KeySerializer(OutputSerializer):
    """A key, without its secret."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    prefix = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    operator_roles = serializers.ListField(child=serializers.CharField())
    holder_id = serializers.UUIDField(allow_null=True)
    created_at = InstantField()
    expires_at = InstantField(allow_null=True)
    revoked_at = InstantField(allow_null=True)
    last_used_at = InstantField(allow_null=True, help_text="To within ten minutes.")


class KeyInput(InputSerializer):
    """A key to issue."""

    name = serializers.CharField(max_length=100)
    scopes = serializers.ListField(
        child=serializers.ChoiceField(sorted(SCOPES)), max_length=len(SCOPES)
    )
    operator_roles = serializers.ListField(
        child=serializers.ChoiceField(sorted(OPERATOR_ROLES)),
        max_length=len(OPERATOR_ROLES),
        required=False,
        default=list,
    )
    expires_at = InstantField(required=False, allow_null=True, default=None)


class IssuedKeySerializer(KeySerializer):
    """A new key; its text is shown this once."""

    key = serializers.SerializerMethodField(help_text="Keep it: it is shown this once.")

    def get_key(self, _key: object) -> str:
        """The key's text."""
        return str(self.context["key_text"])


class RegistrationSerializer(OutputSerializer):
    """A new organisation, its first member and its first key."""

    organisation = OrganisationSerializer()
    member_email = serializers.CharField(source="owner.email")
    api_key = serializers.CharField(
        source="key_text", help_text="The first key, with every scope. It is shown this once."
    )


class AuditQuery(InputSerializer):
    """Filters of the audit chain."""

    subject_id = serializers.CharField(max_length=64, required=False)
    action = serializers.CharField(max_length=64, required=False)


@extend_schema_field({"type": ["object", "null"], "additionalProperties": True})
class FactsField(serializers.JSONField):
    """What was so before or after; null where there was nothing."""


class AuditSerializer(OutputSerializer):
    """Who did what to what, and how it was before and after."""

    id = serializers.IntegerField()
    recorded_at = InstantField()
    actor_kind = serializers.ChoiceField(["person", "key", "system"])
    actor_id = serializers.UUIDField(allow_null=True)
    actor_label = serializers.CharField()
    organisation_id = serializers.UUIDField(allow_null=True)
    action = serializers.CharField()
    subject_kind = serializers.CharField()
    subject_id = serializers.CharField()
    before = FactsField()
    after = FactsField()
    request_id = serializers.CharField()
