"""A caller of the API in tests: a key, a new Idempotency-Key for each write, JSON both ways."""

from __future__ import annotations

import itertools
import json
import uuid
from dataclasses import dataclass
from typing import Any

from django.test import Client

from accounts import actors, bootstrap, services
from accounts.credit_code import made_up
from accounts.models import Organisation
from core import clock

_numbers = itertools.count(uuid.uuid4().int % 10**9)


@dataclass
class Answer:
    """Status, headers and the parsed body."""

    status: int
    headers: Any
    json: Any
    content: bytes


class Caller:
    """Sends requests with one key."""

    def __init__(self, key: str | None = None) -> None:
        self.key = key
        # Problems are asserted, so an unhandled exception must become a 500, not a traceback.
        self._client = Client(raise_request_exception=False)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        idempotency_key: str | None = "new",
        content_type: str = "application/json",
        **headers: str,
    ) -> Answer:
        """One request; ``path`` is under ``/api/v1`` unless it begins there."""
        if not path.startswith(("/api/", "/problems/")):
            path = f"/api/v1{path}"
        if self.key:
            headers.setdefault("Authorization", f"Bearer {self.key}")
        if idempotency_key is not None and method not in ("GET", "HEAD"):
            key = str(uuid.uuid4()) if idempotency_key == "new" else idempotency_key
            headers["Idempotency-Key"] = key
        data = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        response = self._client.generic(
            method, path, data, content_type=content_type, headers=headers
        )
        content = b"".join(response.streaming_content) if response.streaming else response.content
        is_json = "json" in response.headers.get("Content-Type", "")
        parsed = json.loads(content) if is_json and content else None
        return Answer(response.status_code, response.headers, parsed, content)

    def get(self, path: str, **options: Any) -> Answer:
        """A read."""
        return self.send("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        """A write."""
        return self.send("POST", path, body, **options)


@dataclass
class Party:
    """An organisation with its first key."""

    organisation: Organisation
    caller: Caller
    key: str


def register(
    *kinds: str, verified: bool = True, region_code: str = "zhengzhou", name: str = "A firm"
) -> Party:
    """An organisation registered through the services, verified unless said otherwise."""
    number = next(_numbers)
    registered = services.register_organisation(
        name=name,
        code=made_up(number),
        kinds=kinds or ["buyer"],
        region_code=region_code,
        owner_email=f"owner-{number}@example.cn",
        owner_name="Owner",
        now=clock.now(),
    )
    organisation = registered.organisation
    if verified:
        owner = actors.for_user(registered.owner)
        services.submit(actor=owner, now=clock.now())
        organisation = services.verify(
            actor=actors.SYSTEM, organisation_id=organisation.id, now=clock.now()
        )
    key = str(registered.key_text)
    return Party(organisation, Caller(key), key)


def operator_staff() -> dict[str, Caller]:
    """Callers with the keys of the operator's staff: market, clerk, approver, auditor."""
    issued = bootstrap.bootstrap_operator(
        name="The operator",
        code=made_up(0),
        region_code="zhengzhou",
        domain="operator.example",
        now=clock.now(),
    )
    return {i.post: Caller(i.key) for i in issued if i.key}
