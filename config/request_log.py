"""One structured log line for each request, the refused ones too."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from core.ids import new_id
from core.request_context import request_id

log = structlog.get_logger("request")

# A caller's own id is kept where it cannot break a log line.
_ACCEPTABLE_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
# Asked every few seconds by machines; they would drown what people do.
_NOT_LOGGED: Final = frozenset({"/healthz", "/readyz"})


class _Problem(msgspec.Struct):
    type: str = ""


class RequestLogMiddleware:
    """Names each request, and logs how it ended: status, milliseconds, actor, problem."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Set ``core.request_context.request_id`` for what the request does."""
        given = request.headers.get("X-Request-Id", "")
        name = given if _ACCEPTABLE_ID.fullmatch(given) else str(new_id())
        token = request_id.set(name)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=name)
        begun = time.perf_counter()
        try:
            response = self._get_response(request)
            response["X-Request-Id"] = name
            if request.path not in _NOT_LOGGED:
                log.info(
                    "request",
                    method=request.method,
                    path=request.path,
                    status=response.status_code,
                    ms=round((time.perf_counter() - begun) * 1000, 1),
                    actor=_actor(request),
                    problem=_problem(response),
                )
            return response
        finally:
            structlog.contextvars.clear_contextvars()
            request_id.reset(token)


def _actor(request: HttpRequest) -> str:
    """Who asked, as far as the request found out; asking costs no query here."""
    auth = getattr(request, "auth", None)
    if auth is not None:
        return str(getattr(auth, "label", auth))
    user = getattr(request, "_cached_user", None)
    return str(user) if user is not None and user.is_authenticated else ""


def _problem(response: HttpResponseBase) -> str:
    """The slug of an RFC 9457 problem, else nothing."""
    if not isinstance(response, HttpResponse):
        return ""
    if not response.headers.get("Content-Type", "").startswith("application/problem+json"):
        return ""
    try:
        problem = msgspec.json.decode(response.content, type=_Problem)
    except msgspec.DecodeError:
        return ""
    return problem.type.rstrip("/").rpartition("/")[2]
