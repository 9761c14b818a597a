"""The event stream: what happened to one's own, and what everybody may see, as it happens.

A stream holds a thread of the web server, so it is short (the client comes again, and goes on
where it was) and there are few at a time in one process. It never holds a database connection
between two looks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from api.errors import EventsForgotten, StreamsFull
from api.rendering import encode_json
from api.serializers import InputSerializer, ProblemSerializer
from api.views import ApiView
from core import selectors
from core.errors import InvalidInput
from core.selectors import NumberedEvent

LOOK_SECONDS = 0.5
# Also how soon a client that went away is noticed: the next message cannot be sent.
HEARTBEAT_SECONDS = 2.0
_BATCH = 200

_places = threading.BoundedSemaphore(settings.STREAMS_PER_PROCESS)


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


class StreamView(ApiView):
    """Server-sent events."""

    scope = "organisation:read"

    @extend_schema(
        operation_id="stream",
        summary="Follow events",
        parameters=[
            StreamQuery,
            OpenApiParameter(
                "Last-Event-ID",
                OpenApiTypes.STR,
                OpenApiParameter.HEADER,
                description="The `id` of the last event seen; browsers send it by themselves.",
            ),
        ],
        responses={
            (200, "text/event-stream"): OpenApiResponse(
                OpenApiTypes.STR, "`id` is the position, `event` the kind, `data` a JSON object."
            ),
            (410, "application/problem+json"): OpenApiResponse(
                ProblemSerializer, "Events after the position are no longer kept."
            ),
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Your organisation's events and public ones, in order, without a gap.

        Ends after some seconds; come again with `Last-Event-ID`. Without it, it begins now. Events
        are kept for some weeks: 410 says that some after the position are gone.
        """
        query = self.query(StreamQuery)
        position = _position(request, query)
        seconds = min(query.get("seconds", settings.STREAM_SECONDS), settings.STREAM_SECONDS)
        begins = selectors.first_position()
        if position < begins - 1:
            raise EventsForgotten(
                f"Events up to {begins - 1} are no longer kept, and you have seen those up to "
                f"{position}. Read what you follow afresh, then go on after {begins - 1}.",
                first_position=begins,
            )
        organisation_id = self.actor.organisation_id
        if seconds == 0:
            events = selectors.events_after(position, organisation_id=organisation_id, limit=_BATCH)
            return _response(map(_message, events))
        # The place is given back when the stream is closed, so it is taken where that is certain.
        if not _places.acquire(blocking=False):
            raise StreamsFull(
                "Come again in a few seconds, or read GET /api/v1/stream?seconds=0 at intervals.",
                retry_after_seconds=5,
            )
        return _response(_Stream(organisation_id, position, seconds))


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


def _message(event: NumberedEvent) -> bytes:
    data = encode_json(
        {
            "position": event.position,
            "kind": event.kind,
            "subject_id": event.subject_id,
            "occurred_at": event.occurred_at,
            "public": event.organisation_id is None,
            "payload": event.payload,
        }
    )
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.position, event.kind.encode(), data)


class _Stream:
    """An iterator of messages that gives its place back exactly once, however it ends."""

    def __init__(self, organisation_id: UUID | None, position: int, seconds: int) -> None:
        self._messages = _messages(organisation_id, position, seconds)
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


def _messages(
    organisation_id: UUID | None, position: int, seconds: int
) -> Generator[bytes, None, None]:
    ends = time.monotonic() + seconds
    heard = time.monotonic()
    yield b"retry: 1000\n\n"
    while True:
        events = selectors.events_after(position, organisation_id=organisation_id, limit=_BATCH)
        # Between two looks the connection serves others.
        connection.close()
        for event in events:
            yield _message(event)
        now = time.monotonic()
        if events:
            position, heard = events[-1].position, now
        elif now - heard >= HEARTBEAT_SECONDS:
            yield b": still here\n\n"
            heard = now
        if now >= ends:
            return
        if len(events) < _BATCH:
            time.sleep(min(LOOK_SECONDS, max(ends - now, 0)))
