import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from pixvec.api.v1 import collection_service_pb2 as _collection_service_pb2
from pixvec.api.v1 import image_service_pb2 as _image_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Snapshot(_message.Message):
    __slots__ = ("snapshot_id", "collection", "shard", "epoch", "seq", "location", "image_count", "size_bytes", "verified", "damage", "create_time")
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    VERIFIED_FIELD_NUMBER: _ClassVar[int]
    DAMAGE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    snapshot_id: str
    collection: str
    shard: int
    epoch: str
    seq: int
    location: str
    image_count: int
    size_bytes: int
    verified: bool
    damage: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, snapshot_id: _Optional[str] = ..., collection: _Optional[str] = ..., shard: _Optional[int] = ..., epoch: _Optional[str] = ..., seq: _Optional[int] = ..., location: _Optional[str] = ..., image_count: _Optional[int] = ..., size_bytes: _Optional[int] = ..., verified: _Optional[bool] = ..., damage: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CreateSnapshotRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class CreateSnapshotResponse(_message.Message):
    __slots__ = ("shards",)
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    shards: _containers.RepeatedCompositeFieldContainer[ShardSnapshot]
    def __init__(self, shards: _Optional[_Iterable[_Union[ShardSnapshot, _Mapping]]] = ...) -> None: ...

class ShardSnapshot(_message.Message):
    __slots__ = ("shard", "snapshot", "stored_bytes", "error")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    shard: int
    snapshot: Snapshot
    stored_bytes: int
    error: _image_service_pb2.ItemError
    def __init__(self, shard: _Optional[int] = ..., snapshot: _Optional[_Union[Snapshot, _Mapping]] = ..., stored_bytes: _Optional[int] = ..., error: _Optional[_Union[_image_service_pb2.ItemError, _Mapping]] = ...) -> None: ...

class ListSnapshotsRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class ListSnapshotsResponse(_message.Message):
    __slots__ = ("snapshots",)
    SNAPSHOTS_FIELD_NUMBER: _ClassVar[int]
    snapshots: _containers.RepeatedCompositeFieldContainer[Snapshot]
    def __init__(self, snapshots: _Optional[_Iterable[_Union[Snapshot, _Mapping]]] = ...) -> None: ...

class RestoreCollectionRequest(_message.Message):
    __slots__ = ("collection", "snapshot_ids", "from_feed")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_IDS_FIELD_NUMBER: _ClassVar[int]
    FROM_FEED_FIELD_NUMBER: _ClassVar[int]
    collection: str
    snapshot_ids: _containers.RepeatedScalarFieldContainer[str]
    from_feed: bool
    def __init__(self, collection: _Optional[str] = ..., snapshot_ids: _Optional[_Iterable[str]] = ..., from_feed: _Optional[bool] = ...) -> None: ...

class RestoreCollectionResponse(_message.Message):
    __slots__ = ("shards",)
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    shards: _containers.RepeatedCompositeFieldContainer[RestoredShard]
    def __init__(self, shards: _Optional[_Iterable[_Union[RestoredShard, _Mapping]]] = ...) -> None: ...

class RestoredShard(_message.Message):
    __slots__ = ("shard", "epoch", "snapshot_id", "snapshot_seq", "head_seq")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_ID_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_SEQ_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    shard: int
    epoch: str
    snapshot_id: str
    snapshot_seq: int
    head_seq: int
    def __init__(self, shard: _Optional[int] = ..., epoch: _Optional[str] = ..., snapshot_id: _Optional[str] = ..., snapshot_seq: _Optional[int] = ..., head_seq: _Optional[int] = ...) -> None: ...

class GetTopologyRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class GetTopologyResponse(_message.Message):
    __slots__ = ("collections", "searchers")
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    SEARCHERS_FIELD_NUMBER: _ClassVar[int]
    collections: _containers.RepeatedCompositeFieldContainer[CollectionTopology]
    searchers: _containers.RepeatedCompositeFieldContainer[SearcherStanding]
    def __init__(self, collections: _Optional[_Iterable[_Union[CollectionTopology, _Mapping]]] = ..., searchers: _Optional[_Iterable[_Union[SearcherStanding, _Mapping]]] = ...) -> None: ...

class CollectionTopology(_message.Message):
    __slots__ = ("collection", "shards")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    shards: _containers.RepeatedCompositeFieldContainer[ShardTopology]
    def __init__(self, collection: _Optional[str] = ..., shards: _Optional[_Iterable[_Union[ShardTopology, _Mapping]]] = ...) -> None: ...

class ShardTopology(_message.Message):
    __slots__ = ("shard", "epoch", "head_seq", "truncated_seq", "image_count", "replicas")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HEAD_SEQ_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_SEQ_FIELD_NUMBER: _ClassVar[int]
    IMAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    shard: int
    epoch: str
    head_seq: int
    truncated_seq: int
    image_count: int
    replicas: _containers.RepeatedCompositeFieldContainer[ReplicaStanding]
    def __init__(self, shard: _Optional[int] = ..., epoch: _Optional[str] = ..., head_seq: _Optional[int] = ..., truncated_seq: _Optional[int] = ..., image_count: _Optional[int] = ..., replicas: _Optional[_Iterable[_Union[ReplicaStanding, _Mapping]]] = ...) -> None: ...

class ReplicaStanding(_message.Message):
    __slots__ = ("searcher_id", "ready", "applied_seq", "snapshot_seq", "vector_bytes", "image_count", "index")
    SEARCHER_ID_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    APPLIED_SEQ_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_SEQ_FIELD_NUMBER: _ClassVar[int]
    VECTOR_BYTES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    searcher_id: str
    ready: bool
    applied_seq: int
    snapshot_seq: int
    vector_bytes: int
    image_count: int
    index: _collection_service_pb2.IndexStanding
    def __init__(self, searcher_id: _Optional[str] = ..., ready: _Optional[bool] = ..., applied_seq: _Optional[int] = ..., snapshot_seq: _Optional[int] = ..., vector_bytes: _Optional[int] = ..., image_count: _Optional[int] = ..., index: _Optional[_Union[_collection_service_pb2.IndexStanding, _Mapping]] = ...) -> None: ...

class SearcherStanding(_message.Message):
    __slots__ = ("searcher_id", "address", "live", "reachable", "memory_bytes", "shard_count")
    SEARCHER_ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHARD_COUNT_FIELD_NUMBER: _ClassVar[int]
    searcher_id: str
    address: str
    live: bool
    reachable: bool
    memory_bytes: int
    shard_count: int
    def __init__(self, searcher_id: _Optional[str] = ..., address: _Optional[str] = ..., live: _Optional[bool] = ..., reachable: _Optional[bool] = ..., memory_bytes: _Optional[int] = ..., shard_count: _Optional[int] = ...) -> None: ...
