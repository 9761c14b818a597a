"""What settlement refuses.

NotFound
├── BatchNotFound
└── OrganisationUnknown       (of a top-up)
NotPermitted
└── FourEyes                  the approver submitted it, or nobody stands behind the key
Conflict
├── PeriodNotClosing          only a period that was cut off is settled
├── EarlierPeriodUnsettled    periods are settled in their order
├── BatchUnderWay             the period has a batch that is beyond its draft
├── BooksDoNotBalance         trial balance or mirrors are not zero: blocks the close
├── ContentDiffers            the hash is not that of the content
├── NotApprovedYet            no payment file before approval
└── TopUpKnown                the bank reference is booked already
"""

from __future__ import annotations

from core.errors import Conflict, NotFound, NotPermitted


class BatchNotFound(NotFound):
    slug = "settlement-batch-not-found"
    title = "No such settlement batch"


class OrganisationUnknown(NotFound):
    slug = "organisation-unknown"
    title = "No such buyer"


class FourEyes(NotPermitted):
    slug = "four-eyes"
    title = "Another person must do this"


class PeriodNotClosing(Conflict):
    slug = "period-not-closing"
    title = "The period is not being closed"


class EarlierPeriodUnsettled(Conflict):
    slug = "earlier-period-unsettled"
    title = "An earlier period is not settled yet"


class BatchUnderWay(Conflict):
    slug = "batch-under-way"
    title = "The period's batch is beyond its draft"


class BooksDoNotBalance(Conflict):
    slug = "books-do-not-balance"
    title = "The books do not balance"


class ContentDiffers(Conflict):
    slug = "content-differs"
    title = "The content is not what the hash says"


class NotApprovedYet(Conflict):
    slug = "batch-not-approved"
    title = "The batch is not approved"


class TopUpKnown(Conflict):
    slug = "top-up-known"
    title = "This bank reference is booked already"
