"""Which shard an image belongs to."""

import xxhash

BUCKETS = 1024


def bucket_of(image_id: str) -> int:
    """Return the image's bucket, 0 to 1023: fixed for ever, whatever the number of shards."""
    return xxhash.xxh64_intdigest(image_id.encode()) % BUCKETS


def shard_of(image_id: str, shard_count: int) -> int:
    """Return the shard that holds every vector of this image."""
    return bucket_of(image_id) * shard_count // BUCKETS
