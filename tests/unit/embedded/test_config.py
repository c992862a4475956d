"""What a one-machine system may be told, and where it keeps things."""

import os
from pathlib import Path

import pytest

from pixvec.embedded import config as configs
from pixvec.embedded.config import StackConfig, default_data_dir, make_folders
from pixvec.errors import FailedPrecondition, InvalidRequest


@pytest.mark.parametrize(
    ("options", "field", "hint"),
    [
        ({"listen": "127.0.0.1:99999"}, "listen", "cannot listen on '127.0.0.1:99999': give HOST:PORT.* at most 65535"),
        ({"listen": "garbage"}, "listen", "give HOST:PORT"),
        ({"listen": "127.0.0.1:"}, "listen", "give HOST:PORT"),
        ({"listen": "127.0.0.1:-1"}, "listen", "give HOST:PORT"),
        ({"listen": ":50051"}, "listen", "give HOST:PORT"),
        ({"listen": ""}, "listen", "give HOST:PORT"),
        ({"searchers": 0}, "searchers", "1 to 64"),
        ({"searchers": 65}, "searchers", "1 to 64"),
        ({"shards": 0}, "shards", "1 to 256"),
        ({"shards": 257}, "shards", "1 to 256"),
        ({"replicas": 0}, "replicas", "--searchers 1"),
        ({"replicas": 3, "searchers": 2}, "replicas", "--searchers 3"),
        ({"metrics_port": -1}, "metrics_port", "0 for none"),
        ({"metrics_port": 65532, "searchers": 1}, "metrics_port", "1 to 65531"),
        ({"weights": {"resnet50": Path("/no/such/file")}}, "weights", "resnet50 are not at /no/such/file"),
        ({"roots": (Path("/no/such/folder"),)}, "roots", "/no/such/folder"),
    ],
)
def test_what_cannot_work_is_refused_with_the_way_out(options, field, hint):
    with pytest.raises(InvalidRequest, match=hint) as refused:
        StackConfig(**options)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "listen", ["127.0.0.1:0", "localhost:50051", "0.0.0.0:65535", "[::1]:50051", "unix:/run/a.sock"]
)
def test_where_a_gateway_can_listen(listen):
    assert StackConfig(listen=listen).listen == listen


def test_a_path_with_a_comma_is_refused(tmp_path):
    (folder := tmp_path / "a,b").mkdir()
    with pytest.raises(InvalidRequest, match="comma"):
        StackConfig(roots=(folder,))


def test_every_process_with_metrics_has_a_port_of_its_own():
    assert StackConfig().metrics_addresses == {}
    assert StackConfig(searchers=2, metrics_port=9464).metrics_addresses == {
        "gateway": "127.0.0.1:9464",
        "worker": "127.0.0.1:9465",
        "sweeper": "127.0.0.1:9466",
        "searcher-0": "127.0.0.1:9467",
        "searcher-1": "127.0.0.1:9468",
    }


def test_the_data_of_a_user_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data_dir() == tmp_path / "pixvec"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_data_dir() == Path("/home/someone/.local/share/pixvec")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/pixvec")


def test_the_run_folder_is_short_and_belongs_to_the_data_folder(monkeypatch, tmp_path):
    long = tmp_path / ("x" * 200)
    first, second = StackConfig(long / "a").run_dir, StackConfig(long / "b").run_dir
    assert first != second
    assert StackConfig(long / "c" / ".." / "a").run_dir == first
    assert len(str(first)) < 60
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/dev/shm")
    assert StackConfig(long / "a").run_dir.parent == Path("/dev/shm")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    assert StackConfig(long / "a").run_dir.parent == Path("/tmp")


@pytest.fixture
def config(monkeypatch, tmp_path):
    monkeypatch.setattr(configs.StackConfig, "run_dir", tmp_path / "run")
    return StackConfig(tmp_path / "deep" / "data")


def test_folders_are_made_once_and_are_private(config):
    make_folders(config)
    make_folders(config)
    modes = [folder.stat().st_mode & 0o777 for folder in (config.data_dir, config.log_dir, config.run_dir)]
    assert modes == [0o711, 0o700, 0o700]


def test_a_data_folder_that_cannot_be_made_is_named(config):
    config.data_dir.parent.write_text("a file, not a folder")
    with pytest.raises(FailedPrecondition, match=r"deep.*choose another --data"):
        make_folders(config)


def test_a_run_folder_that_someone_else_laid_out_is_not_used(config):
    config.run_dir.symlink_to("/tmp")
    with pytest.raises(FailedPrecondition, match="belongs to someone else"):
        make_folders(config)
