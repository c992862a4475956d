"""gRPC: the server builder, the error map, and clients of the internal services."""
