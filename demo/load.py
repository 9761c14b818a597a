"""What the day costs: seconds of processor time by program, from the kernel's own counts."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from exchangectl.process import Child

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
# In /proc/<pid>/stat, after the name: the parent, then user, system, and both of ended children.
_PARENT, _TIMES = 1, slice(11, 15)


def processor_seconds(children: Mapping[str, Child]) -> dict[str, float]:
    """Processor time so far of each program with all that it forked, and of this process."""
    spent: dict[int, int] = {}
    forked: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            facts = stat.rpartition(")")[2].split()
            spent[int(folder.name)] = sum(int(ticks) for ticks in facts[_TIMES])
            forked[int(facts[_PARENT])].append(int(folder.name))

    def tree(pid: int) -> int:
        return spent.get(pid, 0) + sum(tree(child) for child in forked[pid])

    seconds = {
        name: tree(child.pid) / _TICKS_PER_SECOND
        for name, child in children.items()
        if child.pid is not None
    }
    own = os.times()
    return {**seconds, "client": own.user + own.system}


def spent_between(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Processor time between two looks, the most first."""
    differences = {name: round(after[name] - before.get(name, 0.0), 1) for name in after}
    return dict(sorted(differences.items(), key=lambda item: -item[1]))
