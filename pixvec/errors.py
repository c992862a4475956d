"""Every error pixvec raises on purpose.

    PixvecError
    ├── InvalidRequest                what was sent can never work; `field` names the part
    │   ├── InvalidVector             wrong dimension, not finite, or of length zero
    │   ├── UriNotAllowed             outside the roots the deployment allows
    │   └── PictureError              bytes that do not become a picture
    │       ├── PictureEmpty
    │       ├── PictureNotRecognised  no known image format
    │       ├── PictureFormatNotAllowed
    │       ├── PictureTruncated
    │       ├── PictureTooLarge       more pixels or bytes than the limit
    │       ├── PictureUndecodable    damaged, or beyond the decoder's time or memory
    │       └── BoxOutside            a part of the picture was asked for that it does not have
    ├── NotFound
    │   ├── CollectionNotFound
    │   ├── SpaceNotFound
    │   ├── ImageNotFound
    │   ├── RegionNotFound
    │   ├── JobNotFound
    │   ├── ModelNotFound
    │   ├── SnapshotNotFound
    │   └── ContentNotFound           the picture's bytes are not in the blob store or at the URI
    ├── AlreadyExists
    │   ├── CollectionExists
    │   ├── ModelExists
    │   ├── ImageExists
    │   └── DuplicateImage            the picture is in the collection under another id
    ├── FailedPrecondition            right in itself, wrong for the state of things
    │   ├── WeightsUnavailable
    │   ├── DigestMismatch
    │   ├── NoTextTower               a text, where the model takes pictures only
    │   ├── SchemaMismatch
    │   ├── BackupDamaged             what the blob store holds is not what was backed up
    │   ├── NoRegions                 the collection finds no objects in its pictures
    │   └── StaleToken                the token is from before a restore
    ├── Overloaded                    refused at once; try again after `retry_after_s`
    └── Unavailable                   a part of the system cannot be reached now; retrying may help
        ├── ShardUnavailable
        ├── EmbedderUnavailable
        ├── DatabaseUnavailable
        └── AttemptsExhausted         an item that took its worker down on every attempt

`reason` is stable and goes over the wire; the message names what was wrong and what to do.
"""

from typing import ClassVar


class PixvecError(Exception):
    """Base of all errors that pixvec raises on purpose."""

    reason: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, field: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.retry_after_s = retry_after_s

    @staticmethod
    def by_reason(reason: str) -> "type[PixvecError]":
        """Return the class with this wire reason, or PixvecError for one from a newer server."""
        return _by_reason(PixvecError).get(reason, PixvecError)


def _by_reason(root: type[PixvecError]) -> dict[str, type[PixvecError]]:
    found = {root.reason: root}
    for child in root.__subclasses__():
        found = _by_reason(child) | found
    return found


class InvalidRequest(PixvecError):
    """What was sent can never work; `field` names the part."""

    reason = "INVALID_REQUEST"


class InvalidVector(InvalidRequest):
    """A vector of the wrong dimension, with a value that is not finite, or of length zero."""

    reason = "INVALID_VECTOR"


class UriNotAllowed(InvalidRequest):
    """A URI outside the roots the deployment allows."""

    reason = "URI_NOT_ALLOWED"


class PictureError(InvalidRequest):
    """Bytes that do not become a picture."""

    reason = "PICTURE_INVALID"


class PictureEmpty(PictureError):
    """No bytes at all."""

    reason = "PICTURE_EMPTY"


class PictureNotRecognised(PictureError):
    """Bytes of no known image format."""

    reason = "PICTURE_NOT_RECOGNISED"


class PictureFormatNotAllowed(PictureError):
    """An image format outside the allow-list."""

    reason = "PICTURE_FORMAT_NOT_ALLOWED"


class PictureTruncated(PictureError):
    """The file ends before the picture does."""

    reason = "PICTURE_TRUNCATED"


class PictureTooLarge(PictureError):
    """More pixels or bytes than the limit, by the file's own header."""

    reason = "PICTURE_TOO_LARGE"


