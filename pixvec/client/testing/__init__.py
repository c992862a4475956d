"""A pixvec to test programs against: real gRPC, no model, no database, nothing kept.

with FakeServer() as server, Client(server.address) as client:
    client.create_collection("photos")
"""

from pixvec.client.testing.server import FakeServer

__all__ = ["FakeServer"]
