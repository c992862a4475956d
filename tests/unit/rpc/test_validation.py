import pytest

from pixvec.api.v1 import image_service_pb2, search_service_pb2
from pixvec.errors import InvalidRequest, PixvecError
from pixvec.rpc.validation import check


def test_a_good_message_passes():
    check(search_service_pb2.QueryRequest(collection="photos", image_id="a"))


def test_every_broken_rule_is_named():
    with pytest.raises(InvalidRequest) as caught:
        check(search_service_pb2.QueryRequest(limit=0, vector={"data": b"x"}))
    fields = {violation.field for violation in caught.value.violations}
    assert {"collection", "limit", "vector.data"} <= fields
    assert caught.value.field in fields
    assert "limit: must be greater than or equal to 1" in caught.value.message


def test_a_rule_over_the_whole_message_names_no_field():
    with pytest.raises(InvalidRequest, match="at most 10000") as caught:
        check(search_service_pb2.QueryRequest(collection="a", image_id="a", limit=6000, offset=6000))
    assert caught.value.field is None


def test_the_reason_still_names_the_public_error():
    assert PixvecError.by_reason("INVALID_REQUEST") is InvalidRequest


@pytest.mark.parametrize("image_id", ["", "a\nb", "x" * 600])
def test_bad_ids(image_id):
    with pytest.raises(InvalidRequest) as caught:
        check(image_service_pb2.IngestItem(image_id=image_id, content=b"x"))
    assert caught.value.field == "image_id"
