from django.contrib.postgres.indexes import BrinIndex
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("exchange", "0003_units_cover_what_is_sold")]

    operations = [
        migrations.AddIndex(
            "order",
            BrinIndex("placed_at", name="order_by_time", autosummarize=True, pages_per_range=16),
        ),
        migrations.AddIndex(
            "trade",
            BrinIndex("traded_at", name="trade_by_time", autosummarize=True, pages_per_range=16),
        ),
    ]
