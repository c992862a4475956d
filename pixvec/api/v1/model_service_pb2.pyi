import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_KIND_UNSPECIFIED: _ClassVar[ModelKind]
    MODEL_KIND_NETWORK: _ClassVar[ModelKind]
    MODEL_KIND_CROSS_MODAL: _ClassVar[ModelKind]
    MODEL_KIND_HANDCRAFTED: _ClassVar[ModelKind]
    MODEL_KIND_DETECTOR: _ClassVar[ModelKind]
    MODEL_KIND_FITTED: _ClassVar[ModelKind]

class FittedKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FITTED_KIND_UNSPECIFIED: _ClassVar[FittedKind]
    FITTED_KIND_SIFT_BOW: _ClassVar[FittedKind]
    FITTED_KIND_SIFT_VLAD: _ClassVar[FittedKind]
    FITTED_KIND_PCA: _ClassVar[FittedKind]
    FITTED_KIND_PCA_WHITENED: _ClassVar[FittedKind]
MODEL_KIND_UNSPECIFIED: ModelKind
MODEL_KIND_NETWORK: ModelKind
MODEL_KIND_CROSS_MODAL: ModelKind
MODEL_KIND_HANDCRAFTED: ModelKind
MODEL_KIND_DETECTOR: ModelKind
MODEL_KIND_FITTED: ModelKind
FITTED_KIND_UNSPECIFIED: FittedKind
FITTED_KIND_SIFT_BOW: FittedKind
FITTED_KIND_SIFT_VLAD: FittedKind
FITTED_KIND_PCA: FittedKind
FITTED_KIND_PCA_WHITENED: FittedKind

class Model(_message.Message):
    __slots__ = ("name", "kind", "dim", "description", "parameters", "size_bytes", "source", "licence", "available", "detail", "takes_text", "fitted")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DIM_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    TAKES_TEXT_FIELD_NUMBER: _ClassVar[int]
    FITTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: ModelKind
    dim: int
    description: str
    parameters: int
    size_bytes: int
    source: str
    licence: str
    available: bool
    detail: str
    takes_text: bool
    fitted: FittedModel
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[ModelKind, str]] = ..., dim: _Optional[int] = ..., description: _Optional[str] = ..., parameters: _Optional[int] = ..., size_bytes: _Optional[int] = ..., source: _Optional[str] = ..., licence: _Optional[str] = ..., available: _Optional[bool] = ..., detail: _Optional[str] = ..., takes_text: _Optional[bool] = ..., fitted: _Optional[_Union[FittedModel, _Mapping]] = ...) -> None: ...

class FittedModel(_message.Message):
    __slots__ = ("name", "kind", "base_model", "digest", "content_hash", "collection", "create_time")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: FittedKind
    base_model: str
    digest: str
    content_hash: str
    collection: str
    create_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[FittedKind, str]] = ..., base_model: _Optional[str] = ..., digest: _Optional[str] = ..., content_hash: _Optional[str] = ..., collection: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class RegisterModelRequest(_message.Message):
    __slots__ = ("name", "kind", "base_model", "content", "content_hash")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BASE_MODEL_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: FittedKind
    base_model: str
    content: bytes
    content_hash: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[FittedKind, str]] = ..., base_model: _Optional[str] = ..., content: _Optional[bytes] = ..., content_hash: _Optional[str] = ...) -> None: ...

class RegisterModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class DeleteModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class DeleteModelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
