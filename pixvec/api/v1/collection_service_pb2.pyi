import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from pixvec.api.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IndexKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INDEX_KIND_UNSPECIFIED: _ClassVar[IndexKind]
    INDEX_KIND_AUTO: _ClassVar[IndexKind]
    INDEX_KIND_FLAT: _ClassVar[IndexKind]
    INDEX_KIND_FLAT_INT8: _ClassVar[IndexKind]
    INDEX_KIND_FLAT_BINARY: _ClassVar[IndexKind]
    INDEX_KIND_HNSW: _ClassVar[IndexKind]
    INDEX_KIND_IVF_SQ8: _ClassVar[IndexKind]
    INDEX_KIND_IVF_PQ: _ClassVar[IndexKind]
    INDEX_KIND_IVF_RABITQ: _ClassVar[IndexKind]

class VectorStorage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VECTOR_STORAGE_UNSPECIFIED: _ClassVar[VectorStorage]
    VECTOR_STORAGE_FLOAT16: _ClassVar[VectorStorage]
    VECTOR_STORAGE_FLOAT32: _ClassVar[VectorStorage]

class SpaceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SPACE_KIND_UNSPECIFIED: _ClassVar[SpaceKind]
    SPACE_KIND_IMAGE: _ClassVar[SpaceKind]
    SPACE_KIND_REGION: _ClassVar[SpaceKind]

class RegionEmbedding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REGION_EMBEDDING_UNSPECIFIED: _ClassVar[RegionEmbedding]
    REGION_EMBEDDING_ROI: _ClassVar[RegionEmbedding]
    REGION_EMBEDDING_CROP: _ClassVar[RegionEmbedding]
INDEX_KIND_UNSPECIFIED: IndexKind
INDEX_KIND_AUTO: IndexKind
INDEX_KIND_FLAT: IndexKind
INDEX_KIND_FLAT_INT8: IndexKind
INDEX_KIND_FLAT_BINARY: IndexKind
INDEX_KIND_HNSW: IndexKind
INDEX_KIND_IVF_SQ8: IndexKind
INDEX_KIND_IVF_PQ: IndexKind
INDEX_KIND_IVF_RABITQ: IndexKind
VECTOR_STORAGE_UNSPECIFIED: VectorStorage
VECTOR_STORAGE_FLOAT16: VectorStorage
VECTOR_STORAGE_FLOAT32: VectorStorage
SPACE_KIND_UNSPECIFIED: SpaceKind
SPACE_KIND_IMAGE: SpaceKind
SPACE_KIND_REGION: SpaceKind
REGION_EMBEDDING_UNSPECIFIED: RegionEmbedding
REGION_EMBEDDING_ROI: RegionEmbedding
REGION_EMBEDDING_CROP: RegionEmbedding

class IndexSettings(_message.Message):
    __slots__ = ("kind", "storage", "hnsw_m", "ef_construction", "nlist")
    KIND_FIELD_NUMBER: _ClassVar[int]
    STORAGE_FIELD_NUMBER: _ClassVar[int]
    HNSW_M_FIELD_NUMBER: _ClassVar[int]
    EF_CONSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    NLIST_FIELD_NUMBER: _ClassVar[int]
    kind: IndexKind
    storage: VectorStorage
    hnsw_m: int
    ef_construction: int
    nlist: int
    def __init__(self, kind: _Optional[_Union[IndexKind, str]] = ..., storage: _Optional[_Union[VectorStorage, str]] = ..., hnsw_m: _Optional[int] = ..., ef_construction: _Optional[int] = ..., nlist: _Optional[int] = ...) -> None: ...

class IndexStanding(_message.Message):
    __slots__ = ("segment_count", "kinds", "growing_rows", "sealed_rows", "writes_pushed_back", "build_error")
    SEGMENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    GROWING_ROWS_FIELD_NUMBER: _ClassVar[int]
    SEALED_ROWS_FIELD_NUMBER: _ClassVar[int]
    WRITES_PUSHED_BACK_FIELD_NUMBER: _ClassVar[int]
    BUILD_ERROR_FIELD_NUMBER: _ClassVar[int]
    segment_count: int
    kinds: _containers.RepeatedScalarFieldContainer[IndexKind]
    growing_rows: int
    sealed_rows: int
    writes_pushed_back: bool
    build_error: str
    def __init__(self, segment_count: _Optional[int] = ..., kinds: _Optional[_Iterable[_Union[IndexKind, str]]] = ..., growing_rows: _Optional[int] = ..., sealed_rows: _Optional[int] = ..., writes_pushed_back: _Optional[bool] = ..., build_error: _Optional[str] = ...) -> None: ...

