"""Templates: as messages of the contract, and as the rules know them."""

from __future__ import annotations

from typing import Final

from rapport.notification.v1 import authored_pb2, template_pb2
from rapport_chassis.authored import Version, VersionState
from rapport_chassis.times import set_stamp

from rapport_notification.app.templates import OWN
from rapport_notification.domain.contents import Kind, Template, Texts, Variable
from rapport_notification.domain.errors import ERRORS

STATES: Final[dict[int, VersionState]] = {
    authored_pb2.VERSION_STATE_DRAFT: "draft",
    authored_pb2.VERSION_STATE_ACTIVE: "active",
    authored_pb2.VERSION_STATE_RETIRED: "retired",
}
_STATE_NUMBERS: Final = {name: number for number, name in STATES.items()}
_KINDS: Final = {
    template_pb2.VARIABLE_KIND_TEXT: Kind.TEXT,
    template_pb2.VARIABLE_KIND_INTEGER: Kind.INTEGER,
    template_pb2.VARIABLE_KIND_MONEY: Kind.MONEY,
    template_pb2.VARIABLE_KIND_DATE: Kind.DATE,
    template_pb2.VARIABLE_KIND_URL: Kind.URL,
    template_pb2.VARIABLE_KIND_FLAG: Kind.FLAG,
    template_pb2.VARIABLE_KIND_ROWS: Kind.ROWS,
}


def thing_id(template_id: str, brand_id: str) -> str:
    """Return what a brand's template is called in the store of authored things."""
    return f"{template_id}/{brand_id}"


def template_in(template_id: str, brand_id: str, version: int, terms: template_pb2.TemplateTerms) -> Template:
    """Return a template, with what every template may use among its variables.

    Raises:
        RapportError: TEMPLATE_INVALID.
    """
    declared = {
        name: Variable(_KINDS[each.kind], {column: Variable(_KINDS[kind]) for column, kind in each.columns.items()})
        for name, each in terms.variables.items()
    }
    if taken := sorted(OWN.keys() & declared.keys()):
        raise invalid(f"filled in at the send, not declared: {', '.join(taken)}", "terms.variables")
    texts = {locale: Texts(each.subject, each.text, each.mjml) for locale, each in terms.texts.items()}
    try:
        return Template(template_id, version, brand_id, terms.locale, {**declared, **OWN}, texts)
    except ValueError as error:
        raise invalid(str(error), "terms") from error


def template_message(version: Version) -> template_pb2.Template:
    """Return a version as a message."""
    template_id, _, brand_id = version.id.partition("/")
    message = template_pb2.Template(template_id=template_id, brand_id=brand_id, status=status_of(version))
    message.terms.MergeFromString(version.body)
    return message


def status_of(version: Version) -> authored_pb2.VersionStatus:
    """Return what was decided about a version of an authored thing."""
    status = authored_pb2.VersionStatus(
        version=version.version,
        state=_STATE_NUMBERS[version.state],  # type: ignore[arg-type] # numbers of the contract
        decided_by=version.retired_by or version.decided_by or "",
        reason=version.retire_reason or version.reason or "",
    )
    set_stamp(status.created_at, version.created_at)
    if version.active_from is not None:
        set_stamp(status.active_from, version.active_from)
    return status


def invalid(text: str, field: str) -> Exception:
    """Return the refusal of a template."""
    return ERRORS.error("TEMPLATE_INVALID", text, field=field)
