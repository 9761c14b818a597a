"""The event stream: what happened to one's own, and what everybody may see, as it happens."""

from __future__ import annotations

from uuid import UUID

from django.http import StreamingHttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from api import streaming
from api.streaming import Seen, StreamQuery
from api.views import ApiView
from core import selectors
from core.selectors import NumberedEvent

_BATCH = 200


class StreamView(ApiView):
    """Server-sent events."""

    scope = "organisation:read"

    @extend_schema(
        operation_id="stream",
        summary="Follow events",
        parameters=[StreamQuery, streaming.LAST_EVENT_ID],
        responses=streaming.RESPONSES,
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Your organisation's events and public ones, in order, without a gap.

        Ends after some seconds; come again with `Last-Event-ID`. Without it, it begins now. Events
        are kept for some weeks: 410 says that some after the position are gone.
        """
        organisation_id = self.actor.organisation_id
        query = self.query(StreamQuery)
        return streaming.answer(request, query, lambda position: _look(organisation_id, position))


def _look(organisation_id: UUID | None, position: int) -> Seen:
    events = selectors.events_after(position, organisation_id=organisation_id, limit=_BATCH)
    last = events[-1].position if events else position
    return Seen([_message(event) for event in events], last, more=len(events) == _BATCH)


def _message(event: NumberedEvent) -> bytes:
    data = {
        "position": event.position,
        "kind": event.kind,
        "subject_id": event.subject_id,
        "occurred_at": event.occurred_at,
        "public": event.organisation_id is None,
        "payload": event.payload,
    }
    return streaming.message(event.position, event.kind, data)
