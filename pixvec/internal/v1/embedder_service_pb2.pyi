from buf.validate import validate_pb2 as _validate_pb2
from pixvec.api.v1 import collection_service_pb2 as _collection_service_pb2
from pixvec.api.v1 import common_pb2 as _common_pb2
from pixvec.api.v1 import image_service_pb2 as _image_service_pb2
from pixvec.api.v1 import model_service_pb2 as _model_service_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EmbedImagesRequest(_message.Message):
    __slots__ = ("model", "digest", "images", "boxes")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    BOXES_FIELD_NUMBER: _ClassVar[int]
    model: str
    digest: bytes
    images: _containers.RepeatedScalarFieldContainer[bytes]
    boxes: _containers.RepeatedCompositeFieldContainer[_common_pb2.Box]
    def __init__(self, model: _Optional[str] = ..., digest: _Optional[bytes] = ..., images: _Optional[_Iterable[bytes]] = ..., boxes: _Optional[_Iterable[_Union[_common_pb2.Box, _Mapping]]] = ...) -> None: ...

class EmbedImagesResponse(_message.Message):
    __slots__ = ("embeddings", "queue_seconds", "decode_seconds", "inference_seconds")
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DECODE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    embeddings: _containers.RepeatedCompositeFieldContainer[ImageEmbedding]
    queue_seconds: float
    decode_seconds: float
    inference_seconds: float
    def __init__(self, embeddings: _Optional[_Iterable[_Union[ImageEmbedding, _Mapping]]] = ..., queue_seconds: _Optional[float] = ..., decode_seconds: _Optional[float] = ..., inference_seconds: _Optional[float] = ...) -> None: ...

class ImageEmbedding(_message.Message):
    __slots__ = ("vector", "error")
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    vector: bytes
    error: _image_service_pb2.ItemError
    def __init__(self, vector: _Optional[bytes] = ..., error: _Optional[_Union[_image_service_pb2.ItemError, _Mapping]] = ...) -> None: ...

class EmbedTextsRequest(_message.Message):
    __slots__ = ("model", "digest", "texts")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    model: str
    digest: bytes
    texts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., digest: _Optional[bytes] = ..., texts: _Optional[_Iterable[str]] = ...) -> None: ...

class EmbedTextsResponse(_message.Message):
    __slots__ = ("vectors", "queue_seconds", "inference_seconds")
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    vectors: _containers.RepeatedScalarFieldContainer[bytes]
    queue_seconds: float
    inference_seconds: float
    def __init__(self, vectors: _Optional[_Iterable[bytes]] = ..., queue_seconds: _Optional[float] = ..., inference_seconds: _Optional[float] = ...) -> None: ...

class ClassifyImagesRequest(_message.Message):
    __slots__ = ("model", "digest", "labels", "templates", "images", "vectors")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TEMPLATES_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    model: str
    digest: bytes
    labels: _containers.RepeatedScalarFieldContainer[str]
    templates: _containers.RepeatedScalarFieldContainer[str]
    images: _containers.RepeatedScalarFieldContainer[bytes]
    vectors: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, model: _Optional[str] = ..., digest: _Optional[bytes] = ..., labels: _Optional[_Iterable[str]] = ..., templates: _Optional[_Iterable[str]] = ..., images: _Optional[_Iterable[bytes]] = ..., vectors: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ClassifyImagesResponse(_message.Message):
    __slots__ = ("results", "exclusive", "queue_seconds", "decode_seconds", "inference_seconds")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DECODE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ImageClasses]
    exclusive: bool
    queue_seconds: float
    decode_seconds: float
    inference_seconds: float
    def __init__(self, results: _Optional[_Iterable[_Union[ImageClasses, _Mapping]]] = ..., exclusive: _Optional[bool] = ..., queue_seconds: _Optional[float] = ..., decode_seconds: _Optional[float] = ..., inference_seconds: _Optional[float] = ...) -> None: ...

class ImageClasses(_message.Message):
    __slots__ = ("probabilities", "error")
    PROBABILITIES_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    probabilities: _containers.RepeatedScalarFieldContainer[float]
    error: _image_service_pb2.ItemError
    def __init__(self, probabilities: _Optional[_Iterable[float]] = ..., error: _Optional[_Union[_image_service_pb2.ItemError, _Mapping]] = ...) -> None: ...

class DetectRegionsRequest(_message.Message):
    __slots__ = ("settings", "image_model", "digest", "images", "boxes")
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_MODEL_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    BOXES_FIELD_NUMBER: _ClassVar[int]
    settings: _collection_service_pb2.RegionSettings
    image_model: str
    digest: bytes
    images: _containers.RepeatedScalarFieldContainer[bytes]
    boxes: _containers.RepeatedCompositeFieldContainer[_common_pb2.Box]
    def __init__(self, settings: _Optional[_Union[_collection_service_pb2.RegionSettings, _Mapping]] = ..., image_model: _Optional[str] = ..., digest: _Optional[bytes] = ..., images: _Optional[_Iterable[bytes]] = ..., boxes: _Optional[_Iterable[_Union[_common_pb2.Box, _Mapping]]] = ...) -> None: ...

class DetectRegionsResponse(_message.Message):
    __slots__ = ("results", "queue_seconds", "decode_seconds", "inference_seconds")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DECODE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    INFERENCE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ImageRegions]
    queue_seconds: float
    decode_seconds: float
    inference_seconds: float
    def __init__(self, results: _Optional[_Iterable[_Union[ImageRegions, _Mapping]]] = ..., queue_seconds: _Optional[float] = ..., decode_seconds: _Optional[float] = ..., inference_seconds: _Optional[float] = ...) -> None: ...

