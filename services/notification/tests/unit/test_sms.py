import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapport_notification.reference import load_json
from rapport_notification.sending.sms import Answers, Keywords, Reply, Segments, SmsMessage, segments, within_budget

KEYWORDS = Keywords(load_json("sms_keywords.json"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a" * 160, Segments(True, 160, 1)),
        ("a" * 161, Segments(True, 161, 2)),
        ("a" * 306, Segments(True, 306, 2)),
        ("a" * 307, Segments(True, 307, 3)),
        ("€" * 80, Segments(True, 160, 1)),
        ("a" * 152 + "€" + "a" * 152, Segments(True, 306, 3)),
        ("’" + "a" * 69, Segments(False, 70, 1)),  # noqa: RUF001
        ("’" + "a" * 70, Segments(False, 71, 2)),  # noqa: RUF001
        ("😀" * 35, Segments(False, 70, 1)),
        ("a" * 66 + "😀" * 3, Segments(False, 72, 2)),
        ("", Segments(True, 0, 1)),
    ],
)
def test_segments_are_counted_as_they_are_paid(text: str, found: Segments) -> None:
    assert segments(text) == found


@given(st.text(max_size=400))
def test_more_text_never_costs_less(text: str) -> None:
    assert segments(text).count <= segments(text + "a").count
    assert within_budget([text], segments(text).count)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("STOP", Reply.STOP),
        (" stop. ", Reply.STOP),
        ("Opt-out!", Reply.STOP),
        ("STOP ALL", Reply.STOP),
        ("Arrêt", Reply.STOP),
        ("ARRET", Reply.STOP),
        ("Désabonner", Reply.STOP),
        ("td", Reply.STOP),
        ("Ｓｔｏｐ", Reply.STOP),  # noqa: RUF001
        ("unstop", Reply.START),
        ("Hilfe", Reply.HELP),
        ("please stop texting me", Reply.REVIEW),
        ("Bitte keine Nachrichten mehr!", Reply.REVIEW),
        ("do not text me again", Reply.REVIEW),
        ("leave me alone", Reply.REVIEW),
        ("thanks, that was quick", Reply.OTHER),
        ("the shop is nonstop open", Reply.OTHER),
        ("", Reply.OTHER),
    ],
)
def test_an_answer_is_understood_whatever_its_case_accents_and_punctuation(text: str, meaning: Reply) -> None:
    assert KEYWORDS.read(text).reply is meaning


def test_every_shipped_stop_word_stops() -> None:
    for words in load_json("sms_keywords.json")["languages"].values():
        for kind in ("stop", "start", "help"):
            assert {KEYWORDS.read(word.upper()).reply for word in words[kind]} == {Reply(kind)}


@pytest.mark.parametrize("number", ["0151", "+0123456789", "+4915112345678901", "+49 151 123", "", "+49\n1511234"])
def test_what_is_no_number_or_no_text_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match=r"E\.164"):
        SmsMessage(number, "Brand", "hello", "key")
    for text in ("", "a\0b", "a\rb"):
        with pytest.raises(ValueError, match="text"):
            SmsMessage("+4915112345678", "Brand", text, "key")


@pytest.mark.parametrize("reply", [Reply.STOP, Reply.START, Reply.HELP])
def test_each_language_that_has_keywords_has_an_answer_of_two_segments_at_most(reply: Reply) -> None:
    answers = Answers(load_json("sms_answers.json"), "Brand", "brand.example/help")
    texts = {language: answers.text(reply, language) for language in load_json("sms_keywords.json")["languages"]}
    assert len(set(texts.values())) == len(texts)
    assert within_budget(list(texts.values()), 2), texts
    assert answers.text(reply, "pt-BR", "de") == texts["pt"]
    assert answers.text(reply, "", "ja") == texts["en"]
