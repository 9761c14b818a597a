"""One door for refusals: any exception of a view becomes an RFC 9457 problem."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import structlog
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.exceptions import ValidationError as ModelValidationError
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from psycopg_pool import PoolTimeout
from rest_framework import exceptions as drf
from rest_framework.response import Response

from accounts.errors import KeyMissing
from api import errors
from core.errors import (
    Conflict,
    ExchangeError,
    FieldProblem,
    InvalidInput,
    NotFound,
    NotPermitted,
    Unavailable,
)
from core.request_context import request_id

log = structlog.get_logger(__name__)

CONTENT_TYPE = "application/problem+json"

# How to mend a value, by the code of the rule that it breaks.
_MENDS = {
    "required": "Send this field.",
    "null": "Send a value, or leave the field out where it is optional.",
    "blank": "Send a text that is not empty.",
    "unknown": "Leave this field out; the schema at /api/v1/schema lists what is taken.",
    "invalid_choice": "Send one of the values that the schema lists.",
    "max_length": "Shorten it.",
    "min_length": "Lengthen it.",
    "max_value": "Send a smaller value.",
    "min_value": "Send a larger value.",
    "max_decimal_places": "Round it to the places allowed.",
    "empty": "Send at least one element.",
    "not_a_list": "Send a JSON array.",
    "does_not_exist": "Send the id of something that exists and that you may see.",
}
_MEND = "Send a value of the type and form that the schema at /api/v1/schema gives."

_TRY_AGAIN = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    psycopg.errors.QueryCanceled,
    PoolTimeout,
)


def render(exception: Exception, context: dict[str, Any]) -> Response:
    """The problem response for any exception; what nobody foresaw is logged and told as a 500."""
    request = context["request"]
    problem = as_exchange_error(exception)
    if problem is None:
        log.exception("unhandled", path=request.path, method=request.method)
        problem = ExchangeError(
            "Something went wrong here, and was logged under this request's id."
        )
    elif problem.status >= 500 and problem is not exception:
        log.warning("unavailable", path=request.path, problem=problem.slug, exc_info=exception)
    body = problem.as_problem() | {"instance": request.path}
    if request_id.get():
        body["request_id"] = request_id.get()
    headers = _headers(problem)
    return Response(body, status=problem.status, headers=headers, content_type=CONTENT_TYPE)


def _headers(problem: ExchangeError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="compute exchange"'
    if problem.retry_helps:
        headers["Retry-After"] = str(problem.extra.get("retry_after_seconds", 1))
    return headers


_NOT_FOUND = "There is no such thing, or it belongs to another organisation."

# What exceptions of the framework mean, the narrower before the wider.
_MEANINGS: tuple[tuple[type[Exception], Callable[[Any], ExchangeError | None]], ...] = (
    (ExchangeError, lambda error: error),
    (PoolTimeout, lambda _: Unavailable("The database is busy; try again.")),
    (DatabaseError, lambda error: _of_database(error)),  # noqa: PLW0108 - it stands below
    (InterfaceError, lambda error: _of_database(error)),  # noqa: PLW0108 - it stands below
    (drf.ValidationError, lambda error: _invalid(list(_flatten(error.detail)))),
    (drf.ParseError, lambda error: errors.MalformedBody(str(error.detail))),
    (drf.NotAuthenticated, lambda _: KeyMissing("Send Authorization: Bearer <API key>.")),
    (drf.AuthenticationFailed, lambda _: KeyMissing("Send Authorization: Bearer <API key>.")),
    (drf.PermissionDenied, lambda error: NotPermitted(str(error.detail))),
    (drf.NotFound, lambda _: NotFound(_NOT_FOUND)),
    (drf.MethodNotAllowed, lambda error: errors.MethodNotAllowed(str(error.detail))),
    (drf.UnsupportedMediaType, lambda error: errors.MediaTypeUnsupported(str(error.detail))),
    (
        RequestDataTooBig,
        lambda _: errors.BodyTooLarge(
            "The body is larger than the server takes; send it in parts."
        ),
    ),
    (UnreadablePostError, lambda _: errors.MalformedBody("The body ended early.")),
    (SuspiciousOperation, lambda _: errors.MalformedRequest("The request is not taken here.")),
    (Http404, lambda _: NotFound(_NOT_FOUND)),
    (PermissionDenied, lambda _: NotPermitted("This key or role may not do this.")),
    (ModelValidationError, lambda error: _invalid(list(_of_model(error)))),
)


def as_exchange_error(exception: Exception) -> ExchangeError | None:
    """The member of the error tree that says what ``exception`` means; None where none does."""
    for kind, meaning in _MEANINGS:
        if isinstance(exception, kind):
            return meaning(exception)
    return None


def _of_database(exception: Exception) -> ExchangeError | None:
    cause = exception.__cause__
    if isinstance(cause, _TRY_AGAIN):
        return Unavailable("The exchange is busy with the same thing; try again.")
    if isinstance(exception, IntegrityError):
        constraint = getattr(getattr(cause, "diag", None), "constraint_name", None)
        log.warning("constraint", constraint=constraint, exc_info=exception)
        return Conflict(
            f"This would break the rule {constraint or 'of the database'}; "
            "somebody else may have been faster. Read the present state and decide again.",
            constraint=constraint,
        )
    if isinstance(exception, DataError):
        log.warning("value does not fit", exc_info=exception)
        return InvalidInput("A value is larger than the exchange can keep.")
    if isinstance(exception, OperationalError | InterfaceError):
        return Unavailable("The database cannot be reached at the moment; try again.")
    return None


def _invalid(fields: list[FieldProblem]) -> InvalidInput:
    first = fields[0] if fields else FieldProblem("body", "is not valid", _MEND)
    more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
    return InvalidInput(f"{first.field}: {first.rule}{more}", fields=fields)


def _flatten(detail: Any, path: str = "") -> Iterator[FieldProblem]:
    """Each bad value of a serializer's nested answer, with its dotted path."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            own = "" if name == "non_field_errors" else str(name)
            yield from _flatten(inner, ".".join(part for part in (path, own) if part))
    elif isinstance(detail, list):
        for place, inner in enumerate(detail):
            if isinstance(inner, dict | list):
                if inner:
                    yield from _flatten(inner, f"{path}.{place}" if path else str(place))
            else:
                yield from _flatten(inner, path)
    else:
        code = getattr(detail, "code", "invalid")
        yield FieldProblem(path or "body", str(detail), _MENDS.get(code, _MEND))


def _of_model(exception: ModelValidationError) -> Iterator[FieldProblem]:
    if hasattr(exception, "error_dict"):
        for name, problems in exception.message_dict.items():
            for rule in problems:
                yield FieldProblem(name, rule, _MEND)
    else:
        for rule in exception.messages:
            yield FieldProblem("body", rule, _MEND)
