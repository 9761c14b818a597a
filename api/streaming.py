"""Server-sent events: what all streams share.

A stream holds a thread of the web server, so it is short (the client comes again, and goes on
where it was) and there are few at a time in one process, of all kinds together
(``STREAMS_PER_PROCESS``, below the number of threads); one more is told to come again. It never
holds a database connection between two looks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers
from rest_framework.request import Request

from api.errors import EventsForgotten, StreamsFull
from api.rendering import encode_json
from api.serializers import InputSerializer, ProblemSerializer
from core import selectors
from core.errors import InvalidInput

LOOK_SECONDS = 0.5
# Also how soon a client that went away is noticed: the next message cannot be sent.
HEARTBEAT_SECONDS = 2.0

_places = threading.BoundedSemaphore(settings.STREAMS_PER_PROCESS)

LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The `id` of the last event seen; browsers send it by themselves.",
)
RESPONSES = {
    (200, "text/event-stream"): OpenApiResponse(
        OpenApiTypes.STR, "`id` is the position, `event` the kind, `data` a JSON object."
    ),
    (410, "application/problem+json"): OpenApiResponse(
        ProblemSerializer, "Events after the position are no longer kept."
    ),
}


class StreamQuery(InputSerializer):
    """Where to begin and how long to stay."""

    after = serializers.IntegerField(
        min_value=0,
        max_value=2**63 - 1,
        required=False,
        help_text="Begin after this position; the header Last-Event-ID goes before it.",
    )
    seconds = serializers.IntegerField(
        min_value=0,
        max_value=60,
        required=False,
        help_text="How long to stay; 0 gives what is there and ends. The server may end it sooner.",
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look found: messages, the position after them, and whether more waits already."""

    messages: list[bytes]
    position: int
    more: bool = False


Look = Callable[[int], Seen]
"""Looks at what came after a position."""


def answer(request: Request, query: dict[str, Any], look: Look) -> StreamingHttpResponse:
    """The stream of what ``look`` finds, from where the request says on.

    ``EventsForgotten`` where that was pruned, ``StreamsFull`` where all places are taken.
    """
    position = _position(request, query)
    seconds = min(query.get("seconds", settings.STREAM_SECONDS), settings.STREAM_SECONDS)
    begins = selectors.first_position()
    if position < begins - 1:
        raise EventsForgotten(
            f"Events up to {begins - 1} are no longer kept, and you have seen those up to "
            f"{position}. Read what you follow afresh, then go on after {begins - 1}.",
            first_position=begins,
        )
    if seconds == 0:
        return _response(iter(look(position).messages))
    # The place is given back when the stream is closed, so it is taken where that is certain.
    if not _places.acquire(blocking=False):
        raise StreamsFull(
            f"Come again in a few seconds, or read GET {request.path}?seconds=0 at intervals.",
            retry_after_seconds=5,
        )
    return _response(_Stream(look, position, seconds))


def message(position: int, kind: str, data: dict[str, Any]) -> bytes:
    """One event; whoever comes again with its id goes on after ``position``."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (position, kind.encode(), encode_json(data))


def _response(messages: Iterator[bytes]) -> StreamingHttpResponse:
    response = StreamingHttpResponse(messages, content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


def _position(request: Request, query: dict[str, Any]) -> int:
    last = request.headers.get("Last-Event-ID", "")
    if last:
        if not (last.isascii() and last.isdigit() and len(last) <= 18):
            raise InvalidInput.of(
                "Last-Event-ID", "is not the id of an event", "Send the id of the last event seen."
            )
        return int(last)
    after: int | None = query.get("after")
    return selectors.last_position() if after is None else after


class _Stream:
    """An iterator of messages that gives its place back exactly once, however it ends."""

    def __init__(self, look: Look, position: int, seconds: int) -> None:
        self._messages = _messages(look, position, seconds)
        self._release = threading.Lock()

    def __iter__(self) -> _Stream:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._messages)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the stream; called by the web server, also where the client went away."""
        if self._release.acquire(blocking=False):
            self._messages.close()
            _places.release()


def _messages(look: Look, position: int, seconds: int) -> Generator[bytes, None, None]:
    ends = time.monotonic() + seconds
    heard = time.monotonic()
    yield b"retry: 1000\n\n"
    while True:
        seen = look(position)
        # Between two looks the connection serves others.
        connection.close()
        position = seen.position
        yield from seen.messages
        now = time.monotonic()
        if seen.messages:
            heard = now
        elif now - heard >= HEARTBEAT_SECONDS:
            # With its id, so that what was passed over is not looked through again.
            yield b"id: %d\n: still here\n\n" % position
            heard = now
        if now >= ends:
            return
        if not seen.more:
            time.sleep(min(LOOK_SECONDS, max(ends - now, 0)))
