"""Rate limits in Redis, a window of fixed length for each key or address.

The counter is a convenience of the front door, not a truth: where Redis is away, requests pass.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.actors import Actor

log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left of a limit in the present window."""

    limit: int
    used: int
    reset_seconds: int

    @property
    def exceeded(self) -> bool:
        """Whether this request is one too many."""
        return self.used > self.limit

    def headers(self) -> dict[str, str]:
        """The ``RateLimit-*`` headers."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(max(self.limit - self.used, 0)),
            "RateLimit-Reset": str(self.reset_seconds),
        }


class _Counters:
    """Counts in Redis; after a failure it does not ask again for a few seconds."""

    def __init__(self) -> None:
        self._client: redis.Redis | None = None
        self._url = ""
        self._away_until = 0.0

    def add_one(self, names: list[str], window_seconds: int) -> list[int] | None:
        """The counts including this one, in one round trip; None where Redis is away."""
        if time.monotonic() < self._away_until:
            return None
        if self._client is None or self._url != settings.REDIS_URL:
            self._url = settings.REDIS_URL
            self._client = redis.Redis.from_url(
                self._url, socket_timeout=0.3, socket_connect_timeout=0.3
            )
        try:
            pipe = self._client.pipeline(transaction=False)
            for name in names:
                pipe.incr(name)
                pipe.expire(name, window_seconds * 2)
            return [int(count) for count in pipe.execute()[::2]]
        except redis.RedisError as error:
            self._away_until = time.monotonic() + _PAUSE_SECONDS
            log.warning("rate limits are off: Redis is away", error=str(error))
            return None


_counters = _Counters()


def count(*, limits: dict[str, int], window_seconds: int) -> Allowance | None:
    """Count one request against each limit by its name; the tightest, None where nobody can say."""
    # The limit guards machines, so it follows the wall clock even where the exchange's runs fast.
    window, elapsed = divmod(int(time.time()), window_seconds)
    prefix = f"{settings.CACHES['default']['KEY_PREFIX']}:rate"
    counts = _counters.add_one([f"{prefix}:{name}:{window}" for name in limits], window_seconds)
    if counts is None:
        return None
    limit, used = min(
        zip(limits.values(), counts, strict=True), key=lambda limited: limited[0] - limited[1]
    )
    return Allowance(limit, used, window_seconds - elapsed)


def address_of(request: HttpRequest | Request) -> str:
    """The caller's address, as the outermost trusted proxy saw it."""
    trusted = settings.TRUSTED_PROXIES
    forwarded = [a.strip() for a in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if a]
    if trusted and forwarded:
        return str(forwarded[-min(trusted, len(forwarded))])
    return str(request.META.get("REMOTE_ADDR", "")) or "unknown"


class _Throttle(BaseThrottle):
    def __init__(self) -> None:
        self._allowance: Allowance | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        """Whether the request may pass; the allowance is kept for the answer's headers."""
        limited = self.limited(request)
        if limited is None:
            return True
        limits, window_seconds = limited
        self._allowance = count(limits=limits, window_seconds=window_seconds)
        if self._allowance is None:
            return True
        request.allowance = self._allowance  # type: ignore[attr-defined]
        return not self._allowance.exceeded

    def wait(self) -> float | None:
        """Seconds until the window ends."""
        return float(self._allowance.reset_seconds) if self._allowance else None

    def limited(self, request: Request) -> tuple[dict[str, int], int] | None:
        """The limits by the counters' names, and the window in seconds; None for no limit."""
        raise NotImplementedError


class KeyThrottle(_Throttle):
    """So many requests a minute for each key, and for all keys of its organisation; by address
    where there is no key."""

    def limited(self, request: Request) -> tuple[dict[str, int], int] | None:
        actor: Actor | None = request.auth  # type: ignore[assignment]  # our own authentication
        most = settings.RATE_LIMIT_PER_MINUTE
        if actor is None:
            return {f"address:{address_of(request)}": most}, 60
        of_all = settings.RATE_LIMIT_PER_MINUTE_OF_ORGANISATION
        return {f"key:{actor.id}": most, f"organisation:{actor.organisation_id}": of_all}, 60


class RegistrationThrottle(_Throttle):
    """So many registrations an hour from each address."""

    def limited(self, request: Request) -> tuple[dict[str, int], int] | None:
        if request.method != "POST":
            return None
        most = settings.RATE_LIMIT_REGISTRATIONS_PER_HOUR
        return {f"registration:{address_of(request)}": most}, 3600
