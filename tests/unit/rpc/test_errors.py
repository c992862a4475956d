import base64
from urllib.parse import quote

import grpc
import pytest

from pixvec import errors
from pixvec.rpc.errors import (
    FieldViolation,
    from_rpc_error,
    status_code,
    to_metadata,
    to_status,
)


class FailedCall(grpc.RpcError):
    """What a stub raises, without a call."""

    def __init__(self, code, details, metadata=()):
        self._code, self._details, self._metadata = code, details, metadata

    def code(self):
        return self._code

    def details(self):
        return self._details

    def trailing_metadata(self):
        return self._metadata


def over_the_wire(error, violations=()):
    status = to_status(error, violations)
    return from_rpc_error(FailedCall(status_code(error), status.message, to_metadata(status)))


def every_error(kind=errors.PixvecError):
    return [kind, *(found for child in kind.__subclasses__() for found in every_error(child))]


@pytest.mark.parametrize("kind", [kind for kind in every_error() if kind.__module__ == errors.__name__])
def test_every_error_comes_back_as_itself(kind):
    back = over_the_wire(kind("what and why", field="limit", retry_after_s=0.25))
    assert type(back) is kind
    assert (back.message, back.field, back.retry_after_s) == ("what and why", "limit", 0.25)


def test_statuses_follow_the_tree():
    assert status_code(errors.PictureTruncated("")) is grpc.StatusCode.INVALID_ARGUMENT
    assert status_code(errors.ImageNotFound("")) is grpc.StatusCode.NOT_FOUND
    assert status_code(errors.CollectionExists("")) is grpc.StatusCode.ALREADY_EXISTS
    assert status_code(errors.DigestMismatch("")) is grpc.StatusCode.FAILED_PRECONDITION
    assert status_code(errors.Overloaded("")) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert status_code(errors.ShardUnavailable("")) is grpc.StatusCode.UNAVAILABLE
    assert status_code(errors.PixvecError("")) is grpc.StatusCode.INTERNAL


def test_nothing_is_said_of_retrying_unless_known():
    back = over_the_wire(errors.Overloaded("full"))
    assert back.retry_after_s is None
    assert back.field is None


def test_the_first_violation_names_the_field():
    violations = (FieldViolation("vector.data", "too short"), FieldViolation("limit", "too large"))
    assert over_the_wire(errors.InvalidRequest("two faults"), violations).field == "vector.data"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.Unavailable),
        (grpc.StatusCode.CANCELLED, errors.Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.Overloaded),
        (grpc.StatusCode.UNKNOWN, errors.PixvecError),
        (grpc.StatusCode.INTERNAL, errors.PixvecError),
    ],
)
def test_statuses_of_other_programs_become_the_nearest_error(code, kind):
    back = from_rpc_error(FailedCall(code, "from a proxy"))
    assert type(back) is kind
    assert "from a proxy" in back.message


@pytest.mark.parametrize("which", ["CLIENT: Sent", "SERVER: Received", "Received", "Sent"])
def test_a_message_that_is_too_large_is_not_sent_again(which):
    back = from_rpc_error(FailedCall(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{which} message larger than max (9 vs. 8)"))
    assert type(back) is errors.InvalidRequest
    assert not back.retryable
    assert "(9 vs. 8)); send, or ask for, less" in back.message


@pytest.mark.parametrize("details", [b"\xff\xff no status", b""])
def test_unreadable_details_are_passed_over(details):
    failed = FailedCall(grpc.StatusCode.NOT_FOUND, "gone", (("grpc-status-details-bin", details),))
    assert type(from_rpc_error(failed)) is errors.NotFound


def test_an_error_that_knows_nothing_is_no_crash():
    assert type(from_rpc_error(grpc.RpcError("bare"))) is errors.PixvecError


def header_bytes(status):
    """Return what a status takes among the headers: the message percent-encoded, the details in base64."""
    message = quote(status.message, safe="".join(map(chr, range(0x20, 0x7F))).replace("%", ""))
    return len(message) + len(base64.b64encode(status.SerializeToString()))


@pytest.mark.parametrize("letter", ["x", "%", "\n", "ü", "界", "🖼"])
def test_long_messages_fit_the_headers(letter):
    violations = [FieldViolation(f"{letter}{number}" * 100, letter * 1000) for number in range(1000)]
    status = to_status(errors.InvalidRequest(letter * 100_000, field=letter * 5000), violations)
    assert header_bytes(status) < 7500
    assert len(status.message) > 150
    assert status.message.endswith(" …")
    assert over_the_wire(errors.InvalidRequest(letter * 100_000, field=letter * 5000)).field.startswith(letter)
    assert over_the_wire(errors.InvalidRequest("short"), violations).field.startswith(letter)


def test_a_message_that_fits_is_whole():
    assert over_the_wire(errors.InvalidRequest("bild-ü: 100 % of it")).message == "bild-ü: 100 % of it"


def test_a_reason_of_a_newer_server_keeps_its_message():
    status = to_status(errors.InvalidRequest("new kind of fault"))
    info = status.details[0]
    info.value = info.value.replace(b"INVALID_REQUEST", b"INVALID_RETHING")
    back = from_rpc_error(FailedCall(grpc.StatusCode.INVALID_ARGUMENT, "new", to_metadata(status)))
    assert back.message == "new kind of fault"
