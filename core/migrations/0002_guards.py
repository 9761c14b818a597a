from django.db import migrations

from core.sql import REFUSE_CHANGE_FUNCTION, refuse_change_sql


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]

    operations = [
        migrations.RunSQL(*REFUSE_CHANGE_FUNCTION),
        migrations.RunSQL(*refuse_change_sql("core_outboxevent")),
        migrations.RunSQL(*refuse_change_sql("core_outboxposition")),
        migrations.RunSQL(
            "INSERT INTO core_outboxrelay (id, last_position, next_xid) VALUES (1, 0, '0')",
            "DELETE FROM core_outboxrelay",
        ),
    ]
