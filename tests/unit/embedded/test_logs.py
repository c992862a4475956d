"""The logs of supervised programs: a few runs are kept, and the last words are what a user needs to read."""

import json

from pixvec.embedded.program import last_words, rotate_log


def test_the_logs_of_a_few_runs_are_kept(tmp_path):
    log = tmp_path / "gateway.log"
    rotate_log(log)
    for run in range(6):
        log.write_text(f"run {run}")
        rotate_log(log)
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept == {"gateway.log.1": "run 5", "gateway.log.2": "run 4", "gateway.log.3": "run 3"}


def test_an_empty_log_takes_no_place(tmp_path):
    log = tmp_path / "gateway.log"
    log.touch()
    rotate_log(log)
    assert [path.name for path in tmp_path.iterdir()] == ["gateway.log"]


def test_the_last_words_are_the_last_error_that_was_logged(tmp_path):
    log = tmp_path / "gateway.log"
    entries = [
        {"error": "an older one"},
        {"event": "gateway_failed", "error": "no database: start one"},
        {"event": "bye"},
    ]
    log.write_text("\n".join(map(json.dumps, entries)) + "\n\nCold shutdown\n")
    assert last_words(log) == "no database: start one"


def test_without_one_they_are_the_last_lines(tmp_path):
    log = tmp_path / "postgres.log"
    assert last_words(log) == ""
    log.write_bytes(b"\xff" * 10_000 + b"\n" + b"\n".join(b"line %d" % number for number in range(9)) + b"\n[1]\n17\n")
    assert last_words(log) == "line 6\nline 7\nline 8\n[1]\n17"
