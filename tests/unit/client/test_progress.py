import io

import pytest

from pixvec.client.progress import ProgressLine, progress_line, watched
from pixvec.client.values import IngestCounts


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


def shown(line, out, counts):
    out.truncate(out.seek(0))
    line.show(counts)
    return out.getvalue().removeprefix("\r\x1b[K")


def test_a_terminal_shows_stages_time_left_and_rate():
    out, clock = Terminal(), Clock()
    line = ProgressLine(200, out, clock)
    assert shown(line, out, IngestCounts(total=64)) == (
        "queued 0  decoded 0  embedded 0  indexed 0  failed 0  0.0 images/s"
    )
    clock.now = 10.0
    counts = IngestCounts(total=64, queued=9, decoded=2, embedded=3, indexed=49, failed=1)
    assert shown(line, out, counts) == (
        "queued 9  decoded 2  embedded 3  indexed 49  failed 1  0:00:30 left  5.0 images/s"
    )


def test_the_time_left_follows_the_pace_of_the_last_pictures():
    out, clock = Terminal(), Clock()
    line = ProgressLine(2_000, out, clock)
    shown(line, out, IngestCounts(indexed=1_000))
    for second in range(1, 31):
        clock.now = float(second)
        text = shown(line, out, IngestCounts(indexed=1_000 + second))
    assert "0:16:10 left" in text


def test_without_a_total_and_at_the_end_no_time_is_left():
    out, clock = Terminal(), Clock()
    for total in (0, 10):
        line = ProgressLine(total, out, clock)
        clock.now += 5
        assert "left" not in shown(line, out, IngestCounts(total=20, indexed=10))


def test_a_line_is_never_wider_than_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    assert len(shown(ProgressLine(out=out), out, IngestCounts(indexed=10**9))) == 39


def test_what_is_no_terminal_gets_one_line_at_the_end(capsys):
    with progress_line(lambda: IngestCounts(indexed=3)) as show:
        show(IngestCounts(indexed=1))
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("queued 0  decoded 0  embedded 0  indexed 3  failed 0  ")


def test_the_line_ends_when_the_wait_is_interrupted(capsys):
    with pytest.raises(KeyboardInterrupt), progress_line(IngestCounts):
        raise KeyboardInterrupt
    assert capsys.readouterr().err.endswith("images/s\n")


def test_the_callers_own_display_takes_the_place_of_the_line(capsys):
    seen = []
    with watched(IngestCounts, True, seen.append) as show:
        show(IngestCounts(total=1))
    assert seen == [IngestCounts(total=1)]
    with watched(IngestCounts, False, None) as show:
        assert show is None
    assert capsys.readouterr().err == ""
