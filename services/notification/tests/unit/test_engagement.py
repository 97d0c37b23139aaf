"""People are told from the machines that look at mails before them; links of ours lead where they led."""

from datetime import UTC, datetime

import pytest
from rapport_chassis.asgi.links import LinkSigner
from rapport_chassis.clock import SystemClock
from rapport_chassis.errors import RapportError
from rapport_notification.domain.engagement import By, Engagement, Seen, judged, looks_like
from rapport_notification.domain.vocabulary import SECOND_US
from rapport_notification.sending.tracking import CLICK_PAGE, OPEN_PAGE, Tracking

BROWSER = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15"
NOW = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("method", "agent", "prefetch", "looks"),
    [
        ("GET", BROWSER, False, By.PERSON),
        ("HEAD", BROWSER, False, By.SCANNER),
        ("GET", BROWSER, True, By.SCANNER),
        ("GET", "Mozilla/5.0 (compatible; SecurityScanner/1.0)", False, By.SCANNER),
        ("GET", "python-requests/2.32", False, By.SCANNER),
        ("GET", "Outlook", False, By.UNKNOWN),
    ],
)
def test_a_request_looks_like_what_it_says_it_is(method: str, agent: str, prefetch: bool, looks: By) -> None:
    assert looks_like(method, agent, prefetch=prefetch) is looks


def click(link: str, at_s: float, looks: By = By.PERSON) -> Seen:
    return Seen(Engagement.CLICKED, link, int(at_s * SECOND_US), looks)


def test_who_clicks_at_once_or_everything_is_no_person_and_a_picture_alone_says_nothing() -> None:
    one = click("link1", 60)
    assert judged(one, [one], 0) is By.PERSON
    assert judged(click("link1", 1), [], 0) is By.SCANNER
    burst = [click(f"link{each}", 60 + each) for each in range(3)]
    assert judged(burst[0], burst, 0) is By.SCANNER
    apart = [click(f"link{each}", 60 + 20 * each) for each in range(3)]
    assert judged(apart[0], apart, 0) is By.PERSON
    assert judged(click("link1", 60, By.UNKNOWN), [], 0) is By.UNKNOWN
    assert judged(Seen(Engagement.OPENED, "", 60 * SECOND_US, By.PERSON), [], 0) is By.UNKNOWN


def test_links_of_others_become_ours_and_lead_where_they_led() -> None:
    tracking = Tracking(LinkSigner([b"k" * 32], clock=SystemClock()), "https://mail.brand.example")
    long = "https://brand.example/" + "x" * 600
    html = (
        '<body><a class="b" href="https://brand.example/a?b=1&amp;c=2">A</a>'
        f'<a href="https://mail.brand.example/u/token">U</a><a href="{long}">L</a></body>'
    )
    found = tracking.links("ntf_1", html, datetime.now(UTC))
    assert '<a href="https://mail.brand.example/u/token">' in found
    assert long in found
    token = found.split(CLICK_PAGE)[1].split('"')[0]
    assert tracking.followed(token) == ("ntf_1", "link1", "https://brand.example/a?b=1&c=2")
    picture = found.split(OPEN_PAGE)[1].split('"')[0]
    assert tracking.opened(picture) == "ntf_1"
    with pytest.raises(RapportError, match="something else"):
        tracking.followed(picture)
