"""What a service refuses, told to a person: a message on the page that they came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest

from console import words
from core.errors import ExchangeError


def told(error: ExchangeError) -> str:
    """An error in a sentence of the reader's language, then the service's own detail."""
    known = words.ERRORS.get(error.slug)
    fields = "; ".join(f"{bad.field}: {bad.rule} ({bad.mend})" for bad in error.fields)
    return " ".join(part for part in (str(known or ""), fields or error.detail) if part)


def attempt(request: HttpRequest, verb: Callable[[], Any], done: str) -> bool:
    """Call a service; ``done`` is said where it went well, its refusal where not."""
    try:
        verb()
    except ExchangeError as error:
        messages.error(request, told(error))
        return False
    messages.success(request, done)
    return True
