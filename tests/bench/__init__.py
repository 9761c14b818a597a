"""Figures as ratios to a reference of the same run on the same machine: `make bench`.

A room is a module of this package with a function `contests(stage)` that yields `Contest`s; it is
listed in `tests/bench/__main__.py`. `docs/benchmarks.md` says what each figure means.
"""
