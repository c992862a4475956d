import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from pixvec.api.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class IngestStage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INGEST_STAGE_UNSPECIFIED: _ClassVar[IngestStage]
    INGEST_STAGE_QUEUED: _ClassVar[IngestStage]
    INGEST_STAGE_DECODED: _ClassVar[IngestStage]
    INGEST_STAGE_EMBEDDED: _ClassVar[IngestStage]
    INGEST_STAGE_INDEXED: _ClassVar[IngestStage]

class OnExisting(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_EXISTING_UNSPECIFIED: _ClassVar[OnExisting]
    ON_EXISTING_REPLACE: _ClassVar[OnExisting]
    ON_EXISTING_SKIP: _ClassVar[OnExisting]
    ON_EXISTING_FAIL: _ClassVar[OnExisting]

class OnDuplicate(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_DUPLICATE_UNSPECIFIED: _ClassVar[OnDuplicate]
    ON_DUPLICATE_KEEP: _ClassVar[OnDuplicate]
    ON_DUPLICATE_LINK: _ClassVar[OnDuplicate]
    ON_DUPLICATE_REJECT: _ClassVar[OnDuplicate]

class ImageState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMAGE_STATE_UNSPECIFIED: _ClassVar[ImageState]
    IMAGE_STATE_PENDING: _ClassVar[ImageState]
    IMAGE_STATE_INDEXED: _ClassVar[ImageState]
    IMAGE_STATE_FAILED: _ClassVar[ImageState]
    IMAGE_STATE_LINKED: _ClassVar[ImageState]

class ContentVariant(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONTENT_VARIANT_UNSPECIFIED: _ClassVar[ContentVariant]
    CONTENT_VARIANT_ORIGINAL: _ClassVar[ContentVariant]
    CONTENT_VARIANT_THUMBNAIL: _ClassVar[ContentVariant]
INGEST_STAGE_UNSPECIFIED: IngestStage
INGEST_STAGE_QUEUED: IngestStage
INGEST_STAGE_DECODED: IngestStage
INGEST_STAGE_EMBEDDED: IngestStage
INGEST_STAGE_INDEXED: IngestStage
ON_EXISTING_UNSPECIFIED: OnExisting
ON_EXISTING_REPLACE: OnExisting
ON_EXISTING_SKIP: OnExisting
ON_EXISTING_FAIL: OnExisting
ON_DUPLICATE_UNSPECIFIED: OnDuplicate
ON_DUPLICATE_KEEP: OnDuplicate
ON_DUPLICATE_LINK: OnDuplicate
ON_DUPLICATE_REJECT: OnDuplicate
IMAGE_STATE_UNSPECIFIED: ImageState
IMAGE_STATE_PENDING: ImageState
IMAGE_STATE_INDEXED: ImageState
IMAGE_STATE_FAILED: ImageState
IMAGE_STATE_LINKED: ImageState
CONTENT_VARIANT_UNSPECIFIED: ContentVariant
CONTENT_VARIANT_ORIGINAL: ContentVariant
CONTENT_VARIANT_THUMBNAIL: ContentVariant

class IngestRequest(_message.Message):
    __slots__ = ("open", "item")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    open: IngestOpen
    item: IngestItem
    def __init__(self, open: _Optional[_Union[IngestOpen, _Mapping]] = ..., item: _Optional[_Union[IngestItem, _Mapping]] = ...) -> None: ...

class IngestOpen(_message.Message):
    __slots__ = ("collection", "job_id", "on_existing", "wait", "on_duplicate")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    ON_EXISTING_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    ON_DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    collection: str
    job_id: str
    on_existing: OnExisting
    wait: IngestStage
    on_duplicate: OnDuplicate
    def __init__(self, collection: _Optional[str] = ..., job_id: _Optional[str] = ..., on_existing: _Optional[_Union[OnExisting, str]] = ..., wait: _Optional[_Union[IngestStage, str]] = ..., on_duplicate: _Optional[_Union[OnDuplicate, str]] = ...) -> None: ...

class IngestItem(_message.Message):
    __slots__ = ("ordinal", "image_id", "content", "uri", "attributes")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _common_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_common_pb2.Value, _Mapping]] = ...) -> None: ...
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    ordinal: int
    image_id: str
    content: bytes
    uri: str
    attributes: _containers.MessageMap[str, _common_pb2.Value]
    def __init__(self, ordinal: _Optional[int] = ..., image_id: _Optional[str] = ..., content: _Optional[bytes] = ..., uri: _Optional[str] = ..., attributes: _Optional[_Mapping[str, _common_pb2.Value]] = ...) -> None: ...

