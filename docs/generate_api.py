"""Writes docs/api.md, the reference of the public API, from the protos and their comments.

Usage: generate_api.py [FILE]
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import descriptor_pb2 as pb

ROOT = Path(__file__).parent.parent
PUBLIC = "pixvec/api/v1"
INTRO = """# API reference

Package `pixvec.api.v1`, generated from `protos/pixvec/api/v1` by `make docs`: edit the protos, not this page.
"""
_PACKAGE = ".pixvec.api.v1."
_FIELD, _NESTED_FIELD_TYPES = pb.FieldDescriptorProto, (11, 14)


def load() -> pb.FileDescriptorSet:
    """Compile the protos with their comments."""
    with tempfile.NamedTemporaryFile() as out:
        sources = sorted(str(path.relative_to(ROOT / "protos")) for path in (ROOT / "protos" / PUBLIC).glob("*.proto"))
        subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", "-I", "protos", "--include_source_info",
             f"--descriptor_set_out={out.name}", *sources],
            cwd=ROOT, check=True,
        )  # fmt: skip
        return pb.FileDescriptorSet.FromString(Path(out.name).read_bytes())


class Comments:
    """The comments of one file, by the path of what they stand above."""

    def __init__(self, file: pb.FileDescriptorProto) -> None:
        self._by_path = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}

    def at(self, *path: int) -> str:
        """Return the comment above that element as one line, or nothing."""
        return " ".join(self._by_path.get(path, "").split())


def type_name(field: pb.FieldDescriptorProto, maps: dict[str, pb.DescriptorProto]) -> str:
    """Return a field's type as a reader of the protos would write it."""
    name = field.type_name.rsplit(".", 1)[-1]
    if field.type_name in maps:
        key, value = maps[field.type_name].field
        return f"map<{type_name(key, maps)}, {type_name(value, maps)}>"
    if field.type not in _NESTED_FIELD_TYPES:
        name = _FIELD.Type.Name(field.type).removeprefix("TYPE_").lower()
    return f"repeated {name}" if field.label == _FIELD.LABEL_REPEATED else name


def service_lines(index: int, service: pb.ServiceDescriptorProto, comments: Comments) -> Iterator[str]:
    """Describe one service."""
    yield f"## {service.name}\n\n{comments.at(6, index)}\n"
    yield "| call | takes | answers | |\n|---|---|---|---|"
    for number, method in enumerate(service.method):
        takes, answers = (name.rsplit(".", 1)[-1] for name in (method.input_type, method.output_type))
        takes = f"stream {takes}" if method.client_streaming else takes
        answers = f"stream {answers}" if method.server_streaming else answers
        yield f"| `{method.name}` | `{takes}` | `{answers}` | {comments.at(6, index, 2, number)} |"
    yield ""


def message_lines(message: pb.DescriptorProto, scope: str, path: tuple[int, ...], comments: Comments) -> Iterator[str]:
    """Describe one message that is declared in `scope`, and those inside it."""
    own = f"{scope}.{message.name}"
    maps = {f"{own}.{m.name}": m for m in message.nested_type if m.options.map_entry}
    yield f"### {own.removeprefix(_PACKAGE)}\n\n{comments.at(*path)}\n"
    if message.field:
        yield "| field | type | |\n|---|---|---|"
    for number, field in enumerate(message.field):
        in_oneof = field.HasField("oneof_index") and not field.proto3_optional
        choice = f"one of `{message.oneof_decl[field.oneof_index].name}`. " if in_oneof else ""
        text = choice + comments.at(*path, 2, number)
        yield f"| `{field.name}` = {field.number} | `{type_name(field, maps)}` | {text} |"
    yield ""
    for number, nested in enumerate(message.nested_type):
        if not nested.options.map_entry:
            yield from message_lines(nested, own, (*path, 3, number), comments)


def enum_lines(index: int, enum: pb.EnumDescriptorProto, comments: Comments) -> Iterator[str]:
    """Describe one enumeration."""
    yield f"### {enum.name}\n\n{comments.at(5, index)}\n\n| value | |\n|---|---|"
    for number, value in enumerate(enum.value):
        yield f"| `{value.name}` = {value.number} | {comments.at(5, index, 2, number)} |"
    yield ""


def render(files: pb.FileDescriptorSet) -> str:
    """Return the whole page."""
    lines = [INTRO]
    for file in files.file:
        comments = Comments(file)
        for index, service in enumerate(file.service):
            lines += service_lines(index, service, comments)
        for index, message in enumerate(file.message_type):
            lines += message_lines(message, f".{file.package}", (4, index), comments)
        for index, enum in enumerate(file.enum_type):
            lines += enum_lines(index, enum, comments)
    return "\n".join(lines).replace("\n\n\n", "\n\n").rstrip() + "\n"


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "api.md"
    target.write_text(render(load()))
