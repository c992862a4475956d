"""A process killed at any instant of storing or fetching a backup: the one before is whole, and the next one too."""

import subprocess
import sys
from pathlib import Path

import pytest

from pixvec.backups.checking import check_backup
from pixvec.backups.removing import remove_backup
from pixvec.domain import BaseSnapshot
from pixvec.index.snapshot import clean, load_newest, remove_segments
from tests.integration.killing import IDENTITY, NOT_TRACED, NOW, THERE, backups_of, blobs_of, fetch, store
from tests.integration.test_kill import LIMIT_S, answers, fed
from tests.unit.index.segments import same


def killed_at_every_call_of(work: str, folder: Path) -> list[Path]:
    """Return what each killed process left, in order, and last what the one that was not killed did."""
    program = [sys.executable, "-m", "tests.integration.killing", work, str(folder)]
    done = subprocess.run(program, timeout=LIMIT_S, stdout=subprocess.DEVNULL)
    if done.returncode == NOT_TRACED:
        pytest.skip("this system lets no process be traced")
    assert done.returncode == 0
    return sorted(path for path in folder.iterdir() if path.name != "before")


def files_of(folder: Path) -> set[str]:
    return set(blobs_of(folder).names("backups"))


def test_killed_while_a_backup_is_stored(tmp_path: Path) -> None:
    states = killed_at_every_call_of("store", tmp_path)
    finished = []
    for folder in states:
        blobs, (first, *rest) = blobs_of(folder), backups_of(folder)
        finished.append(len(rest))
        for base in (first, *rest):
            check_backup(blobs, base)
        clean(folder)
        assert not list(folder.glob("outgoing-*"))
        # Given up: what it left goes, whether it had come to its end or not.
        given_up = BaseSnapshot("base-1", IDENTITY.collection_id, IDENTITY.shard, "", "", 0, NOW)
        remove_backup(blobs, given_up, [first])
        check_backup(blobs, first)
        assert files_of(folder) == files_of(tmp_path / "before"), folder.name
        store(folder, "base-2")
        assert [base.base_id for base in backups_of(folder)] == ["base-0", "base-2"]
        for base in backups_of(folder):
            check_backup(blobs, base)
    assert finished == sorted(finished)
    assert set(finished) == {0, 1}
    assert len(states) > 20


def test_killed_while_a_backup_is_fetched(tmp_path: Path) -> None:
    states = killed_at_every_call_of("fetch", tmp_path)
    expected, begun = answers(fed(140)), []
    for folder in states:
        there = folder / "there"
        there.mkdir(exist_ok=True)
        clean(there)
        remove_segments(there, set)
        found = load_newest(there, THERE)
        begun.append(found is not None)
        assert found is None or same(answers(found), expected), folder.name
        assert {path.name.split("-")[0] for path in there.iterdir()} <= ({"snapshot", "segment"} if found else set())
        fetch(folder)
        again = load_newest(there, THERE)
        assert again is not None
        assert same(answers(again), expected), folder.name
    assert begun == sorted(begun)
    assert set(begun) == {False, True}
    assert len(states) > 40
