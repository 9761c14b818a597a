"""The day-ahead call auction: one price for each grade, zone and slot. Pure: no Django."""
