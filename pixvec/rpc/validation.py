"""Checks messages by the rules in the protos."""

import protovalidate
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
    if found := _validator.collect_violations(message):
        # Those of one field first: a rule over the whole message is often broken because of them.
        raise RulesBroken(tuple(sorted(map(_to_violation, found), key=lambda each: not each.field)))


def _to_violation(violation: protovalidate.Violation) -> FieldViolation:
    found = violation.proto
    elements = found.field.elements if found.field else ()
    return FieldViolation(".".join(map(_name, elements)), found.message or found.rule_id)


def _name(element: protovalidate.FieldPathElementPb) -> str:
    place = element.subscript
    return f"{element.field_name}[{place.value}]" if place and place.field == "index" else element.field_name
