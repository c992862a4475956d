"""A server that answers every search with the same bytes at once: what calls cost without any search.

`python -m benchmarks.echo LISTEN FILE`: the file holds a packed SearchResponse.
"""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

import grpc
import uvloop

from pixvec.embedded.process import die_with_parent
from pixvec.internal.v1 import searcher_service_pb2 as pb
from pixvec.internal.v1 import searcher_service_pb2_grpc
from pixvec.rpc.server import build_server, run_until_signalled

_START_LIMIT_S = 60.0


class _Echo(searcher_service_pb2_grpc.SearcherServiceServicer):
    def __init__(self, answer: pb.SearchResponse) -> None:
        self._answer = answer

    async def Search(self, request: pb.SearchRequest, context: Any) -> pb.SearchResponse:  # noqa: ARG002
        return self._answer


async def _serve(listen: str, answer: pb.SearchResponse) -> None:
    servicer = _Echo(answer)  # type: ignore[abstract]  # nothing else is asked of it
    handle = build_server(listen)
    searcher_service_pb2_grpc.add_SearcherServiceServicer_to_server(servicer, handle.server)
    await handle.start()
    await run_until_signalled(handle, grace_s=0.1)


class Echo:
    """A server of its own, on the searcher's stack, that gives one of the searcher's answers."""

    def __init__(self, answer: pb.SearchResponse) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.address = f"unix:{self._folder.name}/echo.sock"
        kept = Path(self._folder.name) / "answer"
        kept.write_bytes(answer.SerializeToString())
        command = [sys.executable, "-m", "benchmarks.echo", self.address, str(kept)]
        self._process = subprocess.Popen(command, preexec_fn=die_with_parent(signal.SIGKILL))

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def __enter__(self) -> Self:
        with grpc.insecure_channel(self.address) as channel:
            grpc.channel_ready_future(channel).result(timeout=_START_LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], pb.SearchResponse.FromString(Path(sys.argv[2]).read_bytes())))
