"""Checks messages by the rules in the protos, and one that holds for every text: no NUL in it."""

from collections.abc import Iterator

import protovalidate
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from pixvec.errors import InvalidRequest
from pixvec.rpc.errors import FieldViolation


class RulesBroken(InvalidRequest):
    """A message that breaks rules of the protos, with every one of them."""

    reason = InvalidRequest.reason

    def __init__(self, violations: tuple[FieldViolation, ...]) -> None:
        named = (f"{each.field}: {each.message}" if each.field else each.message for each in violations)
        super().__init__("; ".join(named), field=violations[0].field or None)
        self.violations = violations


_validator = protovalidate.Validator()


def check(message: Message) -> None:
    """Raise RulesBroken when the message breaks a rule."""
    found = [*map(_to_violation, _validator.collect_violations(message)), *_texts_with_nul(message)]
    if found:
        # Those of one field first: a rule over the whole message is often broken because of them.
        raise RulesBroken(tuple(sorted(found, key=lambda each: not each.field)))


def _texts_with_nul(message: Message, path: str = "") -> Iterator[FieldViolation]:
    """Yield the texts that no database takes. Those in lists and maps of messages, attributes among them, may be so."""
    for field, value in message.ListFields():
        name = f"{path}{field.name}"
        if isinstance(value, Message):
            yield from _texts_with_nul(value, f"{name}.")
        elif isinstance(value, str):
            if "\0" in value:
                yield FieldViolation(name, "must not contain a NUL character")
        elif field.type == FieldDescriptor.TYPE_STRING:
            for place, text in enumerate(value):
                if "\0" in text:
                    yield FieldViolation(f"{name}[{place}]", "must not contain a NUL character")


def _to_violation(violation: protovalidate.Violation) -> FieldViolation:
    found = violation.proto
    elements = found.field.elements if found.field else ()
    return FieldViolation(".".join(map(_name, elements)), found.message or found.rule_id)


def _name(element: protovalidate.FieldPathElementPb) -> str:
    place = element.subscript
    if place is None:
        return element.field_name
    return f"{element.field_name}[{place.value if place.field == 'index' else repr(place.value)}]"
