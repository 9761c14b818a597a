"""The table of what was verified: up to which seal, when and by whom."""

from django.db import migrations, models

from core.sql import refuse_change_sql


class Migration(migrations.Migration):
    dependencies = [("ledger", "0003_post_whole_set")]

    operations = [
        migrations.CreateModel(
            name="Verification",
            fields=[
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("seal", models.BigIntegerField()),
                ("hash", models.BinaryField()),
                ("verified_at", models.DateTimeField()),
                ("verified_by", models.CharField(max_length=128)),
            ],
            options={"abstract": False},
        ),
        migrations.RunSQL(*refuse_change_sql("ledger_verification")),
    ]
