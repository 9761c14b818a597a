"""Organisations, members, keys and the audit chain over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import key_services, selectors, services
from accounts.models import Organisation
from api.paging import paged
from api.serializers import EmptyInput, InputSerializer
from api.throttling import KeyThrottle, RegistrationThrottle
from api.v1.accounts.serializers import (
    AuditQuery,
    AuditSerializer,
    IssuedKeySerializer,
    KeyInput,
    KeySerializer,
    MemberInput,
    MemberRoleInput,
    MemberSerializer,
    OrganisationInput,
    OrganisationSerializer,
    OrganisationsQuery,
    ReasonInput,
    RegistrationInput,
    RegistrationSerializer,
)
from api.views import ApiView, WriteView
from core import clock
from core.errors import InvalidInput
from exchange.topology.selectors import regions


def _check_region(facts: dict[str, Any]) -> None:
    """Organisations are registered in cities of the region tree, which accounts do not know."""
    code = facts.get("region_code")
    if code is not None and not regions().filter(code=code, kind="city").exists():
        raise InvalidInput.of(
            "region_code", "is not a city of the region tree", "See GET /api/v1/regions?kind=city."
        )


def _organisation(organisation: Organisation) -> Response:
    return Response(OrganisationSerializer(organisation).data)


class RegistrationsView(WriteView):
    """Where everybody begins."""

    public = True
    shows_secret = True
    throttle_classes = (KeyThrottle, RegistrationThrottle)

    @extend_schema(
        operation_id="register",
        summary="Register an organisation",
        auth=[],
        request=RegistrationInput,
        responses={201: RegistrationSerializer},
        examples=[
            OpenApiExample(
                "A buyer in Zhengzhou",
                request_only=True,
                value={
                    "name": "郑州示例智能科技有限公司",
                    "credit_code": "91410100MA2QTRJB7A",
                    "kinds": ["buyer"],
                    "region_code": "zhengzhou",
                    "owner_email": "li.wei@example.cn",
                    "owner_name": "Li Wei",
                },
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """The organisation begins as a draft; complete it, then submit it for verification."""
        facts = self.body(RegistrationInput)
        _check_region(facts)
        registered = services.register_organisation(
            code=facts.pop("credit_code"), now=clock.now(), **facts
        )
        return Response(RegistrationSerializer(registered).data, status=201)


class OrganisationView(WriteView):
    """The caller's own organisation."""

    scope = "organisation"

    @extend_schema(
        operation_id="organisation_get",
        summary="Your organisation",
        responses={200: OrganisationSerializer},
    )
    def get(self, request: Request) -> Response:
        """Its facts and how far its verification has come."""
        return _organisation(
            selectors.organisation(actor=self.actor, organisation_id=self.actor.own_id)
        )

    @extend_schema(
        operation_id="organisation_change",
        summary="Change facts of your organisation",
        request=OrganisationInput,
        responses={200: OrganisationSerializer},
        examples=[OpenApiExample("Contact", request_only=True, value={"contact_name": "Li Wei"})],
    )
    def patch(self, request: Request) -> Response:
        """Contacts at any time; the rest only while it is a draft or was refused."""
        changes = self.body(OrganisationInput)
        _check_region(changes)
        return _organisation(
            services.update_organisation(actor=self.actor, changes=changes, now=clock.now())
        )


class SubmitView(WriteView):
    """From draft (or refused) to submitted."""

    scope = "organisation:write"

    @extend_schema(
        operation_id="organisation_submit",
        summary="Submit your organisation for verification",
        request=EmptyInput,
        responses={200: OrganisationSerializer},
    )
    def post(self, request: Request) -> Response:
        """The operator decides; the event stream tells how."""
        self.body(EmptyInput)
        return _organisation(services.submit(actor=self.actor, now=clock.now()))


class OrganisationsView(ApiView):
    """The operator's list."""

    scope = "organisation:read"
    operator_roles = ("market", "settlement_clerk", "settlement_approver", "auditor")

    @extend_schema(
        operation_id="organisations_list",
        summary="All organisations (operator)",
        parameters=[OrganisationsQuery],
        responses={200: paged(OrganisationSerializer)},
    )
    def get(self, request: Request) -> Response:
        """Newest first."""
        query = self.query(OrganisationsQuery)
        found = selectors.visible_to(self.actor)
        if "verification" in query:
            found = found.filter(verification=query["verification"])
        if "kind" in query:
            found = found.filter(kinds__contains=[query["kind"]])
        if "suspended" in query:
            found = found.filter(suspended=query["suspended"] == "true")
        return self.page(found, OrganisationSerializer)


class OrganisationByIdView(ApiView):
    """One organisation, for the operator or for itself."""

    scope = "organisation:read"

    @extend_schema(
        operation_id="organisations_get",
        summary="One organisation",
        responses={200: OrganisationSerializer},
    )
    def get(self, request: Request, organisation_id: UUID) -> Response:
        """404 for an organisation that is not yours, unless you are the operator."""
        return _organisation(
            selectors.organisation(actor=self.actor, organisation_id=organisation_id)
        )


class _DecisionView(WriteView):
    """A decision of the market desk about an organisation."""

    scope = "operator"
    operator_roles = ("market",)

    def decide(
        self,
        verb: Callable[..., Organisation],
        organisation_id: UUID,
        body: type[InputSerializer] = EmptyInput,
    ) -> Response:
        """The organisation after ``verb``, which takes what stands in the body."""
        values = self.body(body)
        return _organisation(
            verb(actor=self.actor, organisation_id=organisation_id, now=clock.now(), **values)
        )


