"""The worker as a process: whatever happens to it, it leaves its work to be done by another, or says why it cannot."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pixvec.embedded.stack import is_serving
from tests.integration.workplaces import LIMIT_S, Workplace, furnished, model_host, until


@pytest.fixture
def workplace(database_url: str) -> Iterator[Workplace]:
    with furnished(database_url) as place:
        yield place


def catches(process: subprocess.Popen[bytes], number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) & 1 << number - 1)


def test_a_model_host_that_cannot_start_ends_its_worker(workplace: Workplace) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with workplace.worker(PIXVEC_METRICS_PORT=f"{port}") as process:
            assert process.wait(LIMIT_S) == 1
    assert "model_host_failed" in workplace.log
    assert f"cannot serve metrics at 127.0.0.1:{port}" in workplace.log


def test_a_model_host_that_is_replaced_while_the_database_is_away_ends_its_worker(workplace: Workplace) -> None:
    with workplace.worker() as process:
        workplace.until_serving()
        workplace.allow_connections(False)
        model_host(process).kill()
        assert process.wait(LIMIT_S) == 1
    workplace.allow_connections(True)
    assert "the database cannot be used now" in workplace.log
    assert "Traceback" not in workplace.log.partition("model_host_failed")[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_told_to_stop_gives_back_what_it_has_not_begun(
    workplace: Workplace, number: signal.Signals
) -> None:
    jobs = workplace.catalogue.jobs
    job_id = workplace.publish(chunks=200, chunk_items=32)
    with workplace.worker() as process:
        until(lambda: jobs.get(job_id).indexed)
        process.send_signal(number)
        assert process.wait(LIMIT_S) == 0
    left = jobs.get(job_id)
    assert left.indexed < left.total
    given_back = [item for chunk in iter(lambda: jobs.lease_next(job_id, "another", 60), None) for item in chunk.items]
    assert len(given_back) == left.total - left.indexed
    assert {item.attempt for item in given_back} == {1}


def test_an_idle_worker_stops_and_says_so_to_its_callers(workplace: Workplace) -> None:
    with workplace.worker() as process:
        workplace.until_serving()
        process.terminate()
        assert process.wait(LIMIT_S) == 0
    assert "server_stopping" in workplace.log
    assert not is_serving(workplace.address)


def test_a_second_signal_ends_a_worker_that_cannot_end_what_it_is_about(workplace: Workplace) -> None:
    with workplace.worker() as process:
        workplace.until_serving()
        host = model_host(process)
        host.suspend()
        process.terminate()
        until(lambda: not catches(process, signal.SIGTERM))
        process.terminate()
        assert process.wait(LIMIT_S) == -signal.SIGTERM
        until(lambda: not host.is_running() or host.status() == psutil.STATUS_ZOMBIE)
