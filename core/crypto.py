"""Encryption of single fields, the key's id beside each ciphertext: ``k2:gAAAA…``.

Keys come from ``settings.FIELD_ENCRYPTION_KEYS`` (``<id>:<Fernet key>,…``, the newest first).
Rotation: put a new key in front; old ciphertexts stay readable by their id, ``rotated`` writes
them anew, and a key whose id is nowhere left may go.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


class Undecipherable(Exception):
    """The ciphertext's key is not at hand, or the ciphertext was changed."""


@lru_cache(maxsize=4)
def _keys(configured: str) -> dict[str, Fernet]:
    keys: dict[str, Fernet] = {}
    for pair in configured.split(","):
        key_id, _, key = pair.strip().partition(":")
        if not key_id or not key or key_id in keys:
            raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS must be <id>:<key>,… with ids once")
        try:
            keys[key_id] = Fernet(key)
        except ValueError as error:
            raise ImproperlyConfigured(f"field encryption key {key_id}: {error}") from error
    return keys


def newest_key_id() -> str:
    """The id of the key that ``encrypt`` uses."""
    return next(iter(_keys(settings.FIELD_ENCRYPTION_KEYS)))


def key_id_of(ciphertext: str) -> str:
    """The id of the key that wrote ``ciphertext``."""
    return ciphertext.partition(":")[0]


def encrypt(text: str) -> str:
    """``text`` under the newest key, as ``<key id>:<token>``."""
    key_id, fernet = next(iter(_keys(settings.FIELD_ENCRYPTION_KEYS).items()))
    return f"{key_id}:{fernet.encrypt(text.encode()).decode('ascii')}"


def decrypt(ciphertext: str) -> str:
    """The text; ``Undecipherable`` where its key is missing or a byte was changed."""
    key_id, _, token = ciphertext.partition(":")
    fernet = _keys(settings.FIELD_ENCRYPTION_KEYS).get(key_id)
    if fernet is None:
        raise Undecipherable(f"no field encryption key with id {key_id!r}")
    try:
        return fernet.decrypt(token.encode("ascii", "replace")).decode()
    except InvalidToken as error:
        raise Undecipherable(f"the ciphertext under key {key_id!r} was changed") from error


def rotated(ciphertext: str) -> str:
    """The same text under the newest key; unchanged where it already is."""
    if key_id_of(ciphertext) == newest_key_id():
        return ciphertext
    return encrypt(decrypt(ciphertext))
