"""What scheduling refuses.

NotFound
└── LeaseNotFound           no such lease, or it belongs to others
NotPermitted
└── NotYourMove             the other party's, or the platform's, to make
Conflict
├── TooEarly                the lease's time has not come
├── LeaseOver               the lease's time is over
├── LeaseResold             slots of it are resold, and still to be delivered
├── ReclaimRefused          what is to be taken back was sold firm, or its notice is too short
├── NamedTwice              one lease stands twice in one request
└── NoAccessDetails         the provider has not said yet how to get in
"""

from __future__ import annotations

from core.errors import Conflict, NotFound, NotPermitted


class LeaseNotFound(NotFound):
    slug = "lease-not-found"
    title = "No such lease"


class NotYourMove(NotPermitted):
    slug = "not-your-move"
    title = "The other party moves a lease so"


class TooEarly(Conflict):
    slug = "lease-too-early"
    title = "The lease's time has not come"


class LeaseOver(Conflict):
    slug = "lease-over"
    title = "The lease's time is over"


class LeaseResold(Conflict):
    slug = "lease-resold"
    title = "Slots of the lease are resold"


class ReclaimRefused(Conflict):
    slug = "reclaim-refused"
    title = "This cannot be reclaimed so"


class NamedTwice(Conflict):
    slug = "lease-named-twice"
    title = "The lease stands twice in one request"


class NoAccessDetails(NotFound):
    slug = "no-access-details"
    title = "The provider has not said yet how to get in"
