"""The contract as such: what every user of the stubs meets."""

import keyword

from google.protobuf.descriptor import FieldDescriptor

from pixvec.api.v1 import collection_service_pb2, common_pb2, image_service_pb2, job_service_pb2, search_service_pb2
from pixvec.internal.v1 import embedder_service_pb2, record_pb2, searcher_service_pb2

PUBLIC = (common_pb2, collection_service_pb2, image_service_pb2, job_service_pb2, search_service_pb2)
INTERNAL = (embedder_service_pb2, record_pb2, searcher_service_pb2)


def fields(files):
    messages = [message for file in files for message in file.DESCRIPTOR.message_types_by_name.values()]
    return [field for message in messages for field in message.fields]


def test_no_field_is_a_keyword_of_python():
    assert [field.full_name for field in fields(PUBLIC + INTERNAL) if keyword.iskeyword(field.name)] == []


def test_a_digest_is_bytes_inside_and_hexadecimal_for_people():
    types = {field.full_name: field.type for field in fields(PUBLIC + INTERNAL) if field.name == "digest"}
    hexadecimal = {name for name, kind in types.items() if kind == FieldDescriptor.TYPE_STRING}
    assert hexadecimal == {"pixvec.api.v1.Space.digest"}
    assert {kind for name, kind in types.items() if name not in hexadecimal} == {FieldDescriptor.TYPE_BYTES}
