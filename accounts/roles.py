"""What each role may do, as tables. Pure."""

from __future__ import annotations

ORGANISATION_KINDS = frozenset(
    {
        "provider",  # registers centres, offers capacity and delivers
        "buyer",  # orders and uses capacity
        "carrier",  # moves data between regions
        "operator",  # runs the platform
    }
)

SCOPES = frozenset(
    {
        f"{room}:{verb}"
        for room in ("capacity", "offers", "orders", "leases", "usage", "organisation")
        for verb in ("read", "write")
    }
    | {
        "billing:read",
        "operator",  # the operator's endpoints; each still asks for an operator role
    }
)

OPERATOR_ROLES = frozenset(
    {
        "market",  # verifies organisations, halts books, keeps reference data
        "settlement_clerk",  # draws up and submits a settlement batch
        "settlement_approver",  # approves what another submitted
        "auditor",  # reads everything, changes nothing
    }
)

_READ = frozenset(scope for scope in SCOPES if scope.endswith(":read"))

# The scopes of each role of a member.
MEMBER_ROLES: dict[str, frozenset[str]] = {
    "owner": SCOPES,
    "engineer": _READ | {"capacity:write", "offers:write", "leases:write", "usage:write"},
    "trader": _READ | {"offers:write", "orders:write", "leases:write"},
    "finance": _READ,
    "viewer": _READ - {"billing:read"},
}
