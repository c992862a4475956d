"""Tests see a cache of weights of their own, empty at first, whatever this machine has in the real one."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def torch_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "torch"
    monkeypatch.setenv("TORCH_HOME", str(home))
    return home
