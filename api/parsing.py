"""Bodies: strict JSON, and text for files that a room reads itself."""

from __future__ import annotations

from typing import Any

import msgspec
from rest_framework.parsers import BaseParser

from api.errors import MalformedBody


def decode_json(body: bytes) -> Any:
    """The value of a JSON text as RFC 8259 has it: no NaN, no Infinity, nothing after the end."""
    if b"\\u0000" in body:
        raise MalformedBody("The body has the character NUL in a text; leave it out.")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedBody(f"The body is not JSON: {error}.") from error
    except (RecursionError, ValueError) as error:
        raise MalformedBody("The body is nested too deeply, or has an absurd number.") from error


class StrictJSONParser(BaseParser):
    """``application/json``."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """The parsed body; an empty one is an empty object."""
        body = stream.read()
        return decode_json(body) if body.strip() else {}


class CSVTextParser(BaseParser):
    """``text/csv`` as text; the room reads the rows and names the bad ones."""

    media_type = "text/csv"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """The body as text (UTF-8, with or without a byte order mark)."""
        try:
            text: str = stream.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise MalformedBody("The file is not UTF-8.") from error
        if "\x00" in text:
            raise MalformedBody("The file has the character NUL in it.")
        return text
