"""The rules that one request breaks, collected so that one answer names them all."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import FieldProblem


@dataclass(frozen=True, slots=True)
class Rules:
    """Collects every broken rule of one request, so that one answer names them all."""

    problems: list[FieldProblem]
    prefix: str = ""

    def require(self, holds: bool, field: str, rule: str, mend: str) -> bool:
        """Note the rule as broken unless it ``holds``; says which it was."""
        if not holds:
            self.note(field, rule, mend)
        return holds

    def note(self, field: str, rule: str, mend: str) -> None:
        """Note a rule as broken."""
        self.problems.append(FieldProblem(self.prefix + field, rule, mend))
