"""Generate docs/api.md, the reference of every contract, from the comments in the .proto files.

Usage: python scripts/generate_api_reference.py [OUT]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from generate_stubs import PROTOS, include_paths
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)
from grpc_tools import protoc

PAGE = PROTOS.parent / "docs" / "api.md"
_HEAD = """# API reference

<!-- Generated from the comments in protos/ by scripts/generate_api_reference.py. -->

The services speak gRPC; [clients.md](clients.md) shows how to call them. Errors are standard
statuses with google.rpc details.
"""
# The numbers of fields in descriptor.proto, of which paths to comments consist.
_MESSAGES, _ENUMS, _SERVICES = 4, 5, 6
_FIELDS, _METHODS, _VALUES, _SYNTAX = 2, 2, 2, 12
_NESTED_MESSAGES, _NESTED_ENUMS = 3, 4
_Path: TypeAlias = tuple[int, ...]


def descriptors() -> list[FileDescriptorProto]:
    """Return the descriptors of the contracts, with their comments, in the order of their names."""
    contracts = sorted(str(path) for path in (PROTOS / "landmarkapi").rglob("*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "contracts.binpb"
        arguments = ["protoc", *(f"-I{path}" for path in include_paths())]
        arguments += ["--include_source_info", f"--descriptor_set_out={out}", *contracts]
        if code := protoc.main(arguments):
            raise SystemExit(code)
        found = FileDescriptorSet.FromString(out.read_bytes())
    return sorted(found.file, key=lambda file: file.name)


def reference(files: list[FileDescriptorProto]) -> str:
    """Return the whole page as Markdown."""
    return "\n".join([_HEAD, *(line for file in files for line in _Contract(file).lines())])


class _Contract:
    """One .proto file: its services first, then messages and enums in the file's order."""

    def __init__(self, file: FileDescriptorProto) -> None:
        self._file = file
        self._comments = {
            tuple(place.path): place.leading_comments for place in file.source_code_info.location
        }

    def lines(self) -> Iterator[str]:
        yield f"## {self._file.package}\n"
        yield f"`protos/{self._file.name}`. {self._comment(_SYNTAX)}\n"
        for index, service in enumerate(self._file.service):
            yield f"### {service.name}\n"
            yield f"{self._comment(_SERVICES, index)}\n"
            for place, method in enumerate(service.method):
                yield f"#### {method.name}\n"
                yield f"{self._signature(method)}\n"
                yield f"{self._comment(_SERVICES, index, _METHODS, place)}\n"
        for index, message in enumerate(self._file.message_type):
            yield from self._message((_MESSAGES, index), message)
        for index, enum in enumerate(self._file.enum_type):
            yield from self._enum((_ENUMS, index), enum)

    def _signature(self, method: MethodDescriptorProto) -> str:
        stream = "stream of " if method.server_streaming else ""
        return f"{self._link(method.input_type)} → {stream}{self._link(method.output_type)}"

    def _message(self, path: _Path, message: DescriptorProto, outer: str = "") -> Iterator[str]:
        name = f"{outer}{message.name}"
        yield from self._heading(name, path)
        if message.field:
            yield "| field | number | type | |"
            yield "|---|--:|---|---|"
            for place, field in enumerate(message.field):
                kind, comment = self._type(message, field), self._cell(*path, _FIELDS, place)
                yield f"| `{field.name}` | {field.number} | {kind} | {comment} |"
            yield ""
        for place, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                yield from self._message((*path, _NESTED_MESSAGES, place), nested, f"{name}.")
        for place, enum in enumerate(message.enum_type):
            yield from self._enum((*path, _NESTED_ENUMS, place), enum, f"{name}.")

    def _enum(self, path: _Path, enum: EnumDescriptorProto, outer: str = "") -> Iterator[str]:
        yield from self._heading(f"{outer}{enum.name}", path)
        yield "| value | number | |"
        yield "|---|--:|---|"
        for place, value in enumerate(enum.value):
            comment = self._cell(*path, _VALUES, place)
            yield f"| `{value.name}` | {value.number} | {comment} |"
        yield ""

    def _heading(self, name: str, path: _Path) -> Iterator[str]:
        yield f'<a id="{_anchor(f"{self._file.package}.{name}")}"></a>\n'
        yield f"### {name}\n"
        yield f"{self._comment(*path)}\n"

    def _type(self, message: DescriptorProto, field: FieldDescriptorProto) -> str:
        for entry in message.nested_type:
            named = field.type_name.endswith(f".{message.name}.{entry.name}")
            if named and entry.options.map_entry:
                key, value = entry.field
                return f"map of {self._named(key)} to {self._named(value)}"
        name = self._named(field)
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            return f"repeated {name}"
        if field.proto3_optional:
            return f"optional {name}"
        if field.HasField("oneof_index"):
            return f"{name}, one of `{message.oneof_decl[field.oneof_index].name}`"
        return name

    def _named(self, field: FieldDescriptorProto) -> str:
        if field.type_name:
            return self._link(field.type_name)
        return FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()

    def _link(self, full_name: str) -> str:
        name = full_name.removeprefix(".")
        if not name.startswith("landmarkapi."):
            return f"`{name}`"
        return f"[{name.rpartition('.')[2]}](#{_anchor(name)})"

    def _cell(self, *path: int) -> str:
        return " ".join(self._comment(*path).split()).replace("|", "\\|")

    def _comment(self, *path: int) -> str:
        """Return the comment before an element; an empty line in it begins a paragraph."""
        lines = [line.strip() for line in self._comments[path].strip().splitlines()]
        return "\n".join(_status_lists(lines))


def _anchor(full_name: str) -> str:
    """Return an anchor for a type; several packages may have one of the same name."""
    return full_name.removeprefix("landmarkapi.").replace(".", "-").lower()


def _status_lists(lines: list[str]) -> Iterator[str]:
    """Begin a list item with each line that begins with a status code, as `NOT_FOUND: …`."""
    for line in lines:
        code = line.partition(" ")[0].rstrip(":,.")
        is_status = len(code) > 2 and code.replace("_", "").isupper() and ":" in line
        yield f"- {line}" if is_status and line.startswith(code) else line


def main(out: Path = PAGE) -> None:
    """Write the page to `out`."""
    out.write_text(reference(descriptors()).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:2]))
