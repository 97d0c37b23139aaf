"""Between the contract's declarations and the rules. They are stored in the contract's JSON form."""

from __future__ import annotations

from typing import Final

from google.protobuf import json_format
from rapport.identity.v1 import registry_pb2
from rapport_chassis.authored import Version
from rapport_chassis.times import set_stamp

from rapport_identity.app.declarations import Declaration
from rapport_identity.domain.declarations import AttributeTerms, AttributeType, Kind, SourceTerms, Terms, TypeTerms

_TYPES: Final = {
    registry_pb2.ATTRIBUTE_TYPE_FLAG: AttributeType.FLAG,
    registry_pb2.ATTRIBUTE_TYPE_INTEGER: AttributeType.INTEGER,
    registry_pb2.ATTRIBUTE_TYPE_CODE: AttributeType.CODE,
    registry_pb2.ATTRIBUTE_TYPE_TIME: AttributeType.TIME,
    registry_pb2.ATTRIBUTE_TYPE_AMOUNT: AttributeType.AMOUNT,
}
_TYPE_NUMBERS: Final = {each: number for number, each in _TYPES.items()}
_STATES: Final = {
    "draft": registry_pb2.VERSION_STATE_DRAFT,
    "active": registry_pb2.VERSION_STATE_ACTIVE,
    "retired": registry_pb2.VERSION_STATE_RETIRED,
}
KINDS: Final[dict[int, Kind]] = {
    registry_pb2.DECLARATION_KIND_SOURCE: Kind.SOURCE,
    registry_pb2.DECLARATION_KIND_TOUCHPOINT_TYPE: Kind.TOUCHPOINT_TYPE,
    registry_pb2.DECLARATION_KIND_ATTRIBUTE: Kind.ATTRIBUTE,
}
"""Kinds by the contract's numbers."""


def terms_of(message: registry_pb2.DeclarationTerms) -> Terms:
    """Return what a declaration says."""
    match message.WhichOneof("terms"):
        case "source":
            source = message.source
            return SourceTerms(source.purpose_id, source.data_category)
        case "touchpoint_type":
            touchpoint = message.touchpoint_type
            return TypeTerms(
                tuple(touchpoint.purpose_ids),
                frozenset(touchpoint.bare_purpose_ids),
                touchpoint.data_category,
                touchpoint.link_purpose_id,
            )
        case "attribute":
            attribute = message.attribute
            return AttributeTerms(_TYPES[attribute.type], attribute.data_category, frozenset(attribute.codes))
        case _:
            raise ValueError("a declaration without terms")


def terms_message(terms: Terms) -> registry_pb2.DeclarationTerms:
    """Return what a declaration says as a message."""
    message = registry_pb2.DeclarationTerms()
    match terms:
        case SourceTerms():
            message.source.purpose_id = terms.purpose_id
            message.source.data_category = terms.data_category
        case TypeTerms():
            message.touchpoint_type.purpose_ids[:] = terms.purpose_ids
            message.touchpoint_type.bare_purpose_ids[:] = sorted(terms.bare_purpose_ids)
            message.touchpoint_type.data_category = terms.data_category
            message.touchpoint_type.link_purpose_id = terms.link_purpose_id
        case AttributeTerms():
            message.attribute.type = _TYPE_NUMBERS[terms.type]
            message.attribute.data_category = terms.data_category
            message.attribute.codes[:] = sorted(terms.codes)
    return message


def terms_body(terms: Terms) -> bytes:
    """Return what a declaration says as it is stored."""
    return json_format.MessageToJson(
        terms_message(terms), preserving_proto_field_name=True, indent=None, sort_keys=True
    ).encode()


def terms_in(body: bytes) -> Terms:
    """Return what a declaration says from how it is stored. What a later release added to it is passed over."""
    return terms_of(json_format.Parse(body, registry_pb2.DeclarationTerms(), ignore_unknown_fields=True))


def declaration_of(version: Version) -> Declaration:
    """Return a version as it is read from storage."""
    return Declaration(
        version.id,
        version.version,
        version.state,
        terms_in(version.body),
        version.active_from,
        version.created_at,
        version.retired_by or version.decided_by or "",
        version.retire_reason or version.reason or "",
    )


def declaration_message(declaration: Declaration) -> registry_pb2.Declaration:
    """Return a version as a message."""
    message = registry_pb2.Declaration(
        name=declaration.name,
        version=declaration.version,
        state=_STATES[declaration.state],
        terms=terms_message(declaration.terms),
        decided_by=declaration.decided_by,
        reason=declaration.reason,
    )
    set_stamp(message.created_at, declaration.created_at)
    if declaration.active_from is not None:
        set_stamp(message.active_from, declaration.active_from)
    return message
