from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from rapport_chassis.asgi.links import LinkSigner
from rapport_chassis.errors import RapportError
from rapport_notification.sending.fields import FieldRefusedError
from rapport_notification.sending.unsubscribe import LIFE, UnsubscribeLinks
from rapport_testing.clock import TestClock

MESSAGE = "ntf_0123456789abcdefABCDEF"


def test_a_link_fits_into_its_header_and_works_as_long_as_the_mail_lives(test_clock: TestClock) -> None:
    links = UnsubscribeLinks(LinkSigner([b"k" * 32], clock=test_clock), "https://mail.brand.example")
    url = links.url(MESSAGE, test_clock.now()).value
    assert MESSAGE not in url
    test_clock.advance(timedelta(days=3600).total_seconds())
    assert links.message(urlsplit(url).path) == MESSAGE
    test_clock.advance((LIFE - timedelta(days=3599)).total_seconds())
    with pytest.raises(RapportError):
        links.message(urlsplit(url).path)


def test_a_link_that_was_changed_or_made_for_something_else_opens_nothing(test_clock: TestClock) -> None:
    signer = LinkSigner([b"k" * 32], clock=test_clock)
    links = UnsubscribeLinks(signer, "https://mail.brand.example")
    path = urlsplit(links.url(MESSAGE, test_clock.now()).value).path
    other = signer.sign("confirm", MESSAGE, test_clock.now() + timedelta(days=1))
    for wrong in (path[:-2] + "AA", "/u/", "/u/" + other, path + "a"):
        with pytest.raises(RapportError):
            links.message(wrong)
    with pytest.raises(FieldRefusedError):
        UnsubscribeLinks(signer, "http://mail.brand.example").url(MESSAGE, test_clock.now())
