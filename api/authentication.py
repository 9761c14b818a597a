"""Who asks: ``Authorization: Bearer cx_<prefix>_<secret>``; ``request.auth`` is the ``Actor``."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import selectors
from accounts.actors import Actor
from core import clock


class KeyUser:
    """Stands where the framework wants a user; the exchange asks the actor."""

    is_authenticated = True
    is_active = True
    pk = None

    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    def __str__(self) -> str:
        return self.actor.label


class KeyAuthentication(BaseAuthentication):
    """API keys, with one query."""

    def authenticate(self, request: Request) -> tuple[Any, Actor] | None:
        """The actor of the key; None where no key was sent."""
        header = request.headers.get("Authorization", "")
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            return None
        actor = selectors.actor_of_key(text.strip(), now=clock.now())
        return KeyUser(actor), actor

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return 'Bearer realm="compute exchange"'


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema tells of keys."""

    target_class = "api.authentication.KeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """The security scheme's object."""
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, `cx_<prefix>_<secret>`. It is shown once, when issued.",
        }
