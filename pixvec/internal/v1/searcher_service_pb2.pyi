from buf.validate import validate_pb2 as _validate_pb2
from pixvec.api.v1 import collection_service_pb2 as _collection_service_pb2
from pixvec.api.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ApplyOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    APPLY_OUTCOME_UNSPECIFIED: _ClassVar[ApplyOutcome]
    APPLY_OUTCOME_APPLIED: _ClassVar[ApplyOutcome]
    APPLY_OUTCOME_WILL_CATCH_UP: _ClassVar[ApplyOutcome]
APPLY_OUTCOME_UNSPECIFIED: ApplyOutcome
APPLY_OUTCOME_APPLIED: ApplyOutcome
APPLY_OUTCOME_WILL_CATCH_UP: ApplyOutcome

class FeedEntry(_message.Message):
    __slots__ = ("seq", "image_id", "deleted", "record")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    seq: int
    image_id: str
    deleted: bool
    record: bytes
    def __init__(self, seq: _Optional[int] = ..., image_id: _Optional[str] = ..., deleted: _Optional[bool] = ..., record: _Optional[bytes] = ...) -> None: ...

class ApplyRequest(_message.Message):
    __slots__ = ("collection_id", "shard", "epoch", "prev_seq", "entries")
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PREV_SEQ_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    collection_id: int
    shard: int
    epoch: str
    prev_seq: int
    entries: _containers.RepeatedCompositeFieldContainer[FeedEntry]
    def __init__(self, collection_id: _Optional[int] = ..., shard: _Optional[int] = ..., epoch: _Optional[str] = ..., prev_seq: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[FeedEntry, _Mapping]]] = ...) -> None: ...

class ApplyResponse(_message.Message):
    __slots__ = ("outcome", "applied_seq")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    APPLIED_SEQ_FIELD_NUMBER: _ClassVar[int]
    outcome: ApplyOutcome
    applied_seq: int
    def __init__(self, outcome: _Optional[_Union[ApplyOutcome, str]] = ..., applied_seq: _Optional[int] = ...) -> None: ...

class SearchRequest(_message.Message):
    __slots__ = ("collection_id", "shards", "space", "digest", "vectors", "dim", "k", "min_score", "wait_for", "params")
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    DIM_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    collection_id: int
    shards: _containers.RepeatedScalarFieldContainer[int]
    space: str
    digest: bytes
    vectors: bytes
    dim: int
    k: int
    min_score: float
    wait_for: _containers.RepeatedCompositeFieldContainer[_common_pb2.ShardPosition]
    params: _common_pb2.SearchParams
    def __init__(self, collection_id: _Optional[int] = ..., shards: _Optional[_Iterable[int]] = ..., space: _Optional[str] = ..., digest: _Optional[bytes] = ..., vectors: _Optional[bytes] = ..., dim: _Optional[int] = ..., k: _Optional[int] = ..., min_score: _Optional[float] = ..., wait_for: _Optional[_Iterable[_Union[_common_pb2.ShardPosition, _Mapping]]] = ..., params: _Optional[_Union[_common_pb2.SearchParams, _Mapping]] = ...) -> None: ...

class SearchResponse(_message.Message):
    __slots__ = ("rows", "shards_answered", "search_seconds")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SHARDS_ANSWERED_FIELD_NUMBER: _ClassVar[int]
    SEARCH_SECONDS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[RowHits]
    shards_answered: _containers.RepeatedScalarFieldContainer[int]
    search_seconds: float
    def __init__(self, rows: _Optional[_Iterable[_Union[RowHits, _Mapping]]] = ..., shards_answered: _Optional[_Iterable[int]] = ..., search_seconds: _Optional[float] = ...) -> None: ...

class RowHits(_message.Message):
    __slots__ = ("image_ids", "scores", "ordinals")
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    ORDINALS_FIELD_NUMBER: _ClassVar[int]
    image_ids: _containers.RepeatedScalarFieldContainer[str]
    scores: _containers.RepeatedScalarFieldContainer[float]
    ordinals: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, image_ids: _Optional[_Iterable[str]] = ..., scores: _Optional[_Iterable[float]] = ..., ordinals: _Optional[_Iterable[int]] = ...) -> None: ...

class GetVectorsRequest(_message.Message):
    __slots__ = ("collection_id", "shard", "space", "image_ids", "wait_for", "ordinals")
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_FIELD_NUMBER: _ClassVar[int]
    ORDINALS_FIELD_NUMBER: _ClassVar[int]
    collection_id: int
    shard: int
    space: str
    image_ids: _containers.RepeatedScalarFieldContainer[str]
    wait_for: _containers.RepeatedCompositeFieldContainer[_common_pb2.ShardPosition]
    ordinals: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, collection_id: _Optional[int] = ..., shard: _Optional[int] = ..., space: _Optional[str] = ..., image_ids: _Optional[_Iterable[str]] = ..., wait_for: _Optional[_Iterable[_Union[_common_pb2.ShardPosition, _Mapping]]] = ..., ordinals: _Optional[_Iterable[int]] = ...) -> None: ...