class IngestResponse(_message.Message):
    __slots__ = ("opened", "statuses")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    opened: IngestOpened
    statuses: IngestStatuses
    def __init__(self, opened: _Optional[_Union[IngestOpened, _Mapping]] = ..., statuses: _Optional[_Union[IngestStatuses, _Mapping]] = ...) -> None: ...

class IngestOpened(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class IngestStatuses(_message.Message):
    __slots__ = ("statuses",)
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedCompositeFieldContainer[IngestItemStatus]
    def __init__(self, statuses: _Optional[_Iterable[_Union[IngestItemStatus, _Mapping]]] = ...) -> None: ...

class IngestItemStatus(_message.Message):
    __slots__ = ("ordinal", "image_id", "stage", "error", "position", "unchanged", "duplicate_of")
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_OF_FIELD_NUMBER: _ClassVar[int]
    ordinal: int
    image_id: str
    stage: IngestStage
    error: ItemError
    position: _common_pb2.ShardPosition
    unchanged: bool
    duplicate_of: str
    def __init__(self, ordinal: _Optional[int] = ..., image_id: _Optional[str] = ..., stage: _Optional[_Union[IngestStage, str]] = ..., error: _Optional[_Union[ItemError, _Mapping]] = ..., position: _Optional[_Union[_common_pb2.ShardPosition, _Mapping]] = ..., unchanged: _Optional[bool] = ..., duplicate_of: _Optional[str] = ...) -> None: ...

class ItemError(_message.Message):
    __slots__ = ("reason", "message", "retryable")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    retryable: bool
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("image_id", "state", "width", "height", "format", "size_bytes", "content_hash", "attributes", "create_time", "update_time", "error", "regions", "duplicate_of")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _common_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_common_pb2.Value, _Mapping]] = ...) -> None: ...
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    REGIONS_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_OF_FIELD_NUMBER: _ClassVar[int]
    image_id: str
    state: ImageState
    width: int
    height: int
    format: str
    size_bytes: int
    content_hash: str
    attributes: _containers.MessageMap[str, _common_pb2.Value]
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    error: ItemError
    regions: _containers.RepeatedCompositeFieldContainer[_common_pb2.Region]
    duplicate_of: str
    def __init__(self, image_id: _Optional[str] = ..., state: _Optional[_Union[ImageState, str]] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., format: _Optional[str] = ..., size_bytes: _Optional[int] = ..., content_hash: _Optional[str] = ..., attributes: _Optional[_Mapping[str, _common_pb2.Value]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., error: _Optional[_Union[ItemError, _Mapping]] = ..., regions: _Optional[_Iterable[_Union[_common_pb2.Region, _Mapping]]] = ..., duplicate_of: _Optional[str] = ...) -> None: ...

class GetImageRequest(_message.Message):
    __slots__ = ("collection", "image_id", "include_regions")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_REGIONS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    image_id: str
    include_regions: bool
    def __init__(self, collection: _Optional[str] = ..., image_id: _Optional[str] = ..., include_regions: _Optional[bool] = ...) -> None: ...

class GetImageResponse(_message.Message):
    __slots__ = ("image",)
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    image: Image
    def __init__(self, image: _Optional[_Union[Image, _Mapping]] = ...) -> None: ...

class DeleteImagesRequest(_message.Message):
    __slots__ = ("collection", "image_ids")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_IDS_FIELD_NUMBER: _ClassVar[int]
    collection: str
    image_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, collection: _Optional[str] = ..., image_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class DeleteImagesResponse(_message.Message):
    __slots__ = ("deleted", "not_found", "token")
    DELETED_FIELD_NUMBER: _ClassVar[int]
    NOT_FOUND_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    deleted: int
    not_found: int
    token: _common_pb2.SeqToken
    def __init__(self, deleted: _Optional[int] = ..., not_found: _Optional[int] = ..., token: _Optional[_Union[_common_pb2.SeqToken, _Mapping]] = ...) -> None: ...

class GetContentRequest(_message.Message):
    __slots__ = ("collection", "image_id", "variant")
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ID_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    collection: str
    image_id: str
    variant: ContentVariant
    def __init__(self, collection: _Optional[str] = ..., image_id: _Optional[str] = ..., variant: _Optional[_Union[ContentVariant, str]] = ...) -> None: ...

class GetContentResponse(_message.Message):
    __slots__ = ("content", "media_type")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    media_type: str
    def __init__(self, content: _Optional[bytes] = ..., media_type: _Optional[str] = ...) -> None: ...
