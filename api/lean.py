"""A faster way for hot paths, under the same contract: msgspec in, msgspec out.

class OrdersView(WriteView):
    scope = "orders"

    def post(self, request):
        body = lean.decode(request, PlaceOrder)     # a msgspec.Struct, forbid_unknown_fields
        ...
        return lean.answer(placed, status=201)
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec
from django.http import HttpResponse
from rest_framework.request import Request

from api.errors import MediaTypeUnsupported
from api.parsing import decode_json
from api.rendering import encode_json
from core.errors import InvalidInput

Body = TypeVar("Body")

_PATH = re.compile(r" - at `(?P<path>[^`]*)`$")


def decode(request: Request, shape: type[Body]) -> Body:
    """The body as ``shape``; ``InvalidInput`` names the first field that does not fit."""
    content_type = (request.content_type or "").partition(";")[0].strip().lower()
    if content_type not in ("application/json", ""):
        raise MediaTypeUnsupported(f'Unsupported media type "{content_type}" in request.')
    value: Any = decode_json(request._request.body or b"{}")
    try:
        return msgspec.convert(value, shape, strict=True)
    except msgspec.ValidationError as error:
        raise _refused(str(error)) from error


def _refused(text: str) -> InvalidInput:
    found = _PATH.search(text)
    path = found["path"].removeprefix("$").lstrip(".") if found else ""
    rule = _PATH.sub("", text)
    name = re.search(r"field `([^`]+)`", rule)
    field = ".".join(part for part in (path, name[1] if name else "") if part) or "body"
    return InvalidInput.of(
        re.sub(r"\[(\d+|\.\.\.)\]", r".\1", field),
        rule,
        "Send a value of the type and form that the schema at /api/v1/schema gives.",
    )


def answer(value: Any, *, status: int = 200) -> HttpResponse:
    """``value`` (builtins, structs, UUIDs, instants) as the JSON answer."""
    return HttpResponse(encode_json(value), status=status, content_type="application/json")
