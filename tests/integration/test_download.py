"""Downloads from hosts that behave, refuse, dawdle or break off."""

import hashlib
import socket
import threading
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pixvec.vision import download
from pixvec.vision.download import HostUnreachable, fetch

CONTENT = bytes(range(256)) * 10_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def host(answer: Answer) -> Iterator[str]:
    """Serve one kind of answer on the loopback interface; yield the address of a file."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/weights.pth"
        finally:
            server.shutdown()
            thread.join()


def start(handler: BaseHTTPRequestHandler, length: int) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(length))
    handler.end_headers()


def give(handler: BaseHTTPRequestHandler) -> None:
    start(handler, len(CONTENT))
    handler.wfile.write(CONTENT)


def break_off(handler: BaseHTTPRequestHandler) -> None:
    start(handler, len(CONTENT))
    handler.wfile.write(CONTENT[: len(CONTENT) // 2])


def answer_nonsense(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"nonsense\r\n\r\n")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "weights.pth"


def test_a_file_arrives(target: Path) -> None:
    with host(give) as url:
        assert fetch(url, target, SHA256[:8], 60) == SHA256
    assert target.read_bytes() == CONTENT


def test_a_file_that_is_not_there_is_no_matter_of_the_network(target: Path) -> None:
    with (
        host(lambda handler: handler.send_error(404)) as url,
        pytest.raises(urllib.error.HTTPError, match="404") as caught,
    ):
        fetch(url, target, SHA256, 60)
    caught.value.close()


@pytest.mark.parametrize(("answer", "told"), [(break_off, "SHA-256"), (answer_nonsense, r"127\.0\.0\.1 broke off")])
def test_a_host_that_breaks_off(target: Path, answer: Answer, told: str) -> None:
    with host(answer) as url, pytest.raises(OSError, match=told):
        fetch(url, target, SHA256, 60)
    assert list(target.parent.iterdir()) == []


def test_a_host_that_sends_a_little_at_a_time_is_given_up(target: Path) -> None:
    given_up = threading.Event()

    def dawdle(handler: BaseHTTPRequestHandler) -> None:
        start(handler, len(CONTENT))
        while not given_up.wait(0.01):
            handler.wfile.write(b"a")

    with host(dawdle) as url:
        try:
            with pytest.raises(OSError, match=r"not complete after 0\.2 s"):
                fetch(url, target, SHA256, 0.2)
        finally:
            given_up.set()
    assert list(target.parent.iterdir()) == []


def test_a_host_that_does_not_answer_is_unreachable(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_CONNECT_LIMIT_S", 0.1)
    monkeypatch.setattr(download, "_READ_LIMIT_S", 100.0)
    may_end = threading.Event()
    with host(lambda _: may_end.wait(30) and None) as url:
        try:
            with pytest.raises(HostUnreachable, match=r"127\.0\.0\.1 did not answer within 0\.1 s"):
                fetch(url, target, SHA256, 60)
        finally:
            may_end.set()


def test_a_host_that_refuses_is_unreachable(target: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as once:
        port = once.getsockname()[1]
    with pytest.raises(HostUnreachable, match=r"127\.0\.0\.1 cannot be reached"):
        fetch(f"http://127.0.0.1:{port}/weights.pth", target, SHA256, 60)
