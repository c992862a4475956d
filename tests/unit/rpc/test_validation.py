import pytest

from pixvec.api.v1 import collection_service_pb2, image_service_pb2, job_service_pb2, search_service_pb2
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


def test_an_item_of_a_list_is_named_by_its_index():
    batch = search_service_pb2.QueryBatchRequest(collection="a", images={"contents": [b"x", b"", b"y"]})
    with pytest.raises(InvalidRequest) as caught:
        check(batch)
    assert caught.value.field == "images.contents[1]"


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"ef": 10_001}, "params.ef"),
        ({"nprobe": 1_000_001}, "params.nprobe"),
        ({"rescore": -0.5}, "params.rescore"),
        ({"rescore": float("nan")}, "params.rescore"),
        ({"rescore": 101}, "params.rescore"),
    ],
)
def test_params_that_no_search_can_have(params, field):
    for request in (
        search_service_pb2.QueryRequest(collection="a", image_id="a", params=params),
        search_service_pb2.QueryBatchRequest(collection="a", image_ids={"ids": ["a"]}, params=params),
    ):
        with pytest.raises(InvalidRequest) as caught:
            check(request)
        assert caught.value.field == field


@pytest.mark.parametrize(
    "params",
    [{"exact": True}, {"ef": 10_000}, {"nprobe": 1_000_000}, {"rescore": -1}, {"rescore": 100}, {"rescore": 0}],
)
def test_params_that_a_search_can_have(params):
    check(search_service_pb2.QueryRequest(collection="a", image_id="a", params=params))


@pytest.mark.parametrize(
    ("index", "field"),
    [
        ({"kind": 99}, "index.kind"),
        ({"storage": 99}, "index.storage"),
        ({"hnsw_m": 3}, "index.hnsw_m"),
        ({"hnsw_m": 129}, "index.hnsw_m"),
        ({"ef_construction": 7}, "index.ef_construction"),
        ({"ef_construction": 2001}, "index.ef_construction"),
        ({"nlist": 0}, "index.nlist"),
        ({"nlist": 1_000_001}, "index.nlist"),
    ],
)
def test_index_settings_that_no_index_can_have(index, field):
    for request in (
        collection_service_pb2.CreateCollectionRequest(collection="a", index=index),
        collection_service_pb2.UpdateCollectionRequest(collection="a", index=index),
    ):
        with pytest.raises(InvalidRequest) as caught:
            check(request)
        assert caught.value.field == field


@pytest.mark.parametrize("image_id", ["", "a\nb", "x" * 600])
def test_bad_ids(image_id):
    with pytest.raises(InvalidRequest) as caught:
        check(image_service_pb2.IngestItem(image_id=image_id, content=b"x"))
    assert caught.value.field == "image_id"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (collection_service_pb2.GetCollectionRequest(collection="a\0"), "collection"),
        (collection_service_pb2.DeleteCollectionRequest(collection="a\0"), "collection"),
        (search_service_pb2.QueryRequest(collection="a\0", image_id="a"), "collection"),
        (image_service_pb2.IngestRequest(open={"collection": "a\0"}), "open.collection"),
        (job_service_pb2.ListJobsRequest(collection="\0"), "collection"),
        (job_service_pb2.CreateIngestRequest(collection="a", uri_prefix="x", idempotency_key="\0"), "idempotency_key"),
        (image_service_pb2.GetImageRequest(collection="a", image_id="a\0b"), "image_id"),
        (image_service_pb2.GetContentRequest(collection="a", image_id="a\0b"), "image_id"),
        (image_service_pb2.DeleteImagesRequest(collection="a", image_ids=["a", "\0"]), "image_ids[1]"),
        (search_service_pb2.QueryBatchRequest(collection="a", image_ids={"ids": ["a", "\0"]}), "image_ids.ids[1]"),
    ],
    ids=lambda value: type(value).__name__.removesuffix("Request") if not isinstance(value, str) else value,
)
def test_no_text_holds_a_nul(request_, field):
    with pytest.raises(InvalidRequest, match="NUL") as caught:
        check(request_)
    assert caught.value.field == field


def test_bytes_and_attributes_may_hold_a_nul():
    check(image_service_pb2.IngestItem(image_id="a", content=b"\0", attributes={"k\0": {"string_value": "\0"}}))


