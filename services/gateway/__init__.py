"""The public gRPC API. Holds no state of its own."""