class GetVectorsResponse(_message.Message):
    __slots__ = ("vectors",)
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    vectors: _containers.RepeatedCompositeFieldContainer[StoredVector]
    def __init__(self, vectors: _Optional[_Iterable[_Union[StoredVector, _Mapping]]] = ...) -> None: ...

class StoredVector(_message.Message):
    __slots__ = ("image_id", "data")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    data: bytes
    def __init__(self, image_id: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class ScoreRequest(_message.Message):
    __slots__ = ("collection_id", "shard", "space", "digest", "vectors", "dim", "image_ids", "wait_for")
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    DIM_FIELD_NUMBER: _ClassVar[int]
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_FIELD_NUMBER: _ClassVar[int]
    collection_id: int
    shard: int
    space: str
    digest: bytes
    vectors: bytes
    dim: int
    image_ids: _containers.RepeatedScalarFieldContainer[str]
    wait_for: _containers.RepeatedCompositeFieldContainer[_common_pb2.ShardPosition]
    def __init__(self, collection_id: _Optional[int] = ..., shard: _Optional[int] = ..., space: _Optional[str] = ..., digest: _Optional[bytes] = ..., vectors: _Optional[bytes] = ..., dim: _Optional[int] = ..., image_ids: _Optional[_Iterable[str]] = ..., wait_for: _Optional[_Iterable[_Union[_common_pb2.ShardPosition, _Mapping]]] = ...) -> None: ...

class ScoreResponse(_message.Message):
    __slots__ = ("images",)
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    images: _containers.RepeatedCompositeFieldContainer[ImageScores]
    def __init__(self, images: _Optional[_Iterable[_Union[ImageScores, _Mapping]]] = ...) -> None: ...

class ImageScores(_message.Message):
    __slots__ = ("image_id", "scores", "ordinals")
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    ORDINALS_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    scores: _containers.RepeatedScalarFieldContainer[float]
    ordinals: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, image_id: _Optional[str] = ..., scores: _Optional[_Iterable[float]] = ..., ordinals: _Optional[_Iterable[int]] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("searcher_id", "shards", "memory_bytes")
    SEARCHER_ID_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    searcher_id: str
    shards: _containers.RepeatedCompositeFieldContainer[ShardStatus]
    memory_bytes: int
    def __init__(self, searcher_id: _Optional[str] = ..., shards: _Optional[_Iterable[_Union[ShardStatus, _Mapping]]] = ..., memory_bytes: _Optional[int] = ...) -> None: ...

class ShardStatus(_message.Message):
    __slots__ = ("collection_id", "shard", "epoch", "applied_seq", "snapshot_seq", "image_count", "vector_bytes", "ready", "index")
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    APPLIED_SEQ_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_SEQ_FIELD_NUMBER: _ClassVar[int]
    IMAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    VECTOR_BYTES_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    collection_id: int
    shard: int
    epoch: str
    applied_seq: int
    snapshot_seq: int
    image_count: int
    vector_bytes: int
    ready: bool
    index: _collection_service_pb2.IndexStanding
    def __init__(self, collection_id: _Optional[int] = ..., shard: _Optional[int] = ..., epoch: _Optional[str] = ..., applied_seq: _Optional[int] = ..., snapshot_seq: _Optional[int] = ..., image_count: _Optional[int] = ..., vector_bytes: _Optional[int] = ..., ready: _Optional[bool] = ..., index: _Optional[_Union[_collection_service_pb2.IndexStanding, _Mapping]] = ...) -> None: ...

class SnapshotRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SnapshotResponse(_message.Message):
    __slots__ = ("shards",)
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    shards: _containers.RepeatedCompositeFieldContainer[ShardStatus]
    def __init__(self, shards: _Optional[_Iterable[_Union[ShardStatus, _Mapping]]] = ...) -> None: ...

class CreateBaseRequest(_message.Message):
    __slots__ = ("collection_id", "shard", "at_least")
    COLLECTION_ID_FIELD_NUMBER: _ClassVar[int]
    SHARD_FIELD_NUMBER: _ClassVar[int]
    AT_LEAST_FIELD_NUMBER: _ClassVar[int]
    collection_id: int
    shard: int
    at_least: _common_pb2.ShardPosition
    def __init__(self, collection_id: _Optional[int] = ..., shard: _Optional[int] = ..., at_least: _Optional[_Union[_common_pb2.ShardPosition, _Mapping]] = ...) -> None: ...

class CreateBaseResponse(_message.Message):
    __slots__ = ("base_id", "stored_bytes")
    BASE_ID_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    base_id: str
    stored_bytes: int
    def __init__(self, base_id: _Optional[str] = ..., stored_bytes: _Optional[int] = ...) -> None: ...
