"""Each write once: the answer is stored under the caller's ``Idempotency-Key``.

The row is inserted first, inside the write's own transaction. A second request with the same key
waits on the unique index until the first has ended; then it gets the first's answer, or, where the
first was refused and rolled back, does the work itself. Refusals store nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.http import HttpRequest, HttpResponse

from api.errors import IdempotencyKeyInvalid, IdempotencyKeyMissing, IdempotencyKeyReused
from core import crypto
from core.models import IdempotencyRecord

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that this transaction has taken; the answer is stored under ``record_id``."""

    record_id: int


def key_of(request: HttpRequest) -> str:
    """The request's key. ``IdempotencyKeyMissing`` or ``IdempotencyKeyInvalid``."""
    key = request.headers.get(HEADER, "")
    if not key:
        raise IdempotencyKeyMissing(
            f"Send the header {HEADER} with a value of your own for each write, such as a UUID, "
            "and the same one again when you repeat the request."
        )
    if len(key) > MAX_LENGTH or not (key.isascii() and key.isprintable()):
        raise IdempotencyKeyInvalid(f"{HEADER} takes 1 to {MAX_LENGTH} printable ASCII characters.")
    return key


def hash_of(request: HttpRequest) -> bytes:
    """What makes a request the same request: method, address, query and body."""
    digest = hashlib.sha256()
    digest.update(f"{request.method} {request.get_full_path()}\n".encode())
    digest.update(request.body)
    return digest.digest()


def claim(*, principal: str, key: str, request_hash: bytes, now: datetime) -> Claim | HttpResponse:
    """Take the key, or give the stored answer. ``IdempotencyKeyReused`` for another request.

    Waits while another transaction is working under the same key.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_idempotencyrecord"
            " (principal, key, request_hash, content_type, body_encrypted, created_at)"
            " VALUES (%s, %s, %s, '', false, %s)"
            " ON CONFLICT ON CONSTRAINT idempotency_key_once_per_principal DO NOTHING"
            " RETURNING id",
            [principal, key, request_hash, now],
        )
        taken = cursor.fetchone()
    if taken is not None:
        return Claim(taken[0])
    stored = IdempotencyRecord.objects.get(principal=principal, key=key)
    if bytes(stored.request_hash) != request_hash:
        raise IdempotencyKeyReused(
            "This key belongs to a request with another method, address or body. "
            "Send a new key for a new request."
        )
    return _answer(stored)


def _answer(stored: IdempotencyRecord) -> HttpResponse:
    body = bytes(stored.body or b"")
    if stored.body_encrypted:
        body = crypto.decrypt(body.decode()).encode()
    response = HttpResponse(body, status=stored.status or 200, content_type=stored.content_type)
    response[REPLAYED] = "true"
    return response


def store(claim: Claim, response: HttpResponse, *, secret: bool) -> None:
    """Keep the answer for repeats; encrypted where it shows a ``secret`` once."""
    body = response.content
    if secret:
        body = crypto.encrypt(body.decode()).encode()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE core_idempotencyrecord SET status = %s, content_type = %s, body = %s,"
            " body_encrypted = %s WHERE id = %s",
            [
                response.status_code,
                response.get("Content-Type", "application/json"),
                body,
                secret,
                claim.record_id,
            ],
        )
