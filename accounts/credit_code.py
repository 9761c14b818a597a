"""Unified social credit codes of legal persons (GB 32100-2015). Pure.

18 characters: department and category of registration, six digits of the division, nine
characters of the organisation code (GB 11714, with a check character of its own), and a check
character over the first seventeen: weights 3^i modulo 31.
"""

from __future__ import annotations

import random

# 31 characters: I, O, S, V and Z are left out, as they are taken for digits or for one another.
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_VALUE = {character: value for value, character in enumerate(ALPHABET)}
_WEIGHTS = tuple(pow(3, place, 31) for place in range(17))
_ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


def check_character(body: str) -> str:
    """The eighteenth character for the first seventeen; ``ValueError`` for a foreign character."""
    if len(body) != 17:
        raise ValueError("the body of a credit code has 17 characters")
    try:
        total = sum(w * _VALUE[c] for w, c in zip(_WEIGHTS, body, strict=True))
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} does not occur in credit codes") from error
    return ALPHABET[-total % 31]


def problem_with(code: str) -> str | None:
    """The rule that ``code`` breaks, in words; None where it is valid."""
    if len(code) != 18:
        return "a unified social credit code has 18 characters"
    strange = sorted(set(code) - set(ALPHABET))
    if strange:
        named = ", ".join(map(repr, strange))
        return f"credit codes have 0-9 and A-Y without I, O, S, V; not {named}"
    if not code[2:8].isdigit():
        return "characters 3 to 8 are the digits of the registering division"
    if check_character(code[:17]) != code[17]:
        return f"the check character is wrong: {code[:17]} ends in {check_character(code[:17])}"
    return None


def is_valid(code: str) -> bool:
    """Whether ``code`` is well formed and its check character is right."""
    return problem_with(code) is None


def organisation_check(body: str) -> str:
    """The ninth character of an organisation code (GB 11714) for its first eight."""
    total = sum(
        weight * int(character, 36)
        for weight, character in zip(_ORGANISATION_WEIGHTS, body, strict=True)
    )
    check = 11 - total % 11
    return {10: "X", 11: "0"}.get(check, str(check))


def made_up(seed: int, *, division: str = "410100") -> str:
    """A valid code for tests and demonstrations, the same for the same ``seed`` and division.

    Its organisation code begins with ``MA``, as those of enterprises registered since 2015 do.
    """
    letters = random.Random(f"credit code {seed} {division}")  # noqa: S311 - not a secret
    subject = "MA" + "".join(letters.choice(ALPHABET) for _ in range(6))
    body = f"91{division}{subject}{organisation_check(subject)}"
    return body + check_character(body)
