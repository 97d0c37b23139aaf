import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_identity.domain import identifiers
from rapport_identity.domain.folding import fold_record, parse_date
from rapport_identity.domain.names import fold, roots, short_forms, sound, split_suffix, without_titles
from rapport_identity.domain.records import Address, Identifier, IdentifierKind, Record, RecordKey

KEY = RecordKey("crm", "1")


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  O'Hare ", "ohare"),
        ("Müllenkranz", "mullenkranz"),
        ("Straße", "strasse"),
        ("José-María", "jose maria"),
        ("Łukasz Ødegård", "lukasz odegard"),
        ("\u0418\u0412\u0410\u041d", "\u0438\u0432\u0430\u043d"),
        ("—", None),
        ("", None),
        (None, None),
    ],
)
def test_names_are_folded(text, folded):
    assert fold(text) == folded


@given(st.text(max_size=40))
def test_folding_twice_changes_nothing_more(text):
    once = fold(text)
    assert fold(once) == once


@given(st.text(alphabet=st.characters(max_codepoint=0x17F), max_size=40))
def test_latin_text_ends_as_ascii_where_it_has_letters_only(text):
    folded = fold("".join(sign for sign in text if sign.isalpha() and sign not in "ªºµĸŉŋŦŧħĦĿŀŊ") or None)
    assert folded is None or folded.isascii()


def test_short_forms_lead_to_the_full_name_and_to_several_where_they_do():
    assert set(roots("bill")) & set(roots("william"))
    assert set(roots("alex")) >= {"alexander", "alexandra"}
    assert roots("zbigniew") == ("zbigniew",)
    assert all(name == fold(name) for name in short_forms())


def test_suffixes_and_titles_are_told_from_names():
    assert split_suffix(["dobbins", "jr"]) == (["dobbins"], "2")
    assert split_suffix(["i"]) == (["i"], None)
    assert without_titles(["dr", "ada", "bt"]) == ["ada"]


@pytest.mark.parametrize(
    ("word", "code"),
    [("robert", "r163"), ("rupert", "r163"), ("ashcraft", "a261"), ("tymczak", "t522"), ("lee", "l000")],
)
def test_sound_is_soundex(word, code):
    assert sound(word) == code


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1970-03-01", ("1970", "03", "01")),
        ("19700301", ("1970", "03", "01")),
        ("3/1/70", ("1970", "03", "01")),
        ("20/8/1991", ("1991", "08", "20")),
        ("24-May-11", ("2011", "05", "24")),
        ("Mar 1 1970", ("1970", "03", "01")),
        ("1856-86-18", ("1856", "86", "18")),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_are_read_in_their_usual_forms(text, parts):
    assert parse_date(text) == parts


@given(st.text(max_size=30))
def test_no_text_makes_reading_a_date_fail(text):
    parts = parse_date(text)
    assert parts is None or all(part.isdigit() for part in parts)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("Maria Sentosa <MSentosa+news@FMail.com>", "msentosa@fmail.com"),
        (" a.b@Mail.Org ", "a.b@mail.org"),
        ("none@mail.org", None),
        ("someone@example.com", None),
        ("no address", None),
        ("x" * 400 + "@mail.org", None),
        ("a@b@c", None),
    ],
)
def test_mail_addresses_are_normalised_or_refused(text, address):
    assert identifiers.email(text) == address


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("(702) 919-1300", "US", "+17029191300"),
        ("702-919-1300", "US", "+17029191300"),
        ("+39 0352 6553537", None, "+3903526553537"),
        ("321-3212", "US", "3213212"),
        ("000-000-0000", "US", None),
        ("123456789", None, None),
        ("12", None, None),
        ("not a number", None, None),
    ],
)
def test_telephone_numbers_are_normalised_or_refused(text, region, number):
    assert identifiers.phone(text, region) == number


@pytest.mark.parametrize("value", ["", "undefined", "[object Object]", "null", "0000", "N/A", "x" * 1000])
def test_identifiers_that_name_nobody_are_none(value):
    assert identifiers.exact(Identifier(IdentifierKind.ACCOUNT, "crm", value)) is None


def test_identifiers_are_comparable_within_their_namespace_only():
    one = identifiers.exact(Identifier(IdentifierKind.NATIONAL_ID, "SSN", "294-66-9999"))
    assert one == identifiers.exact(Identifier(IdentifierKind.NATIONAL_ID, "ssn", "294669999"))
    assert one != identifiers.exact(Identifier(IdentifierKind.NATIONAL_ID, "passport", "294669999"))


@given(
    st.builds(
        Record,
        key=st.just(KEY),
        given_name=st.none() | st.text(),
        middle_names=st.none() | st.text(),
        surname=st.none() | st.text(),
        birth_date=st.none() | st.text(),
        birth_place=st.none() | st.text(),
        address=st.none() | st.builds(Address, *[st.none() | st.text()] * 7),
        employer=st.none() | st.text(),
        emails=st.tuples(st.text()),
        phones=st.tuples(st.text()),
        region=st.sampled_from([None, "GB", "nowhere"]),
        identifiers=st.tuples(st.builds(Identifier, st.sampled_from(IdentifierKind), st.text(), st.text())),
    )
)
def test_no_record_makes_folding_fail_and_no_column_is_empty_text(record):
    columns = fold_record(record)
    assert columns.keys() == fold_record(Record(KEY)).keys()
    assert "" not in columns.values()
    assert all("" not in value for value in columns.values() if isinstance(value, tuple))


def test_an_empty_record_has_no_value_at_all():
    assert not any(fold_record(Record(KEY)).values())


def test_placeholder_postcodes_are_unknown():
    assert fold_record(Record(KEY, address=Address(postcode="00000")))["postcode"] is None


@given(
    local=st.from_regex(r"[a-z0-9]{1,9}([._-][a-z0-9]{1,9})?(\+[a-z0-9]{1,5})?", fullmatch=True),
    domain=st.from_regex(r"([a-z0-9]{1,9}\.){1,3}[a-z0-9]{1,10}", fullmatch=True)
    | st.sampled_from(["posteo.net", "a.local", "b.test", "c.arpa", "test", "x.onion", "mail.localhost", "xn.co"]),
)
def test_an_address_that_is_right_at_a_glance_is_right_when_looked_at_closely(local: str, domain: str) -> None:
    address = f"{local}@{domain}"
    # In capitals it is looked at closely, and means the same.
    assert identifiers.email(address) == identifiers.email(address.upper())
