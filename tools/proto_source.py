"""Write a file descriptor back as protobuf source.

Only for validate.proto, which comes to us as a descriptor. What that file does not use (services, maps, defaults)
is not written; the release compares what the source compiles to with the descriptor, so nothing gets lost unnoticed.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

from google.protobuf import descriptor_pb2 as pb
from google.protobuf import text_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

Field = pb.FieldDescriptorProto
Span = pb.DescriptorProto.ReservedRange | pb.DescriptorProto.ExtensionRange
INDENT = "  "
LABELS = {Field.LABEL_REPEATED: "repeated ", Field.LABEL_REQUIRED: "required ", Field.LABEL_OPTIONAL: "optional "}


def render(file: pb.FileDescriptorProto, imports: Iterable[pb.FileDescriptorProto]) -> str:
    """Return source that compiles to a proto2 file's descriptor, comments aside.

    Args:
        file: The descriptor.
        imports: The files it imports, each after its own imports.
    """
    return "\n".join(_Source(file, imports).lines()) + "\n"


class _Source:
    def __init__(self, file: pb.FileDescriptorProto, imports: Iterable[pb.FileDescriptorProto]) -> None:
        self._file = file
        self._pool = DescriptorPool()
        for known in (*imports, file):
            self._pool.Add(known)

    def lines(self) -> Iterator[str]:
        yield f'syntax = "{self._file.syntax or "proto2"}";'
        yield f"package {self._file.package};"
        yield from (f'import "{name}";' for name in self._file.dependency)
        yield from (f"option {option};" for option in self._options(self._file.options))
        for extension in self._file.extension:
            yield f"extend {extension.extendee} {{"
            yield INDENT + LABELS[extension.label] + self._field(extension)
            yield "}"
        for enum in self._file.enum_type:
            yield from self._enum(enum, "")
        for message in self._file.message_type:
            yield from self._message(message, "")

    def _options(self, options: Message) -> Iterator[str]:
        # Parsed again by the pool of this file, so that the extensions it declares itself are known by name.
        kind = GetMessageClass(self._pool.FindMessageTypeByName(options.DESCRIPTOR.full_name))
        for field, value in kind.FromString(options.SerializeToString()).ListFields():
            for item in value if field.is_repeated else [value]:
                text = io.StringIO()
                text_format.PrintFieldValue(field, item, text, as_one_line=True)
                yield f"{f'({field.full_name})' if field.is_extension else field.name} = {text.getvalue().strip()}"

    def _field(self, field: Field) -> str:
        options = ", ".join(self._options(field.options))
        kind = field.type_name or Field.Type.Name(field.type).removeprefix("TYPE_").lower()
        return f"{kind} {field.name} = {field.number}{f' [{options}]' if options else ''};"

    def _message(self, message: pb.DescriptorProto, indent: str) -> Iterator[str]:
        inner = indent + INDENT
        yield f"{indent}message {message.name} {{"
        yield from (f"{inner}option {option};" for option in self._options(message.options))
        for enum in message.enum_type:
            yield from self._enum(enum, inner)
        for nested in message.nested_type:
            yield from self._message(nested, inner)
        opened: int | None = None
        for field in message.field:
            group = field.oneof_index if field.HasField("oneof_index") else None
            if opened not in (None, group):
                yield f"{inner}}}"
            if group not in (None, opened):
                yield f"{inner}oneof {message.oneof_decl[field.oneof_index].name} {{"
                options = self._options(message.oneof_decl[field.oneof_index].options)
                yield from (f"{inner}{INDENT}option {option};" for option in options)
            yield inner + (LABELS[field.label] if group is None else INDENT) + self._field(field)
            opened = group
        if opened is not None:
            yield f"{inner}}}"
        for span in message.extension_range:
            yield f"{inner}extensions {span.start} to {'max' if span.end == 1 << 29 else span.end - 1};"
        yield from (f"{inner}reserved {span.start} to {span.end - 1};" for span in message.reserved_range)
        yield from (f'{inner}reserved "{name}";' for name in message.reserved_name)
        yield f"{indent}}}"

    def _enum(self, enum: pb.EnumDescriptorProto, indent: str) -> Iterator[str]:
        inner = indent + INDENT
        yield f"{indent}enum {enum.name} {{"
        yield from (f"{inner}option {option};" for option in self._options(enum.options))
        yield from (f"{inner}{value.name} = {value.number};" for value in enum.value)
        yield from (f"{inner}reserved {span.start} to {span.end};" for span in enum.reserved_range)
        yield from (f'{inner}reserved "{name}";' for name in enum.reserved_name)
        yield f"{indent}}}"
