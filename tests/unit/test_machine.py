"""What of the machine a process may use, by files as the kernel keeps them."""

import os
from pathlib import Path

import pytest

from pixvec.machine import core_count, memory_bytes

MIB = 2**20
ALL_CORES = len(os.sched_getaffinity(0))
ALL_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def written(folder: Path, own_group: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Return control groups and the file that says which of them this process is in."""
    for name, text in files.items():
        file = folder / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    (folder / "own").write_text(own_group + "\n")
    return folder / "groups", folder / "own"


@pytest.mark.parametrize(
    ("own_group", "files", "expected"),
    [
        ("0::/", {"memory.max": f"{64 * MIB}"}, 64 * MIB),
        ("0::/a/b", {"a/memory.max": f"{64 * MIB}", "a/b/memory.max": "max"}, 64 * MIB),
        ("0::/a/b", {"a/memory.max": f"{64 * MIB}", "a/b/memory.max": f"{32 * MIB}"}, 32 * MIB),
        ("0::/elsewhere", {"memory.max": f"{64 * MIB}"}, 64 * MIB),
        ("4:memory:/a\n0::/", {"memory/a/memory.limit_in_bytes": f"{64 * MIB}"}, 64 * MIB),
        ("4:cpu,memory:/", {"memory/memory.limit_in_bytes": f"{2**63 - 4096}"}, ALL_MEMORY),
        ("0::/", {"memory.max": "max"}, ALL_MEMORY),
        ("", {}, ALL_MEMORY),
    ],
)
def test_memory_is_what_the_tightest_group_allows(
    tmp_path: Path, own_group: str, files: dict[str, str], expected: int
) -> None:
    assert memory_bytes(*written(tmp_path, own_group, files)) == expected


@pytest.mark.parametrize(
    ("own_group", "files", "expected"),
    [
        ("0::/", {"cpu.max": "50000 100000"}, 1),
        ("0::/a", {"a/cpu.max": "100000 100000"}, 1),
        ("0::/", {"cpu.max": "150000 100000"}, min(2, ALL_CORES)),
        ("1:cpu,cpuacct:/a", {"cpu/a/cpu.cfs_quota_us": "100000", "cpu/a/cpu.cfs_period_us": "100000"}, 1),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, ALL_CORES),
        ("0::/", {"cpu.max": "max 100000"}, ALL_CORES),
        ("", {}, ALL_CORES),
    ],
)
def test_cores_are_those_that_the_tightest_group_allows(
    tmp_path: Path, own_group: str, files: dict[str, str], expected: int
) -> None:
    assert core_count(*written(tmp_path, own_group, files)) == expected


def test_where_the_kernel_has_no_groups_the_machine_is_the_bound(tmp_path: Path) -> None:
    nowhere = (tmp_path / "groups", tmp_path / "own")
    assert (memory_bytes(*nowhere), core_count(*nowhere)) == (ALL_MEMORY, ALL_CORES)
