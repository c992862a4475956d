from buf.validate import validate_pb2 as _validate_pb2
from pixvec.api.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Consistency(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSISTENCY_UNSPECIFIED: _ClassVar[Consistency]
    CONSISTENCY_EVENTUAL: _ClassVar[Consistency]
    CONSISTENCY_SESSION: _ClassVar[Consistency]

class FusionMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FUSION_METHOD_UNSPECIFIED: _ClassVar[FusionMethod]
    FUSION_METHOD_RRF: _ClassVar[FusionMethod]
    FUSION_METHOD_WEIGHTED: _ClassVar[FusionMethod]

class MatchKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MATCH_KIND_UNSPECIFIED: _ClassVar[MatchKind]
    MATCH_KIND_EXACT: _ClassVar[MatchKind]
    MATCH_KIND_NEAR_DUPLICATE: _ClassVar[MatchKind]
    MATCH_KIND_SIMILAR: _ClassVar[MatchKind]
CONSISTENCY_UNSPECIFIED: Consistency
CONSISTENCY_EVENTUAL: Consistency
CONSISTENCY_SESSION: Consistency
FUSION_METHOD_UNSPECIFIED: FusionMethod
FUSION_METHOD_RRF: FusionMethod
FUSION_METHOD_WEIGHTED: FusionMethod
MATCH_KIND_UNSPECIFIED: MatchKind
MATCH_KIND_EXACT: MatchKind
MATCH_KIND_NEAR_DUPLICATE: MatchKind
MATCH_KIND_SIMILAR: MatchKind

class Combination(_message.Message):
    __slots__ = ("parts",)
    class Part(_message.Message):
        __slots__ = ("image", "image_id", "text", "vector", "weight")
        IMAGE_FIELD_NUMBER: _ClassVar[int]
        IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
        TEXT_FIELD_NUMBER: _ClassVar[int]
        VECTOR_FIELD_NUMBER: _ClassVar[int]
        WEIGHT_FIELD_NUMBER: _ClassVar[int]
        image: bytes
        image_id: str
        text: str
        vector: _common_pb2.Vector
        weight: float
        def __init__(self, image: _Optional[bytes] = ..., image_id: _Optional[str] = ..., text: _Optional[str] = ..., vector: _Optional[_Union[_common_pb2.Vector, _Mapping]] = ..., weight: _Optional[float] = ...) -> None: ...
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parts: _containers.RepeatedCompositeFieldContainer[Combination.Part]
    def __init__(self, parts: _Optional[_Iterable[_Union[Combination.Part, _Mapping]]] = ...) -> None: ...

class Fusion(_message.Message):
    __slots__ = ("spaces", "method", "rrf_k")
    class Space(_message.Message):
        __slots__ = ("space", "weight", "min_score")
        SPACE_FIELD_NUMBER: _ClassVar[int]
        WEIGHT_FIELD_NUMBER: _ClassVar[int]
        MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
        space: str
        weight: float
        min_score: float
        def __init__(self, space: _Optional[str] = ..., weight: _Optional[float] = ..., min_score: _Optional[float] = ...) -> None: ...
    SPACES_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    RRF_K_FIELD_NUMBER: _ClassVar[int]
    spaces: _containers.RepeatedCompositeFieldContainer[Fusion.Space]
    method: FusionMethod
    rrf_k: int
    def __init__(self, spaces: _Optional[_Iterable[_Union[Fusion.Space, _Mapping]]] = ..., method: _Optional[_Union[FusionMethod, str]] = ..., rrf_k: _Optional[int] = ...) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("collection", "image", "image_id", "region_id", "text", "vector", "combination", "box", "space", "fusion", "limit", "offset", "min_score", "params", "consistency", "token", "include")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    REGION_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    COMBINATION_FIELD_NUMBER: _ClassVar[int]
    BOX_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    FUSION_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    collection: str
    image: bytes
    image_id: str
    region_id: str
    text: str
    vector: _common_pb2.Vector
    combination: Combination
    box: _common_pb2.Box
    space: str
    fusion: Fusion
    limit: int
    offset: int
    min_score: float
    params: _common_pb2.SearchParams
    consistency: Consistency
    token: _common_pb2.SeqToken
    include: Include
    def __init__(self, collection: _Optional[str] = ..., image: _Optional[bytes] = ..., image_id: _Optional[str] = ..., region_id: _Optional[str] = ..., text: _Optional[str] = ..., vector: _Optional[_Union[_common_pb2.Vector, _Mapping]] = ..., combination: _Optional[_Union[Combination, _Mapping]] = ..., box: _Optional[_Union[_common_pb2.Box, _Mapping]] = ..., space: _Optional[str] = ..., fusion: _Optional[_Union[Fusion, _Mapping]] = ..., limit: _Optional[int] = ..., offset: _Optional[int] = ..., min_score: _Optional[float] = ..., params: _Optional[_Union[_common_pb2.SearchParams, _Mapping]] = ..., consistency: _Optional[_Union[Consistency, str]] = ..., token: _Optional[_Union[_common_pb2.SeqToken, _Mapping]] = ..., include: _Optional[_Union[Include, _Mapping]] = ...) -> None: ...

class Include(_message.Message):
    __slots__ = ("attributes", "regions", "masks", "match")
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    MASKS_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    attributes: bool
    regions: bool
    masks: bool
    match: bool
    def __init__(self, attributes: _Optional[bool] = ..., regions: _Optional[bool] = ..., masks: _Optional[bool] = ..., match: _Optional[bool] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ...) -> None: ...

class Match(_message.Message):
    __slots__ = ("kind", "inliers", "quad")
    KIND_FIELD_NUMBER: _ClassVar[int]
    INLIERS_FIELD_NUMBER: _ClassVar[int]
    QUAD_FIELD_NUMBER: _ClassVar[int]
    kind: MatchKind
    inliers: int
    quad: _containers.RepeatedCompositeFieldContainer[Point]
    def __init__(self, kind: _Optional[_Union[MatchKind, str]] = ..., inliers: _Optional[int] = ..., quad: _Optional[_Iterable[_Union[Point, _Mapping]]] = ...) -> None: ...

class Hit(_message.Message):
    __slots__ = ("image_id", "score", "scores", "attributes", "region", "match")
    class ScoresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _common_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_common_pb2.Value, _Mapping]] = ...) -> None: ...
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    MATCH_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    score: float
    scores: _containers.ScalarMap[str, float]
    attributes: _containers.MessageMap[str, _common_pb2.Value]
    region: _common_pb2.Region
    match: Match
    def __init__(self, image_id: _Optional[str] = ..., score: _Optional[float] = ..., scores: _Optional[_Mapping[str, float]] = ..., attributes: _Optional[_Mapping[str, _common_pb2.Value]] = ..., region: _Optional[_Union[_common_pb2.Region, _Mapping]] = ..., match: _Optional[_Union[Match, _Mapping]] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("shards_total", "shards_answered")
    SHARDS_TOTAL_FIELD_NUMBER: _ClassVar[int]
    SHARDS_ANSWERED_FIELD_NUMBER: _ClassVar[int]
    shards_total: int
    shards_answered: int
    def __init__(self, shards_total: _Optional[int] = ..., shards_answered: _Optional[int] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("total", "queue", "decode", "inference", "search", "merge", "hydrate")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    DECODE_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    MERGE_FIELD_NUMBER: _ClassVar[int]
    HYDRATE_FIELD_NUMBER: _ClassVar[int]
    total: float
    queue: float
    decode: float
    inference: float
    search: float
    merge: float
    hydrate: float
    def __init__(self, total: _Optional[float] = ..., queue: _Optional[float] = ..., decode: _Optional[float] = ..., inference: _Optional[float] = ..., search: _Optional[float] = ..., merge: _Optional[float] = ..., hydrate: _Optional[float] = ...) -> None: ...

class QueryResponse(_message.Message):
    __slots__ = ("hits", "coverage", "timings", "space", "attributes_missing", "regions_missing", "matches_missing")
    HITS_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_MISSING_FIELD_NUMBER: _ClassVar[int]
    REGIONS_MISSING_FIELD_NUMBER: _ClassVar[int]
    MATCHES_MISSING_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    coverage: Coverage
    timings: Timings
    space: str
    attributes_missing: bool
    regions_missing: bool
    matches_missing: bool
    def __init__(self, hits: _Optional[_Iterable[_Union[Hit, _Mapping]]] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., space: _Optional[str] = ..., attributes_missing: _Optional[bool] = ..., regions_missing: _Optional[bool] = ..., matches_missing: _Optional[bool] = ...) -> None: ...

class ImageIds(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Images(_message.Message):
    __slots__ = ("contents",)
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    contents: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, contents: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Texts(_message.Message):
    __slots__ = ("texts",)
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    texts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, texts: _Optional[_Iterable[str]] = ...) -> None: ...

class QueryBatchRequest(_message.Message):
    __slots__ = ("collection", "vectors", "image_ids", "images", "texts", "space", "limit", "min_score", "params", "consistency", "token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    vectors: _common_pb2.Vectors
    image_ids: ImageIds
    images: Images
    texts: Texts
    space: str
    limit: int
    min_score: float
    params: _common_pb2.SearchParams
    consistency: Consistency
    token: _common_pb2.SeqToken
    def __init__(self, collection: _Optional[str] = ..., vectors: _Optional[_Union[_common_pb2.Vectors, _Mapping]] = ..., image_ids: _Optional[_Union[ImageIds, _Mapping]] = ..., images: _Optional[_Union[Images, _Mapping]] = ..., texts: _Optional[_Union[Texts, _Mapping]] = ..., space: _Optional[str] = ..., limit: _Optional[int] = ..., min_score: _Optional[float] = ..., params: _Optional[_Union[_common_pb2.SearchParams, _Mapping]] = ..., consistency: _Optional[_Union[Consistency, str]] = ..., token: _Optional[_Union[_common_pb2.SeqToken, _Mapping]] = ...) -> None: ...

class PackedHits(_message.Message):
    __slots__ = ("image_ids", "scores", "ordinals")
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    ORDINALS_FIELD_NUMBER: _ClassVar[int]
    image_ids: _containers.RepeatedScalarFieldContainer[str]
    scores: _containers.RepeatedScalarFieldContainer[float]
    ordinals: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, image_ids: _Optional[_Iterable[str]] = ..., scores: _Optional[_Iterable[float]] = ..., ordinals: _Optional[_Iterable[int]] = ...) -> None: ...

class QueryBatchResponse(_message.Message):
    __slots__ = ("results", "coverage", "timings", "space")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[PackedHits]
    coverage: Coverage
    timings: Timings
    space: str
    def __init__(self, results: _Optional[_Iterable[_Union[PackedHits, _Mapping]]] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., space: _Optional[str] = ...) -> None: ...

class ClassifyRequest(_message.Message):
    __slots__ = ("collection", "images", "image_ids", "labels", "templates", "space", "consistency", "token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TEMPLATES_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    images: Images
    image_ids: ImageIds
    labels: _containers.RepeatedScalarFieldContainer[str]
    templates: _containers.RepeatedScalarFieldContainer[str]
    space: str
    consistency: Consistency
    token: _common_pb2.SeqToken
    def __init__(self, collection: _Optional[str] = ..., images: _Optional[_Union[Images, _Mapping]] = ..., image_ids: _Optional[_Union[ImageIds, _Mapping]] = ..., labels: _Optional[_Iterable[str]] = ..., templates: _Optional[_Iterable[str]] = ..., space: _Optional[str] = ..., consistency: _Optional[_Union[Consistency, str]] = ..., token: _Optional[_Union[_common_pb2.SeqToken, _Mapping]] = ...) -> None: ...

class Classification(_message.Message):
    __slots__ = ("probabilities",)
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, probabilities: _Optional[_Iterable[float]] = ...) -> None: ...

class ClassifyResponse(_message.Message):
    __slots__ = ("results", "exclusive", "timings", "space")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Classification]
    exclusive: bool
    timings: Timings
    space: str
    def __init__(self, results: _Optional[_Iterable[_Union[Classification, _Mapping]]] = ..., exclusive: _Optional[bool] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., space: _Optional[str] = ...) -> None: ...

class QuerySceneRequest(_message.Message):
    __slots__ = ("collection", "image", "image_id", "max_objects", "limit", "min_score", "params", "consistency", "token", "include")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_OBJECTS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FIELD_NUMBER: _ClassVar[int]
    collection: str
    image: bytes
    image_id: str
    max_objects: int
    limit: int
    min_score: float
    params: _common_pb2.SearchParams
    consistency: Consistency
    token: _common_pb2.SeqToken
    include: Include
    def __init__(self, collection: _Optional[str] = ..., image: _Optional[bytes] = ..., image_id: _Optional[str] = ..., max_objects: _Optional[int] = ..., limit: _Optional[int] = ..., min_score: _Optional[float] = ..., params: _Optional[_Union[_common_pb2.SearchParams, _Mapping]] = ..., consistency: _Optional[_Union[Consistency, str]] = ..., token: _Optional[_Union[_common_pb2.SeqToken, _Mapping]] = ..., include: _Optional[_Union[Include, _Mapping]] = ...) -> None: ...

class SceneObject(_message.Message):
    __slots__ = ("region", "hits")
    REGION_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    region: _common_pb2.Region
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    def __init__(self, region: _Optional[_Union[_common_pb2.Region, _Mapping]] = ..., hits: _Optional[_Iterable[_Union[Hit, _Mapping]]] = ...) -> None: ...

class ObjectMatch(_message.Message):
    __slots__ = ("score", "region")
    SCORE_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    score: float
    region: _common_pb2.Region
    def __init__(self, score: _Optional[float] = ..., region: _Optional[_Union[_common_pb2.Region, _Mapping]] = ...) -> None: ...

class SceneHit(_message.Message):
    __slots__ = ("image_id", "score", "attributes", "objects")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _common_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_common_pb2.Value, _Mapping]] = ...) -> None: ...
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    score: float
    attributes: _containers.MessageMap[str, _common_pb2.Value]
    objects: _containers.RepeatedCompositeFieldContainer[ObjectMatch]
    def __init__(self, image_id: _Optional[str] = ..., score: _Optional[float] = ..., attributes: _Optional[_Mapping[str, _common_pb2.Value]] = ..., objects: _Optional[_Iterable[_Union[ObjectMatch, _Mapping]]] = ...) -> None: ...

