"""What every command has in common."""

import subprocess
import sys

import pytest

from pixvec.cli import main

COMMANDS = ["collection", "demo", "doctor", "down", "ingest", "jobs", "search", "status", "up"]


def test_help_lists_every_command(run):
    ended = run("--help")
    assert ended.status == 0
    for command in COMMANDS:
        assert f" {command} " in ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command):
    assert run(command, "--help").status == 0


def test_nothing_and_nonsense_are_wrong_usage(run):
    assert run().status == 2
    ended = run("serach")
    assert ended.status == 2
    assert "serach" in ended.err


def test_a_package_that_is_not_installed_is_named_with_the_command(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for module in [name for name in sys.modules if name.startswith("pixvec.embedded.")]:
        monkeypatch.delitem(sys.modules, module)
    status, _, err = run("up")
    assert status == 1
    assert err == "error: this needs the package psycopg, which is not installed: pip install 'pixvec[all]'\n"


def test_a_module_of_our_own_that_is_missing_is_a_bug_and_looks_like_one(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pixvec.embedded.supervisor", None)
    monkeypatch.setitem(sys.modules, "pixvec.embedded.config", None)
    with pytest.raises(ModuleNotFoundError, match=r"pixvec\.embedded"):
        run("up")


def test_the_command_line_loads_nothing_heavy():
    """So that it starts quickly, and with the client's few packages alone."""
    code = f"import sys, {main.__name__}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "torch", "sqlalchemy", "celery", "redis", "psycopg", "PIL", "psutil"} & set(loaded)
