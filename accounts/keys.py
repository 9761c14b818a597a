"""The text of an API key: ``cx_<prefix>_<secret>``. Pure."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

_PREFIX_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
PREFIX_LENGTH = 8
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyText:
    """The two halves of a key: a public prefix that finds it, a secret that proves it."""

    prefix: str
    secret: str

    def __str__(self) -> str:
        return f"cx_{self.prefix}_{self.secret}"

    def __repr__(self) -> str:
        return f"KeyText(cx_{self.prefix}_…)"

    @property
    def secret_sha256(self) -> bytes:
        """What is stored; of 256 random bits a fast hash is as good as a slow one."""
        return hashlib.sha256(self.secret.encode()).digest()

    def proves(self, stored_sha256: bytes) -> bool:
        """Whether the secret is the stored one, in constant time."""
        return hmac.compare_digest(self.secret_sha256, stored_sha256)


def generate() -> KeyText:
    """A new key."""
    prefix = "".join(secrets.choice(_PREFIX_ALPHABET) for _ in range(PREFIX_LENGTH))
    return KeyText(prefix, secrets.token_urlsafe(SECRET_BYTES))


def parse(text: str) -> KeyText | None:
    """The key in ``text``; None where it has not the form of one."""
    head, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    if head != "cx" or len(prefix) != PREFIX_LENGTH or not 20 <= len(secret) <= 100:
        return None
    if not (prefix.isascii() and prefix.isalnum() and secret.isascii()):
        return None
    return KeyText(prefix, secret)
