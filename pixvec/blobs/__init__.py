"""The blob store: bytes by content hash and by name, in memory, on a local disk or behind fsspec."""
