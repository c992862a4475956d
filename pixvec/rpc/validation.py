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
        raise RulesBroken(tuple(_to_violation(each.proto) for each in found))


def _to_violation(violation: protovalidate.ViolationPb) -> FieldViolation:
    elements = violation.field.elements if violation.field else ()
    return FieldViolation(".".join(element.field_name for element in elements), violation.message or violation.rule_id)
