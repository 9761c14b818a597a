"""What every room shares: append-only tables, seals over them, the outbox and stored answers."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Func, Q

__all__ = [
    "AppendOnly",
    "IdempotencyRecord",
    "OutboxEvent",
    "OutboxPosition",
    "OutboxRelay",
    "Seal",
    "TextArrayField",
    "XidField",
]


class CurrentXid(Func):
    """The 64-bit id of the transaction that writes the row."""

    function = "pg_current_xact_id"
    template = "%(function)s()"
    arity = 0


class OldestRunningXid(Func):
    """The id of the oldest transaction that still runs: below it nothing is written any more."""

    function = "pg_snapshot_xmin"
    template = "%(function)s(pg_current_snapshot())"
    arity = 0


class XidField(models.Field):
    """A transaction id (``xid8``); filled by the database with that of the writing transaction."""

    description = "Transaction id"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def db_type(self, connection: Any) -> str:
        return "xid8"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> int | None:
        return None if value is None else int(value)

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return str(value) if isinstance(value, int) else value

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
        return "%s" if hasattr(value, "as_sql") else "%s::text::xid8"


class TextArrayField(ArrayField):
    """A ``text[]``."""

    def __init__(self, base_field: Any = None, **kwargs: Any) -> None:
        super().__init__(base_field or models.TextField(), **kwargs)


class AppendOnly(models.Model):
    """Marks a table whose rows are never changed or removed.

    The application's role gets SELECT and INSERT only, and a trigger (``core.sql``) refuses the
    rest even to the owner.
    """

    append_only = True

    class Meta:
        abstract = True


class Seal(AppendOnly):
    """A link of a hash chain over an append-only table: the rows of one range of transactions."""

    number = models.BigIntegerField(primary_key=True)
    # Half-open: rows with xid_from <= xid < xid_to.
    xid_from = XidField()
    xid_to = XidField()
    row_count = models.BigIntegerField()
    rows_digest = models.BinaryField()
    previous_hash = models.BinaryField()
    hash = models.BinaryField()
    sealed_at = models.DateTimeField()

    class Meta:
        abstract = True


class OutboxEvent(AppendOnly):
    """Something that happened and that somebody outside of its transaction may want to know.

    ``organisation_id`` is whom it concerns; null means that everybody may see it.
    The oldest may go after a while, by ``core_prune_outbox`` alone; nothing else does.
    """

    id = models.BigAutoField(primary_key=True)
    kind = models.TextField()
    organisation_id = models.UUIDField(null=True)
    subject_id = models.UUIDField()
    payload = models.JSONField(default=dict, encoder=DjangoJSONEncoder)
    occurred_at = models.DateTimeField()
    xid = XidField(db_default=CurrentXid())

    class Meta:
        indexes = [models.Index("xid", "id", name="outbox_event_by_xid")]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__regex=r"^[a-z_]+(\.[a-z_]+)+$"), name="outbox_kind_is_dotted"
            )
        ]


class OutboxPosition(AppendOnly):
    """The place of a committed event in the stream: 1, 2, 3 … without a gap, in commit's order."""

    position = models.BigIntegerField(primary_key=True)
    event = models.OneToOneField(OutboxEvent, on_delete=models.PROTECT, related_name="numbered")
    # Repeated from the event, so that one organisation's stream is a range of one index.
    organisation_id = models.UUIDField(null=True)

    class Meta:
        indexes = [
            models.Index("organisation_id", "position", name="outbox_stream_of_organisation"),
        ]


class OutboxRelay(models.Model):
    """How far numbering has come, and pruning behind it; one row."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    last_position = models.BigIntegerField(default=0)
    # Where the outbox begins: events of lower positions were pruned.
    first_position = models.BigIntegerField(default=1, db_default=1)
    # Every event written by a transaction below this one is numbered.
    next_xid = XidField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="outbox_has_one_relay")]


class IdempotencyRecord(models.Model):
    """The stored answer to a write, so that a repeat of the request gets it again."""

    id = models.BigAutoField(primary_key=True)
    principal = models.TextField()
    key = models.TextField()
    request_hash = models.BinaryField()
    # Null only inside the transaction that is working on the first answer.
    status = models.SmallIntegerField(null=True)
    content_type = models.TextField(default="application/json")
    body = models.BinaryField(null=True)
    # A body that shows a secret once is kept encrypted.
    body_encrypted = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["principal", "key"], name="idempotency_key_once_per_principal"
            )
        ]
