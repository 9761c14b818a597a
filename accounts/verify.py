"""What must hold over all data of accounts."""

from __future__ import annotations

from collections.abc import Iterator

from accounts import credit_code
from accounts.audit import AUDIT_CHAIN
from accounts.models import ApiKey, OperatorRole, Organisation
from core.sealing import verify_chain
from core.verify import Finding


def checks() -> Iterator[Finding]:
    """The audit chain from its first row to its last, credit codes, and operators' keys."""
    yield from verify_chain(AUDIT_CHAIN)
    codes = list(Organisation.objects.order_by("id").values_list("credit_code", flat=True))
    bad = [code for code in codes if not credit_code.is_valid(code)]
    yield Finding(
        "accounts.credit_codes",
        not bad,
        f"{len(codes)} codes, wrong: {', '.join(bad[:5]) or 'none'}",
    )
    yield _operator_keys()


def _operator_keys() -> Finding:
    """A live key carries no operator role that its holder does not have."""
    held: dict[object, set[str]] = {}
    for user_id, role in OperatorRole.objects.order_by("id").values_list("user_id", "role"):
        held.setdefault(user_id, set()).add(role)
    live = ApiKey.objects.filter(revoked_at=None, operator_roles__len__gt=0).order_by("id")
    found = list(live)
    bad = [k.prefix for k in found if not set(k.operator_roles) <= held.get(k.holder_id, set())]
    return Finding(
        "accounts.operator_keys",
        not bad,
        f"{len(found)} live operator keys, beyond their holder's roles: {', '.join(bad) or 'none'}",
    )
