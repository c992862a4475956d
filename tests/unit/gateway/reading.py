"""A gateway's read side over twins in memory."""

import numpy as np

from pixvec.blobs.store import MemoryBlobStore
from pixvec.catalogue.interfaces import EmbeddedItem, NewItem
from pixvec.catalogue.memory import in_memory
from pixvec.catalogue.sharding import shard_of
from pixvec.catalogue.topology import ShardReport
from pixvec.domain import Box, Mask, Metric, OnExisting, Region, RegionEmbedding, Space
from pixvec.index.brute import NumpyShard
from pixvec.index.interfaces import Change, SpaceSpec
from pixvec.rpc.blocking import BlockingCalls
from pixvec.rpc.comparer import MemoryComparer
from pixvec.rpc.embedder_client import ResolvedModel
from pixvec.rpc.memory_embedder import MemoryEmbedder, vector_from_bytes
from pixvec.rpc.memory_searchers import MemorySearchers
from services.gateway.batches import Batches
from services.gateway.classification import Classifications
from services.gateway.directory import Directory
from services.gateway.duplicates import Duplicates
from services.gateway.pictures import StoredPictures
from services.gateway.queries import Queries
from services.gateway.scatter import Scatter
from services.gateway.scenes import Scenes

DIM = 8
DIGEST = "ab" * 32


class ReadSide:
    """A collection `photos` on searchers that each hold every shard, and a gateway's queries over them."""

    def __init__(self, shards=1, searchers=1, metric=Metric.COSINE, takes_text=False, regions=None, further=()):
        self.catalogue = in_memory()
        spaces = [Space("image", "fake", DIM, metric, DIGEST, takes_text=takes_text), *further]
        if regions is not None:
            crops = takes_text and regions.embedding is RegionEmbedding.CROP
            region = Space("region", regions.detector, DIM, metric, "cd" * 32, regions=regions, takes_text=crops)
            spaces.append(region)
        self.addresses = [f"searcher-{number}" for number in range(searchers)]
        for address in self.addresses:
            self.catalogue.topology.heartbeat(address, address, [], lease_s=3600)
        self.collection = self.catalogue.collections.create("photos", spaces, shards, searchers)
        self.shards = [
            NumpyShard([SpaceSpec(each.name, each.dim, each.metric) for each in spaces]) for _ in range(shards)
        ]
        for address in self.addresses:
            self.report(address, range(shards))
        self.searchers = MemorySearchers(lambda data: np.frombuffer(data, "<f4").reshape(1, -1))
        key = self.collection.collection_id
        for address in self.addresses:
            self.searchers.shards[address] = {(key, number): shard for number, shard in enumerate(self.shards)}
        models = [ResolvedModel(each.model, each.dim, each.digest, takes_text=each.takes_text) for each in further]
        models.append(ResolvedModel("fake", DIM, DIGEST, takes_text=takes_text))
        self.embedder = MemoryEmbedder({each.model: each for each in models})
        self.sql = BlockingCalls("database", 2)
        self.directory = Directory(self.catalogue, self.sql)
        self.scatter = Scatter(self.directory, self.searchers)
        self.blobs = MemoryBlobStore()
        pictures = StoredPictures(self.catalogue.images, self.blobs, self.sql, self.sql)
        self.queries = Queries(self.directory, self.scatter, self.embedder, self.catalogue.images, pictures, self.sql)
        self.scenes = Scenes(self.directory, self.scatter, self.embedder, self.catalogue.images, self.sql)
        self.batches = Batches(self.directory, self.scatter, self.embedder)
        self.classifications = Classifications(self.directory, self.scatter, self.embedder)
        self.comparer = MemoryComparer(self.blobs.get)
        images = self.catalogue.images
        self.duplicates = Duplicates(self.directory, self.queries, images, pictures, self.comparer, self.sql)

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

    def put_vectors(self, image_id, **rows):
        """Index an image by its rows in each space."""
        shard = self.shards[shard_of(image_id, len(self.shards))]
        vectors = {space: np.atleast_2d(np.asarray(each, np.float32)) for space, each in rows.items()}
        shard.apply([Change(image_id, vectors)], shard.applied_seq + 1)

    def put_words(self, **contents):
        """Take in pictures of words as a worker does, each word an object: what `MemoryEmbedder` detects."""
        jobs = self.catalogue.jobs
        job_id = jobs.create(self.collection.collection_id, OnExisting.REPLACE).job_id
        items = [
            NewItem(number, image_id, {"words": len(words.split())}, self.blobs.put(words.encode()), len(words))
            for number, (image_id, words) in enumerate(contents.items())
        ]
        jobs.add_items(job_id, items)
        leased = jobs.lease_next(job_id, "worker", 60)
        embedded = [
            EmbeddedItem(
                item, b"", item.content_hash, 1, "PNG", 10 * len(words.split()), 8, _word_regions(words.split())
            )
            for item, words in zip(leased.items, contents.values(), strict=True)
        ]
        self.catalogue.feed_writer.commit(leased, embedded, [])
        for image_id, words in contents.items():
            rows = [_row(word.encode()) for word in words.split()]
            regions = np.concatenate([np.empty((0, DIM), np.float32), *rows])
            shard = self.shards[shard_of(image_id, len(self.shards))]
            change = Change(image_id, {"image": _row(words.encode()), "region": regions})
            shard.apply([change], shard.applied_seq + 1)


def _row(content):
    return np.frombuffer(vector_from_bytes(content, DIM), "<f4").reshape(1, -1)


def _word_regions(words):
    mask = Mask(10 * len(words), 8, (0, 8))
    return tuple(Region(n, Box(10 * n, 0, 10 * n + 8, 8), word, 0.9, mask) for n, word in enumerate(words))