class RegionSettings(_message.Message):
    __slots__ = ("detector", "embedding", "class_agnostic", "min_score", "max_regions", "min_area_share", "background_out", "index")
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    CLASS_AGNOSTIC_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    MAX_REGIONS_FIELD_NUMBER: _ClassVar[int]
    MIN_AREA_SHARE_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_OUT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    detector: str
    embedding: RegionEmbedding
    class_agnostic: bool
    min_score: float
    max_regions: int
    min_area_share: float
    background_out: bool
    index: IndexSettings
    def __init__(self, detector: _Optional[str] = ..., embedding: _Optional[_Union[RegionEmbedding, str]] = ..., class_agnostic: _Optional[bool] = ..., min_score: _Optional[float] = ..., max_regions: _Optional[int] = ..., min_area_share: _Optional[float] = ..., background_out: _Optional[bool] = ..., index: _Optional[_Union[IndexSettings, _Mapping]] = ...) -> None: ...

class SpaceSettings(_message.Message):
    __slots__ = ("name", "model", "metric", "index")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    metric: _common_pb2.Metric
    index: IndexSettings
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., metric: _Optional[_Union[_common_pb2.Metric, str]] = ..., index: _Optional[_Union[IndexSettings, _Mapping]] = ...) -> None: ...

class Space(_message.Message):
    __slots__ = ("name", "model", "dim", "metric", "digest", "index", "kind", "takes_text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DIM_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TAKES_TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    dim: int
    metric: _common_pb2.Metric
    digest: str
    index: IndexSettings
    kind: SpaceKind
    takes_text: bool
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., dim: _Optional[int] = ..., metric: _Optional[_Union[_common_pb2.Metric, str]] = ..., digest: _Optional[str] = ..., index: _Optional[_Union[IndexSettings, _Mapping]] = ..., kind: _Optional[_Union[SpaceKind, str]] = ..., takes_text: _Optional[bool] = ...) -> None: ...

class Collection(_message.Message):
    __slots__ = ("name", "spaces", "shard_count", "image_count", "create_time", "regions")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPACES_FIELD_NUMBER: _ClassVar[int]
    SHARD_COUNT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    spaces: _containers.RepeatedCompositeFieldContainer[Space]
    shard_count: int
    image_count: int
    create_time: _timestamp_pb2.Timestamp
    regions: RegionSettings
    def __init__(self, name: _Optional[str] = ..., spaces: _Optional[_Iterable[_Union[Space, _Mapping]]] = ..., shard_count: _Optional[int] = ..., image_count: _Optional[int] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., regions: _Optional[_Union[RegionSettings, _Mapping]] = ...) -> None: ...

class CreateCollectionRequest(_message.Message):
    __slots__ = ("collection", "model", "metric", "shard_count", "index", "regions", "spaces")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    METRIC_FIELD_NUMBER: _ClassVar[int]
    SHARD_COUNT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    SPACES_FIELD_NUMBER: _ClassVar[int]
    collection: str
    model: str
    metric: _common_pb2.Metric
    shard_count: int
    index: IndexSettings
    regions: RegionSettings
    spaces: _containers.RepeatedCompositeFieldContainer[SpaceSettings]
    def __init__(self, collection: _Optional[str] = ..., model: _Optional[str] = ..., metric: _Optional[_Union[_common_pb2.Metric, str]] = ..., shard_count: _Optional[int] = ..., index: _Optional[_Union[IndexSettings, _Mapping]] = ..., regions: _Optional[_Union[RegionSettings, _Mapping]] = ..., spaces: _Optional[_Iterable[_Union[SpaceSettings, _Mapping]]] = ...) -> None: ...

class CreateCollectionResponse(_message.Message):
    __slots__ = ("collection", "model_choice")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    MODEL_CHOICE_FIELD_NUMBER: _ClassVar[int]
    collection: Collection
    model_choice: str
    def __init__(self, collection: _Optional[_Union[Collection, _Mapping]] = ..., model_choice: _Optional[str] = ...) -> None: ...

class GetCollectionRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class GetCollectionResponse(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: Collection
    def __init__(self, collection: _Optional[_Union[Collection, _Mapping]] = ...) -> None: ...

class ListCollectionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCollectionsResponse(_message.Message):
    __slots__ = ("collections", "next_page_token")
    COLLECTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    collections: _containers.RepeatedCompositeFieldContainer[Collection]
    next_page_token: str
    def __init__(self, collections: _Optional[_Iterable[_Union[Collection, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateCollectionRequest(_message.Message):
    __slots__ = ("collection", "space", "index", "update_mask")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    collection: str
    space: str
    index: IndexSettings
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, collection: _Optional[str] = ..., space: _Optional[str] = ..., index: _Optional[_Union[IndexSettings, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class UpdateCollectionResponse(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: Collection
    def __init__(self, collection: _Optional[_Union[Collection, _Mapping]] = ...) -> None: ...

class DeleteCollectionRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class DeleteCollectionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
