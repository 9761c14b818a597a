"""The states of a lease, as tables: where each event leads, and whose move it is."""

from __future__ import annotations

LEASE_WAITING = ("scheduled", "provisioning")
LEASE_RUNNING = ("scheduled", "provisioning", "active", "suspended")
LEASE_ENDED = ("completed", "failed", "terminated")

LEASE_TRANSITIONS: dict[tuple[str, str], str] = {
    ("scheduled", "provision"): "provisioning",
    ("scheduled", "activate"): "active",
    ("scheduled", "fail"): "failed",
    ("scheduled", "terminate"): "terminated",
    ("scheduled", "suspend"): "suspended",
    ("scheduled", "reclaim"): "terminated",
    ("provisioning", "reclaim"): "terminated",
    ("active", "reclaim"): "terminated",
    ("suspended", "reclaim"): "terminated",
    ("provisioning", "activate"): "active",
    ("provisioning", "fail"): "failed",
    ("provisioning", "terminate"): "terminated",
    ("provisioning", "suspend"): "suspended",
    ("active", "complete"): "completed",
    ("active", "fail"): "failed",
    ("active", "terminate"): "terminated",
    ("active", "suspend"): "suspended",
    ("suspended", "resume"): "active",  # it had begun before its centre went out
    ("suspended", "reinstate"): "scheduled",  # it had not
    ("suspended", "fail"): "failed",
    ("suspended", "terminate"): "terminated",
    ("suspended", "complete"): "completed",
}

MOVES_OF: dict[str, str] = {
    "provision": "provider",  # it prepares the capacity
    "activate": "provider",  # the buyer can use it from now on
    "complete": "provider",  # it ran to its end
    "fail": "provider",  # it cannot deliver (any more)
    "terminate": "buyer",  # the rest is not wanted
    "reclaim": "platform",  # the provider takes back, after its notice, what it sold reclaimable
    "suspend": "platform",  # the centre stopped answering
    "resume": "platform",
    "reinstate": "platform",
}