_DECIDED: dict[str, Any] = {"request": EmptyInput, "responses": {200: OrganisationSerializer}}
_DECIDED_FOR_A_REASON = _DECIDED | {"request": ReasonInput}


class VerifyView(_DecisionView):
    """Submitted → verified."""

    @extend_schema(
        operation_id="organisations_verify",
        summary="Verify an organisation (operator)",
        **_DECIDED,
    )
    def post(self, request: Request, organisation_id: UUID) -> Response:
        """It may take part from now on."""
        return self.decide(services.verify, organisation_id)


class RefuseView(_DecisionView):
    """Submitted → refused."""

    @extend_schema(
        operation_id="organisations_refuse",
        summary="Refuse an organisation (operator)",
        **_DECIDED_FOR_A_REASON,
    )
    def post(self, request: Request, organisation_id: UUID) -> Response:
        """It may mend its facts and submit again."""
        return self.decide(services.refuse, organisation_id, ReasonInput)


class SuspendView(_DecisionView):
    """No new business."""

    @extend_schema(
        operation_id="organisations_suspend",
        summary="Suspend an organisation (operator)",
        **_DECIDED_FOR_A_REASON,
    )
    def post(self, request: Request, organisation_id: UUID) -> Response:
        """It still reads; it does no new business until it is reinstated."""
        return self.decide(services.suspend, organisation_id, ReasonInput)


class ReinstateView(_DecisionView):
    """The end of a suspension."""

    @extend_schema(
        operation_id="organisations_reinstate",
        summary="Reinstate an organisation (operator)",
        **_DECIDED,
    )
    def post(self, request: Request, organisation_id: UUID) -> Response:
        """It does business again."""
        return self.decide(services.reinstate, organisation_id)


class MembersView(WriteView):
    """The members of the caller's organisation."""

    scope = "organisation"

    @extend_schema(
        operation_id="members_list",
        summary="Members of your organisation",
        responses={200: paged(MemberSerializer)},
    )
    def get(self, request: Request) -> Response:
        """Newest first."""
        return self.page(selectors.members_visible_to(self.actor), MemberSerializer)

    @extend_schema(
        operation_id="members_add",
        summary="Add a member",
        request=MemberInput,
        responses={201: MemberSerializer},
        examples=[
            OpenApiExample(
                "A trader",
                request_only=True,
                value={"email": "wang.fang@example.cn", "name": "Wang Fang", "role": "trader"},
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """A person who is not known yet is made known."""
        facts = self.body(MemberInput)
        member = services.add_member(actor=self.actor, now=clock.now(), **facts)
        return Response(MemberSerializer(member).data, status=201)


class MemberView(WriteView):
    """One member."""

    scope = "organisation"

    @extend_schema(
        operation_id="members_change_role",
        summary="Give a member another role",
        request=MemberRoleInput,
        responses={200: MemberSerializer},
        examples=[OpenApiExample("An engineer", request_only=True, value={"role": "engineer"})],
    )
    def patch(self, request: Request, member_id: UUID) -> Response:
        """The last owner stays one."""
        role = self.body(MemberRoleInput)["role"]
        member = services.change_member_role(
            actor=self.actor, membership_id=member_id, role=role, now=clock.now()
        )
        return Response(MemberSerializer(member).data)

    @extend_schema(
        operation_id="members_remove",
        summary="Remove a member",
        responses={204: None},
    )
    def delete(self, request: Request, member_id: UUID) -> Response:
        """The keys that the person answers for are revoked with it."""
        services.remove_member(actor=self.actor, membership_id=member_id, now=clock.now())
        return Response(status=204)


class KeysView(WriteView):
    """The API keys of the caller's organisation."""

    scope = "organisation"
    shows_secret = True

    @extend_schema(
        operation_id="api_keys_list",
        summary="API keys of your organisation",
        responses={200: paged(KeySerializer)},
    )
    def get(self, request: Request) -> Response:
        """Newest first, without secrets."""
        return self.page(selectors.keys_visible_to(self.actor), KeySerializer)

    @extend_schema(
        operation_id="api_keys_issue",
        summary="Issue an API key",
        request=KeyInput,
        responses={201: IssuedKeySerializer},
        examples=[
            OpenApiExample(
                "For placing orders",
                request_only=True,
                value={"name": "trading bot", "scopes": ["orders:read", "orders:write"]},
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Its text is shown this once. A key gets no more than the key that issues it has."""
        facts = self.body(KeyInput)
        key, key_text = key_services.issue_key(actor=self.actor, now=clock.now(), **facts)
        shown: dict[str, Any] = IssuedKeySerializer(key, context={"key_text": key_text}).data
        return Response(shown, status=201)


class RevokeKeyView(WriteView):
    """The end of a key."""

    scope = "organisation:write"

    @extend_schema(
        operation_id="api_keys_revoke",
        summary="Revoke an API key",
        request=EmptyInput,
        responses={200: KeySerializer},
    )
    def post(self, request: Request, key_id: UUID) -> Response:
        """From the next request on it is refused. A key may revoke itself."""
        self.body(EmptyInput)
        key = key_services.revoke_key(actor=self.actor, key_id=key_id, now=clock.now())
        return Response(KeySerializer(key).data)


class AuditView(ApiView):
    """The audit chain."""

    scope = "organisation:read"

    @extend_schema(
        operation_id="audit_list",
        summary="What was done, by whom",
        parameters=[AuditQuery],
        responses={200: paged(AuditSerializer)},
    )
    def get(self, request: Request) -> Response:
        """Newest first: your organisation's rows; all rows for the operator's auditor."""
        query = self.query(AuditQuery)
        rows = selectors.audit_visible_to(self.actor).filter(**query)
        return self.page(rows, AuditSerializer)
