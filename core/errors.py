"""The exchange's errors, one tree. Each has a slug, a status and says whether trying again helps.

ExchangeError
├── InvalidInput        422  a value breaks a rule of the domain; names the field and the mend
├── NotAuthenticated    401
├── NotPermitted        403  the caller lacks a scope or a role
├── NotFound            404  no such thing, or it belongs to another organisation
├── Conflict            409  the thing's state does not allow this now
│   └── TransitionRefused    a state machine has no such row
├── InsufficientFunds   402  the available balance does not cover the amount
└── Unavailable         503  try again later

Rooms derive their own from these in their ``errors.py``; ``api.problems`` renders any of them as an
RFC 9457 problem and ``docs/problems/`` has a page for each slug.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One bad value: where it stands (a dotted path), the rule it breaks and how to mend it."""

    field: str
    rule: str
    mend: str


class ExchangeError(Exception):
    """Anything the exchange refuses, in words that a caller can act on."""

    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "The exchange could not do this"
    status: ClassVar[int] = 500
    retry_helps: ClassVar[bool] = False

    def __init__(
        self, detail: str, *, fields: list[FieldProblem] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = fields or []
        self.extra = extra

    def as_problem(self) -> dict[str, Any]:
        """The members of the RFC 9457 problem, without ``instance``."""
        problem: dict[str, Any] = {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "retry_helps": self.retry_helps,
        }
        if self.fields:
            problem["errors"] = [asdict(bad) for bad in self.fields]
        return problem | self.extra


class InvalidInput(ExchangeError):
    slug = "invalid-input"
    title = "A value breaks a rule"
    status = 422

    @classmethod
    def of(cls, field_name: str, rule: str, mend: str, **extra: Any) -> InvalidInput:
        """The refusal of a single field."""
        return cls(
            f"{field_name}: {rule}",
            fields=[FieldProblem(field_name, rule, mend)],
            **extra,
        )


class NotAuthenticated(ExchangeError):
    slug = "not-authenticated"
    title = "Who is asking?"
    status = 401


class NotPermitted(ExchangeError):
    slug = "not-permitted"
    title = "This key or role may not do this"
    status = 403


class NotFound(ExchangeError):
    slug = "not-found"
    title = "No such thing"
    status = 404


class Conflict(ExchangeError):
    slug = "conflict"
    title = "The present state does not allow this"
    status = 409


class TransitionRefused(Conflict):
    slug = "transition-refused"
    title = "This state has no such transition"


class InsufficientFunds(ExchangeError):
    slug = "insufficient-funds"
    title = "The available balance does not cover this"
    status = 402


class Unavailable(ExchangeError):
    slug = "unavailable"
    title = "Try again later"
    status = 503
    retry_helps = True
