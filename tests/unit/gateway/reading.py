"""A gateway's read side over twins in memory."""

import numpy as np

from pixvec.catalogue.memory import in_memory
from pixvec.catalogue.sharding import shard_of
from pixvec.catalogue.topology import ShardReport
from pixvec.domain import Metric, Space
from pixvec.index.brute import NumpyShard
from pixvec.index.interfaces import Change, SpaceSpec
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.embedder_client import ResolvedModel
from pixvec.rpc.memory_embedder import MemoryEmbedder, vector_from_bytes
from pixvec.rpc.memory_searchers import MemorySearchers
from services.gateway.batches import Batches
from services.gateway.classification import Classifications
from services.gateway.directory import Directory
from services.gateway.queries import Queries
from services.gateway.scatter import Scatter

DIM = 8
DIGEST = "ab" * 32


class ReadSide:
    """A collection `photos` on searchers that each hold every shard, and a gateway's queries over them."""

    def __init__(self, shards=1, searchers=1, metric=Metric.COSINE, takes_text=False):
        self.catalogue = in_memory()
        space = Space("image", "fake", DIM, metric, DIGEST, takes_text=takes_text)
        self.addresses = [f"searcher-{number}" for number in range(searchers)]
        for address in self.addresses:
            self.catalogue.topology.heartbeat(address, address, [], lease_s=3600)
        self.collection = self.catalogue.collections.create("photos", [space], shards, searchers)
        self.shards = [NumpyShard([SpaceSpec("image", DIM, metric)]) for _ in range(shards)]
        for address in self.addresses:
            self.report(address, range(shards))
        self.searchers = MemorySearchers(lambda data: np.frombuffer(data, "<f4").reshape(1, -1))
        key = self.collection.collection_id
        for address in self.addresses:
            self.searchers.shards[address] = {(key, number): shard for number, shard in enumerate(self.shards)}
        self.embedder = MemoryEmbedder({"fake": ResolvedModel("fake", DIM, DIGEST, takes_text=takes_text)})
        self.sql = BlockingCalls("database", 2)
        self.directory = Directory(self.catalogue, self.sql)
        self.scatter = Scatter(self.directory, self.searchers)
        self.queries = Queries(self.directory, self.scatter, self.embedder, self.catalogue.images, self.sql)
        self.batches = Batches(self.directory, self.scatter, self.embedder)
        self.classifications = Classifications(self.directory, self.scatter, self.embedder)

    def report(self, address, shards):
        reports = [ShardReport(self.collection.collection_id, shard, True, 0) for shard in shards]
        self.catalogue.topology.heartbeat(address, address, reports, lease_s=3600)

    def split(self):
        """Give each of two searchers one of the two shards."""
        key = self.collection.collection_id
        for number, address in enumerate(self.addresses):
            del self.searchers.shards[address][key, 1 - number]
            self.report(address, [number])

    def put(self, *image_ids):
        for image_id in image_ids:
            vector = np.frombuffer(vector_from_bytes(image_id.encode(), DIM), "<f4").reshape(1, -1)
            shard = self.shards[shard_of(image_id, len(self.shards))]
            shard.apply([Change(image_id, {"image": vector})], shard.applied_seq + 1)
