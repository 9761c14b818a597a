"""Every operation of the API, read from the URL configuration so that none can be forgotten."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver

from api.pages import UnknownRoute
from api.views import ApiView

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Route:
    """An address, its view and the methods that it takes."""

    path: str
    view: type[ApiView]
    methods: frozenset[str]
    actions: tuple[tuple[str, str], ...] = ()

    def concrete(self, **values: str) -> str:
        """The address with its parameters filled: as given, or with an id that nobody has."""

        def fill(found: re.Match[str]) -> str:
            kind, _, name = found[1].rpartition(":")
            if name in values:
                return values[name]
            return {"int": "1", "slug": "none", "str": "none"}.get(
                kind or "str", str(uuid.UUID(int=7))
            )

        return re.sub(r"<([^>]+)>", fill, self.path)


def routes() -> list[Route]:
    """All addresses under ``/api/v1``."""
    return sorted(_walk("/", get_resolver().url_patterns), key=lambda route: route.path)


def _walk(prefix: str, patterns: list[URLPattern | URLResolver]) -> Iterator[Route]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(path, pattern.url_patterns)
            continue
        callback = pattern.callback
        view = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
        if view is None or not issubclass(view, ApiView) or view is UnknownRoute:
            continue
        actions = getattr(callback, "actions", None) or {m: m for m in METHODS if hasattr(view, m)}
        methods = frozenset(m.upper() for m in actions if m in METHODS)
        yield Route(path, view, methods, tuple(sorted(actions.items())))
