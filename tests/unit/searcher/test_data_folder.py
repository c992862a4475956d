from pathlib import Path

import pytest

from services.searcher.data_folder import DataFolder


def test_one_searcher_at_a_time(tmp_path: Path) -> None:
    first, second = DataFolder(tmp_path / "data"), DataFolder(tmp_path / "data")
    first.claim()
    with pytest.raises(OSError, match="another searcher uses this data folder"):
        second.claim()
    first.release()
    second.claim()
    second.release()


def test_knows_the_folders_of_shards_and_touches_no_other(tmp_path: Path) -> None:
    data = DataFolder(tmp_path)
    for name in ("12-0", "12-10", "notes", "3-x", "-1-2"):
        (tmp_path / name).mkdir()
    (tmp_path / "12-0" / "file").write_text("x")
    assert data.known() == {(12, 0), (12, 10)}
    assert data.of_shard((12, 10)) == tmp_path / "12-10"
    data.remove((12, 0))
    data.remove((99, 9))
    assert data.known() == {(12, 10)}
