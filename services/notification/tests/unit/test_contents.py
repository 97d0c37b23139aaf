from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_notification.domain.contents import (
    Kind,
    Template,
    Texts,
    ValuesRefusedError,
    Variable,
    checked,
    look_up,
)

VARIABLES = {
    "name": Variable(Kind.TEXT),
    "count": Variable(Kind.INTEGER),
    "price": Variable(Kind.MONEY),
    "until": Variable(Kind.DATE),
    "link": Variable(Kind.URL),
    "new": Variable(Kind.FLAG),
    "products": Variable(Kind.ROWS, {"title": Variable(Kind.TEXT), "link": Variable(Kind.URL)}),
}
VALUES: dict[str, Any] = {
    "name": "Lamp",
    "count": 3,
    "price": (Decimal("9.90"), "EUR"),
    "until": date(2026, 11, 30),
    "link": "https://brand.example/p/1?a=b",
    "new": True,
    "products": [{"title": "Lamp", "link": "https://brand.example/1"}],
}


def template(**texts: Texts) -> Template:
    return Template(
        "price_drop", 1, "", "en", VARIABLES, {name.replace("_", "-"): each for name, each in texts.items()}
    )


def test_a_language_is_looked_up_from_the_most_special_to_the_templates_own() -> None:
    offered = template(en=Texts("a", "b"), pt=Texts("a", "b"), pt_BR=Texts("a", "b"))
    found = [offered.locale_for(each) for each in ("pt-BR", "pt-PT", "PT-br-x-abc", "de", "", "zh-Hant-TW")]
    assert found == ["pt-BR", "pt", "pt-BR", "en", "en", "en"]
    assert look_up("zh-Hant-x-a", ["zh-Hant"]) == "zh-Hant"
    assert look_up("de", []) is None


def test_languages_with_different_parts_are_refused() -> None:
    for texts in (
        {"en": Texts("a", "b", "<mjml>"), "fr": Texts("a", "b")},
        {"en": Texts("a", "b"), "fr": Texts("", "b")},
        {"en": Texts("a", "")},
        {"fr": Texts("a", "b")},
    ):
        with pytest.raises(ValueError, match="language"):
            template(**texts)


def test_values_are_taken_as_declared() -> None:
    found = checked(VARIABLES, VALUES)
    assert found["price"] == ["money", "9.90", "EUR"]
    assert found["products"] == [{"title": "Lamp", "link": "https://brand.example/1"}]


@pytest.mark.parametrize("missing", sorted(VALUES))
def test_a_missing_value_refuses_and_is_named(missing: str) -> None:
    with pytest.raises(ValuesRefusedError, match=missing):
        checked(VARIABLES, {name: value for name, value in VALUES.items() if name != missing})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "line\nbreak"),
        ("name", "nul\0"),
        ("name", "sep\u2028"),
        ("name", "x" * 501),
        ("name", ["integer", 1]),
        ("count", True),
        ("count", "3"),
        ("count", 10**15),
        ("price", (9.9, "EUR")),
        ("price", (Decimal("NaN"), "EUR")),
        ("price", (Decimal("1"), "euro")),
        ("until", "2026-01-01"),
        ("link", "javascript:alert(1)"),
        ("link", "http://brand.example/"),
        ("link", 'https://brand.example/"onload=1'),
        ("link", "https://brand.example/ x"),
        ("link", "https://brand.example@evil.example/"),
        ("new", 1),
        ("products", [{"title": "Lamp"}]),
        ("products", [{"title": "Lamp", "link": "x"}]),
        ("products", [VALUES["products"][0]] * 51),
        ("products", {}),
    ],
    ids=str,
)
def test_a_value_that_is_not_as_declared_is_refused_without_being_quoted(name: str, value: Any) -> None:
    with pytest.raises(ValuesRefusedError) as refused:
        checked(VARIABLES, VALUES | {name: value})
    assert str(value) not in str(refused.value)


def test_what_is_not_declared_is_refused() -> None:
    with pytest.raises(ValuesRefusedError, match="more"):
        checked(VARIABLES, VALUES | {"more": 1})


@given(st.text())
def test_no_text_with_a_control_gets_in(text: str) -> None:
    try:
        checked({"name": Variable(Kind.TEXT)}, {"name": text})
    except ValuesRefusedError:
        return
    assert len((text + "x").splitlines()) == 1
    assert text.isprintable() or all(ord(character) > 0x9F for character in text if not character.isprintable())
