"""What each market mechanism makes of the same day: real files through the pure engines.

`files` reads what is supplied, `supply` and `demand` make a `day` of it, `book` and `auction` run
it, `figures` measures, `report` and `plots` show. Nothing here knows Django. `docs/replay.md` says
for people what is assumed.
"""
