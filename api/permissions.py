"""The first check of rights: a key, and the scope that the view names."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from accounts.actors import Actor
from accounts.errors import KeyMissing


class HasScope(BasePermission):
    """Refuses without a key (unless the view is ``public``) and without the view's scope."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """True, or the error that says what is missing."""
        if getattr(view, "public", False):
            return True
        actor: Actor | None = request.auth  # type: ignore[assignment]  # our own authentication
        if actor is None:
            raise KeyMissing("Send the header Authorization: Bearer <API key>.")
        scope = scope_of(view, request.method or "GET")
        if scope:
            actor.require_scope(scope)
        roles = getattr(view, "operator_roles", ())
        if roles:
            actor.require_operator(*roles)
        return True


def scope_of(view: Any, method: str) -> str:
    """The scope that ``method`` of the view needs; empty where any key may."""
    action = getattr(view, "action", None)
    by_action: dict[str, str] = getattr(view, "action_scopes", {})
    if action in by_action:
        return by_action[action]
    scope: str = getattr(view, "scope", "")
    if not scope or ":" in scope or scope == "operator":
        return scope
    return f"{scope}:{'read' if method in SAFE_METHODS else 'write'}"
