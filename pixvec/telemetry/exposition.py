"""The HTTP endpoint that Prometheus reads."""

import threading
from wsgiref.simple_server import WSGIServer

from prometheus_client import start_http_server


def serve_metrics(host: str, port: int) -> tuple[WSGIServer, threading.Thread] | None:
    """Serve this process's metrics at http://host:port/metrics; port 0 leaves them off. Raises OSError when taken."""
    if port == 0:
        return None
    try:
        server, thread = start_http_server(port, host)
    except OSError as error:
        raise OSError(error.errno, f"cannot serve metrics at {host}:{port}: {error.strerror}") from error
    return server, thread
