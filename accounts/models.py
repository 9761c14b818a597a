"""Who takes part: people, organisations, their members and keys, and what each of them did."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from accounts.roles import (
    MEMBER_ROLES,
    OPERATOR_ROLES,
    ORGANISATION_KINDS,
    SCOPES,
)
from core import clock
from core.ids import new_id
from core.models import AppendOnly, CurrentXid, Seal, TextArrayField, XidField


class UserManager(BaseUserManager["User"]):
    """Makes people; an e-mail address is stored in lower case."""

    def create_user(self, email: str, password: str | None = None, **facts: Any) -> User:
        user = self.model(email=email.strip().lower(), **facts)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **facts: Any) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **facts)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=(username or "").strip().lower())


class User(AbstractBaseUser, PermissionsMixin):
    """A person, known by e-mail address."""

    class Language(models.TextChoices):
        CHINESE = "zh-hans", "简体中文"
        ENGLISH = "en", "English"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.EmailField(max_length=254)
    name = models.CharField(max_length=100)
    language = models.CharField(
        max_length=10, choices=Language.choices, default=Language.CHINESE.value
    )
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)

    objects = UserManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="one_person_per_email_address"),
            models.CheckConstraint(
                condition=Q(email=Lower("email")), name="email_is_stored_in_lower_case"
            ),
        ]

    def __str__(self) -> str:
        return self.email


class Organisation(models.Model):
    """A legal person on the platform."""

    class Verification(models.TextChoices):
        DRAFT = "draft", "draft: its facts may still change"
        SUBMITTED = "submitted", "submitted: the operator is to decide"
        VERIFIED = "verified", "verified: it may take part"
        REFUSED = "refused", "refused: it may mend its facts and submit again"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=200)
    credit_code = models.CharField(max_length=18, unique=True)
    kinds = TextArrayField()
    # The region it is registered in; regions belong to exchange.topology.
    region_code = models.CharField(max_length=32)
    verification = models.CharField(
        max_length=12, choices=Verification.choices, default=Verification.DRAFT.value
    )
    verification_reason = models.TextField(default="", blank=True)
    suspended = models.BooleanField(default=False)
    suspended_reason = models.TextField(default="", blank=True)
    contact_name = models.CharField(max_length=100, default="", blank=True)
    contact_email = models.EmailField(default="", blank=True)
    contact_phone = models.CharField(max_length=40, default="", blank=True)
    created_at = models.DateTimeField()
    verified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kinds__contained_by=sorted(ORGANISATION_KINDS)) & Q(kinds__len__gte=1),
                name="organisation_kinds_are_known",
            ),
            models.CheckConstraint(
                condition=Q(verification__in=["draft", "submitted", "verified", "refused"]),
                name="organisation_verification_is_known",
            ),
            models.CheckConstraint(
                condition=Q(suspended=False) | ~Q(suspended_reason=""),
                name="suspension_has_a_reason",
            ),
            models.CheckConstraint(
                condition=~Q(verification="refused") | ~Q(verification_reason=""),
                name="refusal_has_a_reason",
            ),
        ]
        indexes = [models.Index("verification", "id", name="organisation_by_verification")]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's role in an organisation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="memberships"
    )
    role = models.CharField(max_length=12)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "organisation"], name="one_role_per_person_and_organisation"
            ),
            models.CheckConstraint(
                condition=Q(role__in=sorted(MEMBER_ROLES)), name="member_role_is_known"
            ),
        ]


class OperatorRole(models.Model):
    """What a person of the operator may decide for the whole market."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="operator_roles")
    role = models.CharField(max_length=24)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "role"], name="operator_role_once_per_person"),
            models.CheckConstraint(
                condition=Q(role__in=sorted(OPERATOR_ROLES)), name="operator_role_is_known"
            ),
        ]


class ApiKey(models.Model):
    """A key of an organisation. Only a hash of its secret is kept; it is shown once, when issued.

    The secret is 256 random bits, so a plain SHA-256 is enough: a slow password hash defends
    what can be guessed, and would cost every request what nobody gains.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="api_keys"
    )
    # The person who answers for it; needed where the key carries operator roles, so that four
    # eyes are never two keys of one person.
    holder = models.ForeignKey(
        User, on_delete=models.PROTECT, related_name="api_keys", null=True, blank=True
    )
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=8, unique=True)
    secret_sha256 = models.BinaryField(max_length=32)
    scopes = TextArrayField()
    operator_roles = TextArrayField(default=list, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    # Written at most once in ten minutes.
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(scopes__contained_by=sorted(SCOPES)), name="key_scopes_are_known"
            ),
            models.CheckConstraint(
                condition=Q(operator_roles__contained_by=sorted(OPERATOR_ROLES)),
                name="key_operator_roles_are_known",
            ),
            models.CheckConstraint(
                condition=Q(operator_roles__len=0) | Q(holder__isnull=False),
                name="operator_key_has_a_holder",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=models.F("created_at")),
                name="key_expires_after_it_is_made",
            ),
        ]
        indexes = [models.Index("organisation", "id", name="key_by_organisation")]

    def __str__(self) -> str:
        return f"cx_{self.prefix}_…"


class AuditRow(AppendOnly):
    """Who did what to what: one row for every write by a person or a key."""

    id = models.BigAutoField(primary_key=True)
    recorded_at = models.DateTimeField()
    actor_kind = models.CharField(max_length=8)
    actor_id = models.UUIDField(null=True)
    actor_label = models.TextField()
    # Whom it concerns: the organisation of the actor unless the verb says otherwise.
    organisation_id = models.UUIDField(null=True)
    action = models.TextField()
    subject_kind = models.TextField()
    subject_id = models.TextField()
    before = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    after = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    request_id = models.TextField(default="")
    xid = XidField(db_default=CurrentXid())

    class Meta:
        indexes = [
            models.Index("xid", "id", name="audit_by_xid"),
            models.Index("organisation_id", "id", name="audit_by_organisation"),
            models.Index("subject_id", "id", name="audit_by_subject"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(actor_kind__in=["person", "key", "system"]),
                name="audit_actor_kind_is_known",
            )
        ]


class AuditSeal(Seal):
    """A link of the chain over the audit rows."""
