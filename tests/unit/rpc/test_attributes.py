import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixvec.api.v1 import common_pb2
from pixvec.errors import InvalidRequest
from pixvec.rpc.attributes import attributes_size, check_attributes_size, from_values, to_values

scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
)
values = scalars | st.lists(scalars | st.lists(scalars, max_size=2), max_size=3)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), values, max_size=5))
def test_attributes_come_back_as_they_were(attributes):
    wire = {
        name: common_pb2.Value.FromString(value.SerializeToString()) for name, value in to_values(attributes).items()
    }
    back = from_values(wire)
    assert back == attributes
    assert {name: type(value) for name, value in back.items()} == {
        name: type(value) for name, value in attributes.items()
    }


@pytest.mark.parametrize("value", [None, b"bytes", {"a": 1}, object(), 2**63, [1, None]])
def test_other_kinds_are_refused_by_name(value):
    with pytest.raises(InvalidRequest) as caught:
        to_values({"brand": value})
    assert caught.value.field == "attributes.brand"


def test_a_value_without_a_kind_is_refused():
    with pytest.raises(InvalidRequest, match="brand has no value"):
        from_values({"brand": common_pb2.Value()})


def test_endless_nesting_is_refused():
    nested = []
    for _ in range(20):
        nested = [nested]
    with pytest.raises(InvalidRequest, match="nested"):
        to_values({"deep": nested})


@pytest.mark.parametrize(
    "attributes",
    [
        {"text": "x" * 65_536},
        {"text": "é" * 32_768},
        {f"{number:0128}": "x" * 200 for number in range(256)},
        {"list": [[1.0] * 100] * 100},
    ],
)
def test_attributes_have_a_size_in_all(attributes):
    with pytest.raises(InvalidRequest, match="the limit is 65,536") as told:
        check_attributes_size(attributes)
    assert told.value.field == "attributes"


def test_what_attributes_take_is_about_what_they_take_on_the_wire():
    attributes = {"text": "é" * 1000, "number": 1.5, "many": ["word"] * 100, "name" * 20: True}
    on_wire = sum(len(name) + value.ByteSize() for name, value in to_values(attributes).items())
    assert attributes_size(attributes) == pytest.approx(on_wire, rel=0.2)
    check_attributes_size(attributes)


@pytest.mark.parametrize("attributes", [{"\udcff": 1}, {"name": "\udcff"}, {"name": ["\udcff"]}, {5: 1}])
def test_what_is_no_text_is_named(attributes):
    with pytest.raises(InvalidRequest, match="attributes"):
        to_values(attributes)
