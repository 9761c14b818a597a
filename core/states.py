"""State machines as tables: ``{(state, event): new state}`` and one function that consults them."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import TransitionRefused


def next_state(table: Mapping[tuple[str, str], str], state: str, event: str, *, what: str) -> str:
    """The state that ``event`` leads to; ``TransitionRefused`` names what would be allowed."""
    try:
        return table[(state, event)]
    except KeyError:
        allowed = sorted(name for (source, name) in table if source == state)
        raise TransitionRefused(
            f"{what} in state '{state}' does not take '{event}'; "
            f"it takes {', '.join(allowed) or 'nothing any more'}",
            state=state,
            event=event,
            allowed=allowed,
        ) from None
