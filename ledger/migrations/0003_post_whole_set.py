"""The functions that post plain transfers at once, or nothing of them: a pair, or a whole set."""

from django.db import migrations

from ledger.sql import POST_PAIR, POST_WHOLE_SET


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_guards")]

    operations = [migrations.RunSQL(*POST_PAIR), migrations.RunSQL(*POST_WHOLE_SET)]
