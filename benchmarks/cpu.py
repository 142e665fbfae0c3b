"""CPU seconds of process trees and of the machine, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()


def _parents() -> dict[int, int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields is not None:
                parents[int(entry.name)] = int(fields[1])
    return parents


def tree(root: int) -> set[int]:
    """The process *root* and everything below it."""
    parents = _parents()
    found = {root}
    grew = True
    while grew:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grew = bool(more)
    return found


def seconds(roots: Iterable[int]) -> float:
    """User and system time of the trees, children that ended included."""
    total = 0
    for pid in set().union(*(tree(root) for root in roots)):
        fields = _stat(pid)
        if fields is not None:
            total += sum(int(value) for value in fields[11:15])
    return total / _TICKS


def of_this_process() -> float:
    """User and system time of the client, and of those children of it that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def of_the_machine() -> float:
    """CPU seconds that all processes together have used."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq = (int(value) for value in first[:7])
    return (user + nice + system + irq + softirq) / _TICKS
