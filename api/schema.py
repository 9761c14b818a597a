"""The OpenAPI description: what every operation has in common is said here once."""

from __future__ import annotations

from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from api.serializers import ProblemSerializer
from api.views import ApiView, WriteView

TAGS = {
    "accounts": "Organisations, members, API keys, the audit chain, the event stream.",
    "capacity": "Unified access: regions, links, device models, centres, pools, search.",
    "market": "Unified trading: offers, orders, trades, market data.",
    "scheduling": "Unified scheduling: leases, from the trade to their end.",
    "billing": "Unified billing: balances, usage, charges, settlement.",
}

_PROBLEMS = {
    400: "The request cannot be read.",
    401: "No API key, or not a valid one.",
    403: "The key may not do this.",
    404: "There is no such thing, or it belongs to another organisation.",
    405: "This address does not take that method.",
    409: "The present state does not allow this.",
    411: "The body must say how long it is.",
    413: "The body is too large.",
    415: "The body is of a type that is not taken here.",
    422: "A value breaks a rule; every bad field is named.",
    429: "Too many requests; `Retry-After` says when to come again.",
    503: "Try again later.",
}
_READ = (400, 401, 403, 404, 422, 429, 503)
_WRITE = (400, 401, 403, 404, 409, 411, 413, 415, 422, 429, 503)


class ExchangeSchema(AutoSchema):
    """Adds tags by room, the idempotency header and the problems to each operation."""

    def get_tags(self) -> list[str]:
        """The room of the view: ``api.v1.<room>.views``."""
        parts = type(self.view).__module__.split(".")
        return [parts[2]] if parts[:2] == ["api", "v1"] and len(parts) > 2 else ["accounts"]

    def get_override_parameters(self) -> list[Any]:
        """The ``Idempotency-Key`` of a write."""
        given = list(super().get_override_parameters())
        if self._writes():
            given.append(
                OpenApiParameter(
                    "Idempotency-Key",
                    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
                    OpenApiParameter.HEADER,
                    required=True,
                    description="A value of your own for this write, such as a UUID. The same key "
                    "with the same request gives the first answer again.",
                    examples=[],
                )
            )
        return given

    def _writes(self) -> bool:
        view = self.view
        if not isinstance(view, WriteView):
            return False
        return view.writes(self.method, getattr(view, "action", None))

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> Any:
        bodies: dict[str, Any] = super()._get_response_bodies(direction)
        if direction != "response" or not isinstance(self.view, ApiView):
            return bodies
        for status in _WRITE if self.method not in ("GET", "HEAD") else _READ:
            bodies.setdefault(
                str(status),
                self._get_response_for_code(  # type: ignore[no-untyped-call]
                    OpenApiResponse(ProblemSerializer, _PROBLEMS[status]),
                    str(status),
                    media_types=["application/problem+json"],
                ),
            )
        return bodies


def finish(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """The last hand at the schema: what the tags mean, in the order of the goods' way."""
    result["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    result["info"]["description"] = (
        "Unified access, scheduling, billing and trading of compute. Money is a text of yuan with "
        "six decimal places; instants are UTC; a slot is a whole hour. Every write takes an "
        "`Idempotency-Key`. Refusals are problems (RFC 9457), described under `/problems/<slug>`."
    )
    return result
