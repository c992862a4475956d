"""The contract as such: what every user of the stubs meets."""

import keyword
import re
from pathlib import Path

import grpc
from google.protobuf.descriptor import FieldDescriptor

from pixvec.api.v1 import (
    collection_service_pb2,
    common_pb2,
    image_service_pb2,
    job_service_pb2,
    model_service_pb2,
    search_service_pb2,
)
from pixvec.errors import PixvecError
from pixvec.internal.v1 import embedder_service_pb2, record_pb2, searcher_service_pb2

PROTOS = Path(__file__).parents[3] / "protos" / "pixvec"
PUBLIC = (common_pb2, collection_service_pb2, image_service_pb2, job_service_pb2, model_service_pb2, search_service_pb2)
INTERNAL = (embedder_service_pb2, record_pb2, searcher_service_pb2)


def fields(files):
    messages = [message for file in files for message in file.DESCRIPTOR.message_types_by_name.values()]
    return [field for message in messages for field in message.fields]


def test_no_field_is_a_keyword_of_python():
    assert [field.full_name for field in fields(PUBLIC + INTERNAL) if keyword.iskeyword(field.name)] == []


def test_a_digest_is_bytes_inside_and_hexadecimal_for_people():
    types = {field.full_name: field.type for field in fields(PUBLIC + INTERNAL) if field.name == "digest"}
    hexadecimal = {name for name, kind in types.items() if kind == FieldDescriptor.TYPE_STRING}
    assert hexadecimal == {"pixvec.api.v1.Space.digest", "pixvec.api.v1.FittedModel.digest"}
    assert {kind for name, kind in types.items() if name not in hexadecimal} == {FieldDescriptor.TYPE_BYTES}


def names_in_comments() -> set[str]:
    comments = re.findall(r"//(.*)", "\n".join(path.read_text() for path in PROTOS.glob("*/v1/*.proto")))
    return set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", "\n".join(comments)))


def test_what_comments_name_exists():
    enums = [enum for file in PUBLIC + INTERNAL for enum in file.DESCRIPTOR.enum_types_by_name.values()]
    known = {value.name for enum in enums for value in enum.values} | {code.name for code in grpc.StatusCode}
    assert {name for name in names_in_comments() - known if PixvecError.by_reason(name) is PixvecError} == set()