class PictureUndecodable(PictureError):
    """Damaged, or beyond the decoder's limits of time or memory."""

    reason = "PICTURE_UNDECODABLE"


class BoxOutside(PictureError):
    """A box that has nothing of the picture in it."""

    reason = "BOX_OUTSIDE"


class NotFound(PixvecError):
    """The named thing is not there."""

    reason = "NOT_FOUND"


class CollectionNotFound(NotFound):
    """No collection of that name."""

    reason = "COLLECTION_NOT_FOUND"


class SpaceNotFound(NotFound):
    """The collection has no space of that name."""

    reason = "SPACE_NOT_FOUND"


class ImageNotFound(NotFound):
    """The collection holds no image of that id."""

    reason = "IMAGE_NOT_FOUND"


class RegionNotFound(NotFound):
    """The collection holds no region of that id."""

    reason = "REGION_NOT_FOUND"


class JobNotFound(NotFound):
    """No job of that id."""

    reason = "JOB_NOT_FOUND"


class ModelNotFound(NotFound):
    """No extractor of that name."""

    reason = "MODEL_NOT_FOUND"


class SnapshotNotFound(NotFound):
    """No snapshot of that id, or none to restore from."""

    reason = "SNAPSHOT_NOT_FOUND"


class ContentNotFound(NotFound):
    """The bytes of a picture are not where they should be."""

    reason = "CONTENT_NOT_FOUND"


class AlreadyExists(PixvecError):
    """The name or id is taken."""

    reason = "ALREADY_EXISTS"


class CollectionExists(AlreadyExists):
    """A collection of that name exists."""

    reason = "COLLECTION_EXISTS"


class ModelExists(AlreadyExists):
    """A fitted model of that name exists, or a job is making one."""

    reason = "MODEL_EXISTS"


class ImageExists(AlreadyExists):
    """The collection already holds an image of that id, and the caller asked to be told."""

    reason = "IMAGE_EXISTS"


class DuplicateImage(AlreadyExists):
    """The collection already holds the picture under another id, and the caller asked to be told."""

    reason = "DUPLICATE_IMAGE"


class FailedPrecondition(PixvecError):
    """Right in itself, wrong for the state of things."""

    reason = "FAILED_PRECONDITION"


class WeightsUnavailable(FailedPrecondition):
    """The weights of a model cannot be had; the message names the file, the place and the command."""

    reason = "WEIGHTS_UNAVAILABLE"


class DigestMismatch(FailedPrecondition):
    """A vector made by another model than the space's."""

    reason = "DIGEST_MISMATCH"


class NoTextTower(FailedPrecondition):
    """A text, for a model that takes pictures only; the message says which model takes both."""

    reason = "NO_TEXT_TOWER"


class SchemaMismatch(FailedPrecondition):
    """The database is at another schema revision than this program."""

    reason = "SCHEMA_MISMATCH"


class BackupDamaged(FailedPrecondition):
    """A file of a backup is missing, or not what was written."""

    reason = "BACKUP_DAMAGED"


class NoRegions(FailedPrecondition):
    """Objects are asked of a collection that finds none in its pictures."""

    reason = "NO_REGIONS"


class StaleToken(FailedPrecondition):
    """A consistency token from before the shard's feed was renewed."""

    reason = "STALE_TOKEN"


class Overloaded(PixvecError):
    """Refused at once rather than queued without bound."""

    reason = "OVERLOADED"
    retryable = True


class Unavailable(PixvecError):
    """A part of the system cannot be reached now."""

    reason = "UNAVAILABLE"
    retryable = True


class ShardUnavailable(Unavailable):
    """A shard could not answer, or not as fresh as asked, within the deadline."""

    reason = "SHARD_UNAVAILABLE"


class EmbedderUnavailable(Unavailable):
    """No worker could be reached to embed the query."""

    reason = "EMBEDDER_UNAVAILABLE"


class DatabaseUnavailable(Unavailable):
    """Postgres could not be reached."""

    reason = "DATABASE_UNAVAILABLE"


class AttemptsExhausted(Unavailable):
    """An item that took its worker down on every attempt."""

    reason = "ATTEMPTS_EXHAUSTED"
