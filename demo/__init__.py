"""The demonstration: a province's compute market in one compressed day, through HTTP only.

Nothing of the product imports it. `python -m demo` (see `docs/demo.md`) starts an exchange, drives
it as its providers, buyers and officers would, and reports.
"""
