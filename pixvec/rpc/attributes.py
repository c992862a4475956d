"""Attributes between Python values and the wire. Needs protobuf only."""

from collections.abc import Mapping, Sequence

from pixvec.api.v1 import common_pb2
from pixvec.domain import Attributes, AttributeValue
from pixvec.errors import InvalidRequest

_INT64 = range(-(2**63), 2**63)
_MAX_DEPTH = 8
# Of a number, or around a string or a list.
_VALUE_BYTES = 8
MAX_ATTRIBUTES_BYTES = 64 * 2**10


def to_values(attributes: Attributes) -> dict[str, common_pb2.Value]:
    """Return attributes as wire values. Raises InvalidRequest for a value of another kind than AttributeValue."""
    return {_text(name, "attributes"): _to_value(value, f"attributes.{name}", 0) for name, value in attributes.items()}


def from_values(values: Mapping[str, common_pb2.Value]) -> dict[str, AttributeValue]:
    """Return wire values as attributes. Raises InvalidRequest for a value that is not set."""
    return {name: _from_value(value, f"attributes.{name}", 0) for name, value in values.items()}


def attributes_size(attributes: Attributes) -> int:
    """Return about how many bytes attributes take on the wire."""
    return sum(len(name.encode()) + _size(value) for name, value in attributes.items())


def check_attributes_size(attributes: Attributes) -> None:
    """Raise InvalidRequest for more than one image may have."""
    if (size := attributes_size(attributes)) > MAX_ATTRIBUTES_BYTES:
        raise InvalidRequest(
            f"attributes: {size:,} bytes in all, the limit is {MAX_ATTRIBUTES_BYTES:,}: keep what is large elsewhere,"
            " and its address here",
            field="attributes",
        )


def _size(value: AttributeValue) -> int:
    if isinstance(value, str):
        return len(value.encode()) + _VALUE_BYTES
    if isinstance(value, Sequence):
        return sum(map(_size, value)) + _VALUE_BYTES
    return _VALUE_BYTES


def _to_value(value: AttributeValue, field: str, depth: int) -> common_pb2.Value:
    # bool before int: it is one.
    if isinstance(value, bool):
        return common_pb2.Value(bool_value=value)
    if isinstance(value, int):
        if value not in _INT64:
            raise InvalidRequest(f"{field}: {value} does not fit 64 bits; send it as a string", field=field)
        return common_pb2.Value(int_value=value)
    if isinstance(value, float):
        return common_pb2.Value(double_value=value)
    if isinstance(value, str):
        return common_pb2.Value(string_value=_text(value, field))
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        _check_depth(depth, field)
        items = [_to_value(item, field, depth + 1) for item in value]
        return common_pb2.Value(list_value=common_pb2.ValueList(values=items))
    raise InvalidRequest(
        f"{field}: {type(value).__name__} is no attribute value; use bool, int, float, str, or a list of these",
        field=field,
    )


def _text(text: object, field: str) -> str:
    if not isinstance(text, str):
        raise InvalidRequest(f"{field}: the name {text!r} is no text", field=field)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{field}: {text!r} is not UTF-8", field=field) from None
    return text


def _from_value(value: common_pb2.Value, field: str, depth: int) -> AttributeValue:
    kind = value.WhichOneof("kind")
    if kind is None:
        raise InvalidRequest(f"{field} has no value; set one of bool, int, double, string or list", field=field)
    if kind == "list_value":
        _check_depth(depth, field)
        return [_from_value(item, field, depth + 1) for item in value.list_value.values]
    found: AttributeValue = getattr(value, kind)
    return found


def _check_depth(depth: int, field: str) -> None:
    if depth >= _MAX_DEPTH:
        raise InvalidRequest(f"{field}: lists are nested more than {_MAX_DEPTH} deep", field=field)
