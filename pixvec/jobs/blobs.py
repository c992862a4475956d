"""The blob store, which lives in `pixvec.blobs`."""

from pixvec.blobs.store import BlobStore, FsspecBlobStore, MemoryBlobStore

__all__ = ["BlobStore", "FsspecBlobStore", "MemoryBlobStore"]
