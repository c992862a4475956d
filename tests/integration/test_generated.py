"""`protos/check.sh`, in a copy of what it looks at."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("protos", "docs", "buf", "pixvec/api/v1", "pixvec/internal/v1")
STUBS = "pixvec/api/v1"


@pytest.fixture
def checkout(tmp_path):
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pixvec" / "settings.py", tmp_path / "pixvec")
    (tmp_path / "buf.yaml").write_text("version: v2\n")
    return tmp_path


def check(checkout, what, **environment):
    environment = {"PATH": os.environ["PATH"], "PYTHON": sys.executable, **environment}
    script = [str(checkout / "protos" / "check.sh"), what]
    return subprocess.run(script, env=environment, capture_output=True, text=True, check=False)


def git(checkout, *arguments):
    who = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=checkout, check=True, capture_output=True)


def test_what_is_committed_is_what_the_protos_say():
    found = check(ROOT, "generated")
    assert (found.returncode, found.stderr) == (0, "")


def test_everything_that_differs_is_named_with_what_to_do(checkout):
    shutil.copy(checkout / STUBS / "common_pb2.py", checkout / STUBS / "gone_pb2.py")
    (checkout / STUBS / "common_pb2.py").write_text("")
    (checkout / STUBS / "common_pb2.pyi").unlink()
    (checkout / "docs" / "api.md").write_text("")
    settings = checkout / "pixvec" / "settings.py"
    settings.write_text(settings.read_text().replace("searcher_threads", "searcher_hands"))
    found = check(checkout, "generated")
    assert found.returncode == 1
    assert found.stderr.splitlines() == [
        f"{STUBS}/common_pb2.py is not what the protos say: run make protos",
        f"{STUBS}/common_pb2.pyi is not what the protos say: run make protos",
        f"{STUBS}/gone_pb2.py is made from no proto: delete it",
        "docs/api.md is not what the protos say: run make docs",
        "docs/operations.md is not what pixvec/settings.py says: run make docs",
    ]


def test_a_setting_that_nothing_is_said_of_is_named(checkout):
    settings = checkout / "pixvec" / "settings.py"
    settings.write_text(settings.read_text().replace("    # Searches at once; 0: one a core.\n", ""))
    found = check(checkout, "generated")
    assert found.returncode == 1
    assert "SearcherSettings.searcher_threads has no comment" in found.stderr


def test_a_proto_that_does_not_compile_is_shown(checkout):
    proto = checkout / "protos" / "pixvec" / "api" / "v1" / "common.proto"
    proto.write_text(proto.read_text() + "message Unfinished {\n")
    found = check(checkout, "generated")
    assert found.returncode == 1
    assert "pixvec/api/v1/common.proto" in found.stderr


def test_the_protos_are_compared_with_main(checkout):
    shutil.rmtree(checkout / "buf")
    git(checkout, "init", "--initial-branch=main")
    git(checkout, "add", ".")
    git(checkout, "commit", "--message=all")
    proto = checkout / "protos" / "pixvec" / "api" / "v1" / "common.proto"
    proto.write_text(proto.read_text() + "// Changed.\n")
    # In place of buf: shows what it would compare.
    buf = checkout / "compare"
    buf.write_text('#!/bin/sh\necho "$1 $2" && diff -r protos "$3/protos"\n')
    buf.chmod(0o755)
    found = check(checkout, "breaking", BUF=str(buf))
    assert found.returncode == 1
    assert "make check BREAKING=meant" in found.stderr
    assert [line for line in found.stdout.splitlines() if line[:1] in "<>b"] == ["breaking --against", "< // Changed."]
    meant = check(checkout, "breaking", BUF=str(buf), BREAKING="meant")
    assert (meant.returncode, meant.stdout) == (0, "Skipped: buf breaking. BREAKING is set.\n")


def test_without_a_commit_of_main_it_says_why_nothing_is_compared(checkout):
    git(checkout, "init", "--initial-branch=mine")
    found = check(checkout, "breaking", BUF="false")
    assert found.returncode == 0
    assert "no commit of main" in found.stdout
