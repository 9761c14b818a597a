"""Answers are JSON, whatever the request says it would like."""

from __future__ import annotations

from typing import Any

import msgspec
from django.utils.functional import Promise
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.utils.serializer_helpers import ReturnDict, ReturnList


def _plain(value: Any) -> Any:
    if isinstance(value, ReturnDict):
        return dict(value)
    if isinstance(value, ReturnList):
        return list(value)
    if isinstance(value, Promise):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no form in JSON")


encode_json = msgspec.json.Encoder(enc_hook=_plain, decimal_format="string").encode


class JSONRenderer(BaseRenderer):
    """``application/json``; decimals as strings, instants with ``Z``."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        """The bytes of the answer; nothing where there is no content."""
        return b"" if data is None else encode_json(data)


class FirstRenderer(BaseContentNegotiation):
    """Takes the view's first renderer; a stream or a file has its own."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        """The parser for the body's type; None where no parser takes it."""
        content_type = (request.content_type or "application/json").partition(";")[0].strip()
        return next((p for p in parsers if p.media_type == content_type.lower()), None)

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        """The first renderer, whatever is asked for."""
        return renderers[0], renderers[0].media_type