def test_an_entry_of_a_map_is_named_by_its_key():
    item = image_service_pb2.IngestItem(image_id="a", content=b"a", attributes={"k": {"string_value": "x" * 70_000}})
    with pytest.raises(InvalidRequest) as caught:
        check(item)
    assert caught.value.field == "attributes['k'].string_value"


@pytest.mark.parametrize("name", ["", "-a", "Photos", "a b", "a\n", "x" * 64, "über"])
def test_a_name_that_no_collection_can_have_is_told_what_it_may_be(name):
    with pytest.raises(InvalidRequest, match="must be 1 to 63 of a-z, 0-9, _ and -, and begin with") as caught:
        check(collection_service_pb2.CreateCollectionRequest(collection=name))
    assert caught.value.field == "collection"


@pytest.mark.parametrize("name", ["a", "0", "my-photos_2", "x" * 63])
def test_a_name_that_a_collection_can_have(name):
    check(collection_service_pb2.CreateCollectionRequest(collection=name))


def by_part(**part):
    combination = {"parts": [{"image_id": "a"}, part]}
    return search_service_pb2.QueryRequest(collection="a", combination=combination)


@pytest.mark.parametrize("text", ["", " ", "\t\n", "x" * 2001])
def test_texts_that_say_nothing_or_too_much(text):
    for request, field in (
        (search_service_pb2.QueryRequest(collection="a", text=text), "text"),
        (search_service_pb2.QueryBatchRequest(collection="a", texts={"texts": ["a", text]}), "texts.texts[1]"),
        (by_part(text=text), "combination.parts[1].text"),
    ):
        with pytest.raises(InvalidRequest, match=r"must have a word in it|must be at most 2000 characters") as caught:
            check(request)
        assert caught.value.field == field


@pytest.mark.parametrize("text", ["a", "?", "ü", "  a  ", "x" * 2000])
def test_texts_that_can_be_searched_by(text):
    check(search_service_pb2.QueryRequest(collection="a", text=text))
    check(by_part(text=text))


@pytest.mark.parametrize("weights", [(0,), (-1,), (0, -2, 0), (float("nan"),), (1, 1001), (1, -1001)])
def test_weights_that_no_combination_can_have(weights):
    parts = [{"text": "a", "weight": weight} for weight in weights]
    with pytest.raises(InvalidRequest, match="weight"):
        check(search_service_pb2.QueryRequest(collection="a", combination={"parts": parts}))


@pytest.mark.parametrize("weights", [(None,), (1,), (0, 1), (-1000, 1000), (None, -5)])
def test_weights_that_a_combination_can_have(weights):
    parts = [{"text": "a"} if weight is None else {"text": "a", "weight": weight} for weight in weights]
    check(search_service_pb2.QueryRequest(collection="a", combination={"parts": parts}))


def test_a_combination_has_some_parts_and_not_too_many():
    for parts in ([], [{"text": "a"}] * 17, [{"weight": 1}]):
        with pytest.raises(InvalidRequest, match=r"combination\.parts"):
            check(search_service_pb2.QueryRequest(collection="a", combination={"parts": parts}))


def classes(labels, templates=()):
    pictures = {"contents": [b"x"]}
    return search_service_pb2.ClassifyRequest(collection="a", labels=labels, templates=templates, images=pictures)


@pytest.mark.parametrize(
    ("labels", "templates", "field"),
    [
        ([], [], "labels"),
        (["cat", "cat"], [], "labels"),
        (["cat", " "], [], "labels[1]"),
        (["x" * 201], [], "labels[0]"),
        (["cat"], ["a {}", "a cat"], "templates[1]"),
        (["cat"], ["{} or {}"], "templates[0]"),
        (["cat"], ["{{}}"], "templates[0]"),
        ([f"{number}" for number in range(101)], [f"{number} {{}}" for number in range(100)], None),
    ],
)
def test_what_makes_no_classes(labels, templates, field):
    with pytest.raises(InvalidRequest) as caught:
        check(classes(labels, templates))
    assert caught.value.field == field


def test_what_makes_classes():
    check(classes(["cat", "dog", "a {} in a box"], ["a photo of a {}.", "{}", "two\nlines of {}"]))
    check(classes([f"{number}" for number in range(1000)], [f"{number} {{}}" for number in range(10)]))
