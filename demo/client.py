"""The exchange as seen from outside: HTTP, JSON, a key for each party."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self

import httpx
import msgspec

API: Final = "/api/v1"
_TRIES: Final = 6
_TIMEOUT: Final = httpx.Timeout(30.0).as_dict()
_AGAIN: Final = frozenset({429, 502, 503, 504})


class Refused(Exception):
    """The API refused a request; `problem` is its problem document."""

    def __init__(self, call: str, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        fields = "; ".join(
            f"{error.get('field')}: {error.get('rule')}"
            for error in list(problem.get("errors", ()))[:5]
        )
        super().__init__(
            f"{call} answered {status}: {problem.get('title')}. {problem.get('detail')} {fields}"
        )

    @property
    def slug(self) -> str:
        """The last part of the problem's type."""
        return str(self.problem.get("type", "")).rstrip("/").rpartition("/")[2]


@dataclass
class Timings:
    """How often each kind of request was made, and how long the answers took in all."""

    count: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, seconds: float) -> None:
        """Count one answer."""
        with self._lock:
            self.count += 1
            self.seconds += seconds
            self.slowest_s = max(self.slowest_s, seconds)


@dataclass
class Api:
    """An HTTP client for any number of keys. Use as an asynchronous context manager.

    Requests go straight to a synchronous transport in threads: an asynchronous client costs four
    times as much, redirects and cookies half as much again, and client and servers share the
    machine.
    """

    base_url: str
    connections: int = 12
    timings: dict[str, Timings] = field(default_factory=lambda: defaultdict(Timings))

    async def __aenter__(self) -> Self:
        self._threads = ThreadPoolExecutor(self.connections, "client")
        self._transport = httpx.HTTPTransport(
            limits=httpx.Limits(
                max_connections=self.connections, max_keepalive_connections=self.connections
            )
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._threads.shutdown()
        self._transport.close()

    async def get(self, path: str, *, key: str | None, **query: Any) -> Any:
        """The answer's JSON; `Refused` where it is a problem."""
        response = await self._ask("GET", path, key, None, query)
        return msgspec.json.decode(response.content)

    async def text(self, path: str, *, key: str, **query: Any) -> str:
        """The answer's body as text; `Refused` where it is a problem."""
        return (await self._ask("GET", path, key, None, query)).text

    async def post(self, path: str, body: Any = None, *, key: str | None) -> Any:
        """The answer's JSON, or None where it has no body."""
        return _decoded(await self._ask("POST", path, key, body, {}))

    async def put(self, path: str, body: Any, *, key: str) -> Any:
        """The answer's JSON, or None where it has no body."""
        return _decoded(await self._ask("PUT", path, key, body, {}))

    async def patch(self, path: str, body: Any, *, key: str) -> Any:
        """The answer's JSON, or None where it has no body."""
        return _decoded(await self._ask("PATCH", path, key, body, {}))

    async def pages(self, path: str, *, key: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """All rows of a list, a page at a time."""
        cursor: str | None = None
        while True:
            page = await self.get(
                path, key=key, limit=200, **query, **({"cursor": cursor} if cursor else {})
            )
            for row in page["results"]:
                yield row
            cursor = page["next"]
            if not cursor:
                return

    async def _ask(
        self, method: str, path: str, key: str | None, body: Any, query: Mapping[str, Any]
    ) -> httpx.Response:
        """Ask, and again while the answer says that it helps; a write keeps its own key."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if method != "GET":
            headers["Idempotency-Key"] = str(uuid.uuid4())
            headers["Content-Type"] = "application/json"
        content = None if method == "GET" else msgspec.json.encode({} if body is None else body)
        call = f"{method} {_shape(path)}"
        loop = asyncio.get_running_loop()
        for attempt in range(1, _TRIES + 1):
            send = partial(
                self._send,
                call,
                method,
                path,
                headers=headers,
                content=content,
                params=query or None,
            )
            try:
                response = await loop.run_in_executor(self._threads, send)
            except httpx.TransportError:
                if attempt == _TRIES:
                    raise
            else:
                if response.status_code not in _AGAIN or attempt == _TRIES:
                    return _checked(call, response)
            await asyncio.sleep(0.2 * attempt)
        raise AssertionError("unreachable")

    def _send(self, call: str, method: str, path: str, **parts: Any) -> httpx.Response:
        """One request in this thread; its time is counted once a thread was free for it."""
        started = time.perf_counter()
        request = httpx.Request(
            method, self.base_url + API + path, extensions={"timeout": _TIMEOUT}, **parts
        )
        response = self._transport.handle_request(request)
        response.request = request
        try:
            response.read()
        finally:
            response.close()
        self.timings[call].add(time.perf_counter() - started)
        return response


def _checked(call: str, response: httpx.Response) -> httpx.Response:
    if response.status_code < 400:
        return response
    try:
        problem = msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.DecodeError:
        problem = {"title": "no problem document", "detail": response.text[:300]}
    raise Refused(call, response.status_code, problem)


def _decoded(response: httpx.Response) -> Any:
    return msgspec.json.decode(response.content) if response.content else None


def _shape(path: str) -> str:
    """The path with ids replaced, as a name for its timings."""
    return "/".join(
        "{id}" if len(part) == 36 or part.isdigit() else part for part in path.split("/")
    )
