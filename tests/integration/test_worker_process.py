"""A worker that cannot work ends, to be started anew, rather than take messages that it would drop."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from pixvec.embedded.process import die_with_parent

LIMIT_S = 120.0


def run_worker(folder: Path, database_url: str, **settings: str) -> str:
    """Run a worker until it ends by itself. Return its log."""
    told = {
        "PIXVEC_DATABASE_URL": database_url,
        "PIXVEC_BROKER_URL": f"redis+socket://{folder}/no-redis.sock",
        "PIXVEC_BLOB_URL": folder.as_uri(),
        "PIXVEC_WORKER_LISTEN": f"unix:{folder}/embedder.sock",
        "PIXVEC_WORKER_DECODERS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "workers"],
        env=os.environ | told | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=die_with_parent(signal.SIGKILL),
    )
    try:
        log, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
    return log


def test_a_model_host_that_cannot_start_ends_its_worker(tmp_path: Path, database_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        log = run_worker(tmp_path, database_url, PIXVEC_METRICS_PORT=f"{port}")
    assert "model_host_failed" in log
    assert f"cannot serve metrics at 127.0.0.1:{port}" in log