class QuerySceneResponse(_message.Message):
    __slots__ = ("objects", "pictures", "objects_found", "coverage", "timings", "space", "attributes_missing", "regions_missing", "width", "height")
    OBJECTS_FIELD_NUMBER: _ClassVar[int]
    PICTURES_FIELD_NUMBER: _ClassVar[int]
    OBJECTS_FOUND_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_MISSING_FIELD_NUMBER: _ClassVar[int]
    REGIONS_MISSING_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    objects: _containers.RepeatedCompositeFieldContainer[SceneObject]
    pictures: _containers.RepeatedCompositeFieldContainer[SceneHit]
    objects_found: int
    coverage: Coverage
    timings: Timings
    space: str
    attributes_missing: bool
    regions_missing: bool
    width: int
    height: int
    def __init__(self, objects: _Optional[_Iterable[_Union[SceneObject, _Mapping]]] = ..., pictures: _Optional[_Iterable[_Union[SceneHit, _Mapping]]] = ..., objects_found: _Optional[int] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., space: _Optional[str] = ..., attributes_missing: _Optional[bool] = ..., regions_missing: _Optional[bool] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class FindDuplicatesRequest(_message.Message):
    __slots__ = ("collection", "image", "image_id", "limit", "min_score", "consistency", "token")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MIN_SCORE_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    collection: str
    image: bytes
    image_id: str
    limit: int
    min_score: float
    consistency: Consistency
    token: _common_pb2.SeqToken
    def __init__(self, collection: _Optional[str] = ..., image: _Optional[bytes] = ..., image_id: _Optional[str] = ..., limit: _Optional[int] = ..., min_score: _Optional[float] = ..., consistency: _Optional[_Union[Consistency, str]] = ..., token: _Optional[_Union[_common_pb2.SeqToken, _Mapping]] = ...) -> None: ...

class FindDuplicatesResponse(_message.Message):
    __slots__ = ("hits", "coverage", "timings", "space", "compared", "matches_missing")
    HITS_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    SPACE_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    MATCHES_MISSING_FIELD_NUMBER: _ClassVar[int]
    hits: _containers.RepeatedCompositeFieldContainer[Hit]
    coverage: Coverage
    timings: Timings
    space: str
    compared: int
    matches_missing: bool
    def __init__(self, hits: _Optional[_Iterable[_Union[Hit, _Mapping]]] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., space: _Optional[str] = ..., compared: _Optional[int] = ..., matches_missing: _Optional[bool] = ...) -> None: ...
