"""The base of every view: ``ApiView`` reads, ``WriteView`` writes once in one transaction."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn, TypeVar, cast

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from accounts.actors import Actor
from api import idempotency, paging
from api.errors import LengthRequired, MalformedRequest, RateLimited
from api.throttling import Allowance, address_of
from core import clock

S = TypeVar("S", bound=BaseSerializer)


class ApiView(APIView):
    """A view of the API.

    ``scope`` names what a key must carry: ``"orders"`` asks for ``orders:read`` on reads and
    ``orders:write`` on writes; a text with a colon is taken as it stands. ``action_scopes`` says it
    for single actions of a view set. ``operator_roles`` asks for one of these roles. A ``public``
    view takes requests without a key.
    """

    public: ClassVar[bool] = False
    scope: ClassVar[str] = ""
    action_scopes: ClassVar[dict[str, str]] = {}
    operator_roles: ClassVar[tuple[str, ...]] = ()

    @property
    def actor(self) -> Actor:
        """Who asks."""
        return cast(Actor, self.request.auth)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Check, answer and render; every exception becomes a problem."""
        self.args, self.kwargs = args, kwargs
        # Problems are for programs: one language, whatever the browser prefers.
        with translation.override("en"):
            self.request = asked = self.initialize_request(request, *args, **kwargs)
            self.headers = self.default_response_headers
            try:
                _refuse_unreadable(request)
                self.initial(asked, *args, **kwargs)
                self.response = self.answer(asked, *args, **kwargs)
            except Exception as error:
                self.response = self.finished(self.handle_exception(error))
        return self.response

    def answer(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """The answer of the method's handler, rendered."""
        return self.finished(self._handler(request)(request, *args, **kwargs))

    def finished(self, response: Any) -> Any:
        """The response with its headers, rendered."""
        response = self.finalize_response(self.request, response, *self.args, **self.kwargs)
        allowance: Allowance | None = getattr(self.request, "allowance", None)
        if allowance is not None:
            for name, value in allowance.headers().items():
                response[name] = value
        if isinstance(response, Response):
            response.render()
        return response

    def _handler(self, request: Request) -> Any:
        method = (request.method or "").lower()
        if method in self.http_method_names:
            return getattr(self, method, self.http_method_not_allowed)
        return self.http_method_not_allowed

    def throttled(self, request: Request, wait: float | None) -> NoReturn:
        """The refusal of one request too many."""
        seconds = int(wait or 1)
        raise RateLimited(
            f"The limit is used up; the next window begins in {seconds} s.",
            retry_after_seconds=seconds,
        )

    def checked(self, serializer: type[S]) -> S:
        """The body, to be made a request of; ``InvalidInput`` names every bad field."""
        checked = serializer(data=self.request.data, context={"request": self.request})
        checked.is_valid(raise_exception=True)
        return checked

    def body(self, serializer: type[BaseSerializer]) -> dict[str, Any]:
        """The values of the checked body."""
        return cast(dict[str, Any], self.checked(serializer).validated_data)

    def query(self, serializer: type[BaseSerializer]) -> dict[str, Any]:
        """The checked query; ``limit`` and ``cursor`` are left to paging."""
        data = {k: v for k, v in self.request.query_params.items() if k not in ("limit", "cursor")}
        checked = serializer(data=data, context={"request": self.request})
        checked.is_valid(raise_exception=True)
        return cast(dict[str, Any], checked.validated_data)

    def page(
        self,
        queryset: QuerySet[Any],
        serializer: type[BaseSerializer],
        *,
        order: str = "-id",
    ) -> Response:
        """One page of the list, as ``{"results": […], "next": cursor or null}``."""
        found = paging.page(self.request, queryset, order=order)
        context = {"request": self.request, "actor": self.request.auth}
        rows = serializer(found.rows, many=True, context=context).data
        return Response({"results": rows, "next": found.next})


class WriteView(ApiView):
    """A view that writes: one outer transaction, and each ``Idempotency-Key`` is worked on once.

    A refusal rolls back and stores nothing. ``reads_by_post`` marks a POST that changes nothing
    (a preview, a search), ``read_actions`` the same for actions of a view set: no key is needed.
    ``shows_secret`` keeps the stored answer encrypted.
    """

    reads_by_post: ClassVar[bool] = False
    read_actions: ClassVar[frozenset[str]] = frozenset()
    shows_secret: ClassVar[bool] = False

    @classmethod
    def writes(cls, method: str, action: str | None = None) -> bool:
        """Whether ``method`` (or the view set's ``action``) changes anything."""
        if method.upper() in SAFE_METHODS or action in cls.read_actions:
            return False
        return not cls.reads_by_post

    def answer(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        """The handler's answer, or the one stored under the request's key."""
        handler = self._handler(request)
        if handler == self.http_method_not_allowed or not self.writes(
            request.method or "", getattr(self, "action", None)
        ):
            return self.finished(handler(request, *args, **kwargs))
        key = idempotency.key_of(request)
        request_hash = idempotency.hash_of(request._request)
        with transaction.atomic():
            claimed = idempotency.claim(
                principal=self._principal(request),
                key=key,
                request_hash=request_hash,
                now=clock.now(),
            )
            if isinstance(claimed, HttpResponse):
                return self.finished(claimed)
            response = self.finished(handler(request, *args, **kwargs))
            if response.status_code >= 400:
                transaction.set_rollback(True)
            else:
                idempotency.store(claimed, cast(HttpResponse, response), secret=self.shows_secret)
        return response

    def _principal(self, request: Request) -> str:
        actor: Actor | None = request.auth  # type: ignore[assignment]  # our own authentication
        return f"key:{actor.id}" if actor is not None else f"public:{address_of(request)}"


def _refuse_unreadable(request: HttpRequest) -> None:
    """What would be misread further in: a body of unknown length, a NUL in the address."""
    if request.META.get("HTTP_TRANSFER_ENCODING") and not request.META.get("CONTENT_LENGTH"):
        # The gateway interface knows no such bodies: it would be taken for an empty one.
        raise LengthRequired("Send the body with Content-Length, not in chunks.")
    # PostgreSQL has no NUL in texts, so no field can mean one.
    if "%00" in request.META.get("QUERY_STRING", "") or "\x00" in request.path:
        raise MalformedRequest("The address has the character NUL in it.")