class ImageRegions(_message.Message):
    __slots__ = ("regions", "vectors", "dim", "width", "height", "error")
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_FIELD_NUMBER: _ClassVar[int]
    DIM_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    regions: _containers.RepeatedCompositeFieldContainer[_common_pb2.Region]
    vectors: bytes
    dim: int
    width: int
    height: int
    error: _image_service_pb2.ItemError
    def __init__(self, regions: _Optional[_Iterable[_Union[_common_pb2.Region, _Mapping]]] = ..., vectors: _Optional[bytes] = ..., dim: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., error: _Optional[_Union[_image_service_pb2.ItemError, _Mapping]] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "dim", "description", "available", "detail", "parameters", "size_bytes", "source", "licence", "kind", "takes_text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIM_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TAKES_TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    dim: int
    description: str
    available: bool
    detail: str
    parameters: int
    size_bytes: int
    source: str
    licence: str
    kind: _model_service_pb2.ModelKind
    takes_text: bool
    def __init__(self, name: _Optional[str] = ..., dim: _Optional[int] = ..., description: _Optional[str] = ..., available: _Optional[bool] = ..., detail: _Optional[str] = ..., parameters: _Optional[int] = ..., size_bytes: _Optional[int] = ..., source: _Optional[str] = ..., licence: _Optional[str] = ..., kind: _Optional[_Union[_model_service_pb2.ModelKind, str]] = ..., takes_text: _Optional[bool] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class TryFittedRequest(_message.Message):
    __slots__ = ("name", "kind", "base_model", "content")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: _model_service_pb2.FittedKind
    base_model: str
    content: bytes
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[_model_service_pb2.FittedKind, str]] = ..., base_model: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class TryFittedResponse(_message.Message):
    __slots__ = ("dim", "digest", "base_model")
    DIM_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    dim: int
    digest: bytes
    base_model: str
    def __init__(self, dim: _Optional[int] = ..., digest: _Optional[bytes] = ..., base_model: _Optional[str] = ...) -> None: ...

class ResolveModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class ResolveModelResponse(_message.Message):
    __slots__ = ("model", "dim", "digest", "reason", "takes_text")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DIM_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TAKES_TEXT_FIELD_NUMBER: _ClassVar[int]
    model: str
    dim: int
    digest: bytes
    reason: str
    takes_text: bool
    def __init__(self, model: _Optional[str] = ..., dim: _Optional[int] = ..., digest: _Optional[bytes] = ..., reason: _Optional[str] = ..., takes_text: _Optional[bool] = ...) -> None: ...

class ResolveRegionsRequest(_message.Message):
    __slots__ = ("settings", "image_model")
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    IMAGE_MODEL_FIELD_NUMBER: _ClassVar[int]
    settings: _collection_service_pb2.RegionSettings
    image_model: str
    def __init__(self, settings: _Optional[_Union[_collection_service_pb2.RegionSettings, _Mapping]] = ..., image_model: _Optional[str] = ...) -> None: ...

class ResolveRegionsResponse(_message.Message):
    __slots__ = ("detector", "dim", "digest")
    DETECTOR_FIELD_NUMBER: _ClassVar[int]
    DIM_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    detector: str
    dim: int
    digest: bytes
    def __init__(self, detector: _Optional[str] = ..., dim: _Optional[int] = ..., digest: _Optional[bytes] = ...) -> None: ...

class RenderThumbnailRequest(_message.Message):
    __slots__ = ("image", "max_side")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    MAX_SIDE_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    max_side: int
    def __init__(self, image: _Optional[bytes] = ..., max_side: _Optional[int] = ...) -> None: ...

class RenderThumbnailResponse(_message.Message):
    __slots__ = ("jpeg",)
    JPEG_FIELD_NUMBER: _ClassVar[int]
    jpeg: bytes
    def __init__(self, jpeg: _Optional[bytes] = ...) -> None: ...

class HashImageRequest(_message.Message):
    __slots__ = ("image",)
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    def __init__(self, image: _Optional[bytes] = ...) -> None: ...

class HashImageResponse(_message.Message):
    __slots__ = ("perceptual_hash",)
    PERCEPTUAL_HASH_FIELD_NUMBER: _ClassVar[int]
    perceptual_hash: int
    def __init__(self, perceptual_hash: _Optional[int] = ...) -> None: ...

class CompareImagesRequest(_message.Message):
    __slots__ = ("image", "content_hash", "candidates", "limit_seconds")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    image: bytes
    content_hash: str
    candidates: _containers.RepeatedScalarFieldContainer[str]
    limit_seconds: float
    def __init__(self, image: _Optional[bytes] = ..., content_hash: _Optional[str] = ..., candidates: _Optional[_Iterable[str]] = ..., limit_seconds: _Optional[float] = ...) -> None: ...

class CompareImagesResponse(_message.Message):
    __slots__ = ("comparisons",)
    COMPARISONS_FIELD_NUMBER: _ClassVar[int]
    comparisons: _containers.RepeatedCompositeFieldContainer[Comparison]
    def __init__(self, comparisons: _Optional[_Iterable[_Union[Comparison, _Mapping]]] = ...) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("compared", "inliers", "quad_xy")
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    INLIERS_FIELD_NUMBER: _ClassVar[int]
    QUAD_XY_FIELD_NUMBER: _ClassVar[int]
    compared: bool
    inliers: int
    quad_xy: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, compared: _Optional[bool] = ..., inliers: _Optional[int] = ..., quad_xy: _Optional[_Iterable[float]] = ...) -> None: ...
