"""What unified scheduling takes and shows."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers import InputSerializer, InstantField, OutputSerializer, ProblemSerializer
from exchange.scheduling.models import LeaseState
from exchange.scheduling.services import MAX_MOVES, MAX_REASON
from exchange.scheduling.states import MOVES_OF

PARTY_EVENTS = sorted(event for event, whose in MOVES_OF.items() if whose != "platform")
MAX_DETAILS = 20


class LeaseSerializer(OutputSerializer):
    """A lease: what a trade obliges the provider to deliver. It has the trade's id."""

    id = serializers.UUIDField(source="pk", help_text="Also the id of its trade.")
    order_id = serializers.UUIDField(source="trade.order_id")
    offer_id = serializers.UUIDField(source="trade.offer_id")
    pool_id = serializers.UUIDField(source="trade.pool_id")
    centre_id = serializers.UUIDField()
    resold_from = serializers.UUIDField(
        source="trade.resold_from_id",
        allow_null=True,
        help_text="The lease whose slots these are: it is delivered once, to this one's buyer.",
    )
    buyer_id = serializers.UUIDField()
    provider_id = serializers.UUIDField()
    grade = serializers.CharField(source="trade.grade.code")
    units = serializers.IntegerField()
    starts_at = InstantField()
    ends_at = InstantField()
    state = serializers.ChoiceField(LeaseState.choices)
    state_reason = serializers.CharField(help_text="Why it came to this state, where told.")
    activated_at = InstantField(allow_null=True, help_text="Charging starts no earlier.")
    ended_at = InstantField(allow_null=True)
    updated_at = InstantField()


class LeaseEventSerializer(OutputSerializer):
    """One transition of a lease."""

    event = serializers.CharField()
    state_before = serializers.CharField()
    state_after = serializers.CharField()
    occurred_at = InstantField()
    reason = serializers.CharField()


class LeaseDetailSerializer(LeaseSerializer):
    """A lease with its history."""

    events = LeaseEventSerializer(many=True)


class LeaseQuery(InputSerializer):
    """Which leases."""

    state = serializers.ChoiceField(LeaseState.choices, required=False)
    party = serializers.ChoiceField(
        ["provider", "buyer"], required=False, help_text="Those that you deliver, or that you use."
    )
    updated_since = InstantField(
        required=False,
        help_text="Changed at that instant or later. A change is seen once its transaction has "
        "ended, so let two questions overlap by some seconds.",
    )


class TransitionInput(InputSerializer):
    """A step of a lease."""

    event = serializers.ChoiceField(PARTY_EVENTS)
    reason = serializers.CharField(max_length=MAX_REASON, required=False, default="")


class MoveInput(TransitionInput):
    """A step of one of several leases."""

    lease_id = serializers.UUIDField()


class MovesInput(InputSerializer):
    """Steps of several leases, each by itself."""

    moves = MoveInput(  # type: ignore[call-arg]  # for the list
        many=True, allow_empty=False, max_length=MAX_MOVES
    )


class MovedSerializer(OutputSerializer):
    """What became of one step: the new state, or the problem that refused it."""

    lease_id = serializers.UUIDField()
    state = serializers.CharField(allow_null=True)
    activated_at = InstantField(allow_null=True)
    ended_at = InstantField(allow_null=True)
    problem = serializers.SerializerMethodField()

    @extend_schema_field(ProblemSerializer(allow_null=True))
    def get_problem(self, moved: Any) -> dict[str, Any] | None:
        """The problem, as if the step had been sent alone."""
        return moved.refusal.as_problem() if moved.refusal else None


class MovesSerializer(OutputSerializer):
    """An answer for each step, in the order in which they were sent."""

    results = MovedSerializer(many=True)


class AccessInput(InputSerializer):
    """How the buyer gets in: texts by name, such as host, user, token."""

    details = serializers.DictField(child=serializers.CharField(max_length=4000), allow_empty=False)

    def validate_details(self, details: dict[str, str]) -> dict[str, str]:
        """A few short names."""
        if len(details) > MAX_DETAILS or any(not 0 < len(name) <= 64 for name in details):
            raise serializers.ValidationError(
                f"must have at most {MAX_DETAILS} names of 1 to 64 characters"
            )
        return details


class AccessSerializer(OutputSerializer):
    """How to get in."""

    lease_id = serializers.UUIDField()
    details = serializers.DictField(child=serializers.CharField())
