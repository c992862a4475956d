"""Where the gateway is, how channels to it are set up, and which calls may be sent twice."""

import json

from pixvec.rpc.channels import MAX_MESSAGE_BYTES

DEFAULT_ADDRESS = "localhost:50051"
# Creating a collection may fetch the weights of a model.
CREATE_TIMEOUT_S = 360.0

# Calls that may run twice without a difference: gRPC itself sends them again when the server cannot be reached. Left
# out are CreateCollection and DeleteCollection, whose second answer is an error after the first one's success.
_RETRY_SAFE = {
    "pixvec.api.v1.AdminService": ["ListSnapshots", "GetTopology"],
    "pixvec.api.v1.CollectionService": ["GetCollection", "ListCollections", "UpdateCollection"],
    "pixvec.api.v1.ImageService": ["GetImage", "GetContent", "DeleteImages"],
    "pixvec.api.v1.JobService": ["CreateIngest", "CreateTraining", "GetJob", "ListJobs", "WatchJob", "ListFailures"],
    "pixvec.api.v1.ModelService": ["ListModels", "GetModel"],
    "pixvec.api.v1.SearchService": ["Query", "QueryBatch", "QueryScene"],
}


def channel_options(address: str) -> list[tuple[str, str | int]]:
    """Return the options of a channel to this address."""
    options: list[tuple[str, str | int]] = [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.enable_retries", 1),
        ("grpc.service_config", json.dumps(_service_config())),
    ]
    if _is_local(address):
        options.append(("grpc.enable_http_proxy", 0))
    return options


def _service_config() -> dict[str, object]:
    names = [{"service": service, "method": method} for service, methods in _RETRY_SAFE.items() for method in methods]
    policy = {
        "maxAttempts": 5,
        "initialBackoff": "0.1s",
        "maxBackoff": "2s",
        "backoffMultiplier": 3,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    # A server that is away is not asked five times by each of many callers: half of these tokens are failures that may
    # be followed by another attempt, and two answers earn one.
    throttling = {"maxTokens": 100, "tokenRatio": 0.5}
    return {"methodConfig": [{"name": names, "retryPolicy": policy}], "retryThrottling": throttling}


def _is_local(address: str) -> bool:
    return address.startswith(("unix:", "localhost:", "127.", "[::1]:"))
