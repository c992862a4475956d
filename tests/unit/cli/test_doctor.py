"""How what was found is told; what is looked at is tested on a real machine."""

import pytest

from pixvec.cli import doctor
from pixvec.cli.examination import Finding

FINE = Finding("Python", "3.11.7")
NOTE = Finding("GPU", "none", "models run on the CPU", needed=False)
MISSING = Finding("celery", "not installed", "pip install 'pixvec[all]'")


@pytest.fixture
def found(monkeypatch):
    def set_findings(*findings):
        monkeypatch.setattr(doctor, "examine", lambda folder, listen: iter(findings))

    return set_findings


def test_each_finding_is_told_with_its_remedy(run, found):
    found(FINE, NOTE, MISSING)
    ended = run("doctor")
    assert ended.out.splitlines() == [
        "ok       Python: 3.11.7",
        "note     GPU: none",
        "         models run on the CPU",
        "missing  celery: not installed",
        "         pip install 'pixvec[all]'",
    ]


@pytest.mark.parametrize(("findings", "status"), [((FINE, NOTE), 0), ((FINE, NOTE, MISSING), 1)])
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_it_fails_when_something_that_is_needed_is_missing(run, found, findings, status, options):
    found(*findings)
    assert run("doctor", *options).status == status


def test_as_json_it_tells_the_same(run, found):
    found(FINE, MISSING)
    assert run("doctor", "--json").json == [
        {"what": "Python", "found": "3.11.7", "remedy": "", "needed": True},
        {"what": "celery", "found": "not installed", "remedy": "pip install 'pixvec[all]'", "needed": True},
    ]


def test_it_looks_at_the_folder_and_the_address_that_are_meant(run, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(doctor, "examine", lambda *arguments: asked.append(arguments) or iter(()))
    assert run("doctor", "--data", tmp_path / "x" / "..", "--listen", "127.0.0.1:7").status == 0
    assert asked == [(tmp_path, "127.0.0.1:7")]
