"""What this process may use of the machine: less than there is of it where a control group holds it back."""

import math
import os
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


def memory_bytes(groups: Path = _GROUPS, own_group: Path = _OWN_GROUP) -> int:
    """Return the memory that processes like this one may take together."""
    there_is = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [_number(folder / "memory.max") for folder in _folders("", groups, own_group)]
    limits += [_number(folder / "memory.limit_in_bytes") for folder in _folders("memory", groups / "memory", own_group)]
    return min([there_is, *(limit for limit in limits if limit)])


def core_count(groups: Path = _GROUPS, own_group: Path = _OWN_GROUP) -> int:
    """Return on how many cores this process may run at once, at least one. Part of a core counts as one."""
    cores = [float(len(os.sched_getaffinity(0)))]
    for folder in _folders("", groups, own_group):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        cores += _share(quota, period)
    for folder in _folders("cpu", groups / "cpu", own_group):
        cores += _share(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us"))
    return max(1, math.ceil(min(cores)))


def _folders(controller: str, root: Path, own_group: Path) -> list[Path]:
    """Return the folders of the group that this process is in, and of all around it; none where the kernel has no such
    groups. In a container they may all be the root itself."""
    for line in _text(own_group).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            inside = root / path.lstrip("/")
            return [inside, *(folder for folder in inside.parents if folder.is_relative_to(root))]
    return []


def _share(quota: str, period: str) -> list[float]:
    # A quota of "max", or -1, is none.
    return [int(quota) / int(period)] if quota.isdecimal() and period.isdecimal() and int(period) else []


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.isdecimal() else None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
