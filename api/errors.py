"""What the API itself refuses, before any room is asked.

ExchangeError
├── MalformedRequest     400  the bytes are not what they claim to be
│   ├── MalformedBody
│   ├── IdempotencyKeyMissing
│   ├── IdempotencyKeyInvalid
│   └── CursorInvalid
├── RouteNotFound        404
├── MethodNotAllowed     405
├── LengthRequired       411
├── BodyTooLarge         413
├── MediaTypeUnsupported 415
├── IdempotencyKeyReused 422
├── RateLimited          429
└── StreamsFull          503
"""

from __future__ import annotations

from core.errors import ExchangeError, Unavailable


class MalformedRequest(ExchangeError):
    slug = "malformed-request"
    title = "The request cannot be read"
    status = 400


class MalformedBody(MalformedRequest):
    slug = "malformed-body"
    title = "The body cannot be read"


class IdempotencyKeyMissing(MalformedRequest):
    slug = "idempotency-key-missing"
    title = "A write needs an Idempotency-Key"


class IdempotencyKeyInvalid(MalformedRequest):
    slug = "idempotency-key-invalid"
    title = "The Idempotency-Key is not usable"


class CursorInvalid(MalformedRequest):
    slug = "cursor-invalid"
    title = "The cursor is not one that this list gave"


class RouteNotFound(ExchangeError):
    slug = "route-not-found"
    title = "There is nothing at this address"
    status = 404


class MethodNotAllowed(ExchangeError):
    slug = "method-not-allowed"
    title = "This address does not take that method"
    status = 405


class LengthRequired(ExchangeError):
    slug = "length-required"
    title = "The body must say how long it is"
    status = 411


class BodyTooLarge(ExchangeError):
    slug = "body-too-large"
    title = "The body is too large"
    status = 413


class MediaTypeUnsupported(ExchangeError):
    slug = "media-type-unsupported"
    title = "The body is of a type that is not taken here"
    status = 415


class IdempotencyKeyReused(ExchangeError):
    slug = "idempotency-key-reused"
    title = "The Idempotency-Key was used for another request"
    status = 422


class RateLimited(ExchangeError):
    slug = "rate-limited"
    title = "Too many requests"
    status = 429
    retry_helps = True


class EventsForgotten(ExchangeError):
    slug = "events-forgotten"
    title = "The stream begins later"
    status = 410


class StreamsFull(Unavailable):
    slug = "streams-full"
    title = "All event streams are taken"
