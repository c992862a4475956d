"""Domain errors as gRPC statuses with `google.rpc` details, and back. Needs grpcio and protobuf only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from pixvec import errors

DOMAIN = "pixvec"
DETAILS_KEY = "grpc-status-details-bin"

STATUS: dict[type[errors.PixvecError], grpc.StatusCode] = {
    errors.PixvecError: grpc.StatusCode.INTERNAL,
    errors.InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
}

# For statuses without our details: made by gRPC itself, a proxy, or another program.
_PLAIN: dict[grpc.StatusCode, type[errors.PixvecError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: errors.InvalidRequest,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.UNIMPLEMENTED: errors.FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Overloaded,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.Unavailable,
    grpc.StatusCode.CANCELLED: errors.Unavailable,
    grpc.StatusCode.ABORTED: errors.Unavailable,
}

_TOO_LARGE = "message larger than max"

# A status travels as headers, and gRPC drops it when they take more than 8 KiB: the message percent-encoded, and once
# more with the details in base64.
_MAX_MESSAGE_BYTES = 2000
_MAX_FIELD_BYTES = 150
_MAX_DESCRIPTION_BYTES = 300
_MAX_VIOLATIONS_BYTES = 1200


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field of a request. `field` is its path, such as `vector.data`."""

    field: str
    message: str


def status_code(error: errors.PixvecError) -> grpc.StatusCode:
    """Return the status of the error's class, or of the nearest base that has one."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def to_status(error: errors.PixvecError, violations: Sequence[FieldViolation] = ()) -> status_pb2.Status:
    """Return the error as a rich status; `violations` replaces the error's own `field`."""
    message = _cut(error.message, _MAX_MESSAGE_BYTES)
    status = status_pb2.Status(code=status_code(error).value[0], message=message)
    if not violations and error.field:
        violations = [FieldViolation(error.field, message)]
    for detail in _details(error, violations):
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def to_metadata(status: status_pb2.Status) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata that carries a rich status."""
    return ((DETAILS_KEY, status.SerializeToString()),)


def from_rpc_error(error: grpc.RpcError) -> errors.PixvecError:
    """Return the domain error that a failed call stands for. Never raises."""
    code, message = _code_of(error), _message_of(error)
    status = _rich_status(error)
    if status is not None and (found := _from_details(status)) is not None:
        return found
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in message:
        # By gRPC itself, of a request or of an answer: it would be so again.
        return errors.InvalidRequest(f"a message is too large ({message}); send, or ask for, less at once")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"no answer within the deadline ({message})"
    return _PLAIN.get(code, errors.PixvecError)(message or code.name)


def _details(error: errors.PixvecError, violations: Sequence[FieldViolation]) -> Iterator[Message]:
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    if violations:
        bad_request = error_details_pb2.BadRequest()
        for violation in violations:
            field, description = (
                _cut(violation.field, _MAX_FIELD_BYTES),
                _cut(violation.message, _MAX_DESCRIPTION_BYTES),
            )
            bad_request.field_violations.add(field=field, description=description)
            if bad_request.ByteSize() > _MAX_VIOLATIONS_BYTES:
                break
        yield bad_request
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after_s * 1e9))
        yield error_details_pb2.RetryInfo(retry_delay=delay)


def _cut(text: str, limit: int) -> str:
    """Cut text to what takes `limit` bytes among the headers, where a byte that is not plain ASCII takes three."""
    left = limit
    for place, character in enumerate(text):
        left -= 1 if " " <= character <= "~" and character != "%" else 3 * len(character.encode())
        if left < 0:
            return text[:place] + " …"
    return text


def _code_of(error: grpc.RpcError) -> grpc.StatusCode:
    code = getattr(error, "code", None)
    found = code() if callable(code) else None
    return found if isinstance(found, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def _message_of(error: grpc.RpcError) -> str:
    details = getattr(error, "details", None)
    return str(details() or "") if callable(details) else str(error)


def _rich_status(error: grpc.RpcError) -> status_pb2.Status | None:
    trailing = getattr(error, "trailing_metadata", None)
    for key, value in (trailing() or ()) if callable(trailing) else ():
        if key == DETAILS_KEY:
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def _from_details(status: status_pb2.Status) -> errors.PixvecError | None:
    info = error_details_pb2.ErrorInfo()
    bad_request = error_details_pb2.BadRequest()
    retry = error_details_pb2.RetryInfo()
    try:
        unpacked = {
            type(into) for detail in status.details for into in (info, bad_request, retry) if detail.Unpack(into)
        }
    except DecodeError:
        return None
    if info.domain != DOMAIN:
        return None
    kind = errors.PixvecError.by_reason(info.reason)
    field = bad_request.field_violations[0].field if bad_request.field_violations else None
    retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9 if type(retry) in unpacked else None
    return kind(status.message, field=field, retry_after_s=retry_after_s)
