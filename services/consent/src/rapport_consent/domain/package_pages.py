"""The pages of a package: they open offline, without script, and are read aloud as well as seen.

Every value is escaped, none becomes a link, and a policy in the page forbids whatever could still be loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from typing import Any, Final

from rapport_consent.domain.packages import Origin, PackagePlan, StoreInfo, StoreTally

Texts = Mapping[str, Any]
"""The words of one language, as `data/package_texts.json` has them."""

RECORDS_ON_PAGE: Final = 200

_STYLE: Final = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1rem;color:#111;background:#fff}"
    "a{color:#0645ad}a:focus{outline:.2rem solid #0645ad}.skip{position:absolute;left:-99rem}.skip:focus{left:1rem}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}caption{text-align:left;font-weight:bold}"
    "th,td{border:1px solid #767676;padding:.3rem .5rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "td th{width:30%}.lines{white-space:pre-line}@media print{body{max-width:none}}"
)
_NOTHING: Final = "&ndash;"
_DEEPEST: Final = 12
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"


@dataclass(frozen=True, slots=True)
class StoreFiles:
    """Where the records of a store are in the package.

    Attributes:
        info: The store.
        tally: What the package holds of it.
        pages: Its pages.
        tables: Its JSON and CSV file.
    """

    info: StoreInfo
    tally: StoreTally
    pages: tuple[str, ...]
    tables: tuple[str, ...]


def index_page(plan: PackagePlan, stores: Sequence[StoreFiles], texts: Texts, letter: str = "") -> Iterator[str]:
    """Yield the page that one opens first.

    Args:
        plan: The package.
        stores: Where the records are.
        texts: The words.
        letter: Where the letter is that goes with it; empty for none.
    """
    yield from _head(plan.locale, texts["title"][plan.kind.value], texts)
    yield f"<p>{escape(texts['intro'][plan.kind.value])}</p>"
    if not any(store.tally.records for store in stores):
        yield f"<p><strong>{escape(texts['nothing'])}</strong></p>"
    controller = plan.controller
    yield _rows(
        [
            (texts["request"], plan.request_id),
            (texts["made_at"], _when(plan.made_at)),
            (texts["controller"], f"{controller.name}\n{controller.address}"),
            (texts["contact"], controller.contact),
            (texts["transfers"], controller.storage_location),
        ]
    )
    if letter:
        yield f'<p><a href="{escape(letter)}">{escape(texts["letter"])}</a></p>'
    yield f"<h2>{escape(texts['contents'])}</h2>"
    for origin in Origin:
        if shown := [store for store in stores if store.info.origin is origin]:
            yield f"<h3>{escape(texts['origins'][origin.value])}</h3>"
            yield from _contents(shown, plan, texts)
    if plan.purposes:
        bases = [(purpose, texts["bases"].get(basis, basis)) for purpose, basis in sorted(plan.purposes.items())]
        yield f"<h2>{escape(texts['purposes'])}</h2>{_rows(bases)}"
    if plan.history:
        yield f"<h2>{escape(texts['history'])}</h2>{_rows([(_when(at), words) for at, words in plan.history])}"
    yield f"<h2>{escape(texts['rights'])}</h2><p>{escape(texts['rights_text'])}</p>"
    lines = escape("\n".join(plan.authority))
    yield f"<h2>{escape(texts['complaint'])}</h2><p>{escape(texts['complaint_text'])}</p><p class=lines>{lines}</p>"
    yield f"<h2>{escape(texts['check'])}</h2><p>{escape(texts['check_text'])}</p>"
    yield _FOOT


def record_page(
    plan: PackagePlan, info: StoreInfo, records: Iterable[Mapping[str, Any]], number: int, count: int, texts: Texts
) -> Iterator[str]:
    """Yield one page of records of a store, in a folder beside the first page.

    Args:
        plan: The package.
        info: The store.
        records: The records on this page: "record_id", "recorded_at" and "data".
        number: Of this page, from 1.
        count: How many there are.
        texts: The words.
    """
    yield from _head(plan.locale, f"{info.participant}: {info.store}", texts)
    back = f'<a href="../index.html">{escape(texts["back"])}</a>'
    yield f"<nav><p>{back} &ndash; {escape(texts['page'].format(number=number, count=count))}</p></nav>"
    for record in records:
        at = f", {texts['recorded_at']} {record['recorded_at']}" if record["recorded_at"] else ""
        caption = f"<caption>{escape(texts['record'])} {escape(record['record_id'])}{escape(at)}</caption>"
        yield f"<table>{caption}{_columns(texts)}<tbody>{_fields(record['data'], texts)}</tbody></table>"
    yield f"<nav><p>{back}</p></nav>"
    yield _FOOT


_FOOT: Final = "</main></body></html>\n"


def _head(locale: str, title: str, texts: Texts) -> Iterator[str]:
    yield (
        f'<!doctype html>\n<html lang="{escape(locale)}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f'<a class="skip" href="#content">{escape(texts["skip"])}</a><main id="content"><h1>{escape(title)}</h1>'
    )


def _contents(stores: Sequence[StoreFiles], plan: PackagePlan, texts: Texts) -> Iterator[str]:
    names = ("place", "records", "category", "purposes", "recipients", "kept_for", "source", "files")
    heads = "".join(f'<th scope="col">{escape(texts["columns"][name])}</th>' for name in names)
    yield f"<table><thead><tr>{heads}</tr></thead><tbody>"
    for store in stores:
        info, tally = store.info, store.tally
        cells = (
            f"{escape(info.participant)}: {escape(info.store)}{_left_out(tally, texts)}",
            str(tally.records),
            escape(info.category or texts["not_stated"]),
            escape(", ".join(info.purposes) or texts["not_stated"]),
            escape(", ".join(info.recipients) or texts["us"]),
            escape(_span(info.kept_for, texts)),
            escape(info.source or texts["not_stated"]),
            _links(store, texts),
        )
        first, *rest = cells
        yield f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
    yield "</tbody></table>"


def _left_out(tally: StoreTally, texts: Texts) -> str:
    said = []
    if tally.withheld:
        said.append(f"{texts['withheld']}: {', '.join(sorted(tally.withheld))}")
    if tally.redacted:
        said.append(f"{texts['redacted']}: {tally.redacted}")
    if tally.excluded:
        said.append(f"{texts['excluded']}: {tally.excluded}")
    return "".join(f"<p>{escape(each)}</p>" for each in said)


def _links(store: StoreFiles, texts: Texts) -> str:
    if not store.tally.records:
        return escape(texts["empty"])
    count = len(store.pages)
    pages = [
        f'<a href="{page}">{escape(texts["page"].format(number=number, count=count))}</a>'
        for number, page in enumerate(store.pages, start=1)
    ]
    tables = [f'<a href="{table}">{table.rpartition(".")[2].upper()}</a>' for table in store.tables]
    return " ".join([*pages, *tables])


def _columns(texts: Texts) -> str:
    field, value = escape(texts["field"]), escape(texts["value"])
    return f'<thead><tr><th scope="col">{field}</th><th scope="col">{value}</th></tr></thead>'


def _fields(data: Mapping[str, Any], texts: Texts, depth: int = 0) -> str:
    return "".join(
        f'<tr><th scope="row">{escape(key.replace("_", " "))}</th><td>{_value(value, texts, depth + 1)}</td></tr>'
        for key, value in data.items()
    )


def _value(value: Any, texts: Texts, depth: int) -> str:
    match value:
        case dict() | list() if depth > _DEEPEST:
            return escape(json.dumps(value, ensure_ascii=False))
        case None:
            return _NOTHING
        case bool():
            return escape(texts["yes" if value else "no"])
        case dict():
            return f"<table><tbody>{_fields(value, texts, depth)}</tbody></table>" if value else _NOTHING
        case list():
            return (
                f"<ul>{''.join(f'<li>{_value(each, texts, depth + 1)}</li>' for each in value)}</ul>"
                if value
                else _NOTHING
            )
        case _:
            return escape(str(value))


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class=lines>{escape(value)}</td></tr>' for name, value in rows
    )
    return f"<table><tbody>{cells}</tbody></table>"


def _span(span: timedelta | None, texts: Texts) -> str:
    return str(texts["as_customer"] if span is None else texts["days"].format(count=span.days))


def _when(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"
