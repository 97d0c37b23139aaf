"""Use cases: show what a message would look like, and send one to somebody who looks at it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from rapport_chassis.clock import Clock
from rapport_chassis.ids import new_id

from rapport_notification.app.carriers import Carrier, Contact, Parcel, Texts
from rapport_notification.app.templates import Prepared, filled
from rapport_notification.domain.contents import Template, ValuesRefusedError, checked
from rapport_notification.domain.errors import ERRORS
from rapport_notification.domain.vocabulary import MessageClass
from rapport_notification.sending.outcome import Handed
from rapport_notification.sending.sms import segments

_LINK: Final = "https://unsubscribe.invalid/"


class Job(NamedTuple):
    """A message to be written: its template, the HTML of each language, the language, and checked values."""

    template: Template
    html: Mapping[str, str]
    locale: str
    values: Mapping[str, Any]


class NotWritten(NamedTuple):
    """A message that could not be written: why, in words that quote nothing."""

    why: str


class Writes(Protocol):
    """Writes messages."""

    async def write(self, jobs: Sequence[Job]) -> list[Texts | NotWritten]:
        """Return for each message its texts, or why there are none."""
        ...


class Wanted(NamedTuple):
    """A look that is wanted: the template, the language, the values."""

    prepared: Prepared
    locale: str
    values: Mapping[str, Any]


class Looked(NamedTuple):
    """What a message looks like."""

    version: int
    locale: str
    texts: Texts
    sms_segments: int


@dataclass(frozen=True)
class Preview:
    """Renders templates without a message.

    Attributes:
        writes: Writes messages.
        carrier: Hands mails over; None where there is no e-mail.
        test_domains: That test mails may go to.
        clock: The time.
    """

    writes: Writes
    carrier: Carrier | None
    test_domains: Sequence[str]
    clock: Clock

    async def render(self, wanted: Wanted) -> Looked:
        """Return what a message would look like.

        Raises:
            RapportError: VALUES_INVALID, NOT_RENDERED.
        """
        template = wanted.prepared.template
        locale = template.locale_for(wanted.locale) if wanted.locale else template.locale
        try:
            values = checked(wanted.prepared.declared, wanted.values)
        except ValuesRefusedError as error:
            raise ERRORS.error("VALUES_INVALID", str(error), field="variables") from error
        [texts] = await self.writes.write(
            [Job(template, wanted.prepared.html, locale, filled(values, given="", family="", unsubscribe_url=_LINK))]
        )
        if isinstance(texts, NotWritten):
            raise ERRORS.error("NOT_RENDERED", texts.why, field="variables")
        return Looked(template.version, locale, texts, segments(texts.text).count)

    def may_test(self, address: str) -> None:
        """Refuse an address that tests may not go to.

        Raises:
            RapportError: TEST_NOT_ALLOWED.
        """
        if address.rpartition("@")[2].lower() not in self.test_domains:
            raise ERRORS.error("TEST_NOT_ALLOWED", "tests may not be sent to that domain", field="email")

    async def send(self, looked: Looked, address: str) -> tuple[str, str]:
        """Send a mail and return its Message-ID and the provider that took it.

        Raises:
            RapportError: NOT_SENT.
        """
        now = self.clock.boottime()
        attempt = self.carrier.pool.begin(now) if self.carrier is not None else None
        if self.carrier is None or attempt is None:
            raise ERRORS.error("NOT_SENT", "no provider takes a mail now", retry_after_s=1.0)
        parcel = Parcel(
            notification_id=new_id("notification"),
            attempt=1,
            series=1,
            recipient_id="",
            contact=Contact(address),
            texts=looked.texts,
            locale=looked.locale,
            brand_id="",
            category="test",
            message_class=MessageClass.SERVICE,
            sent_at=self.clock.now(),
        )
        outcome = await self.carrier.hand_over(attempt.provider, parcel, lambda: True)
        self.carrier.pool.ended(attempt, outcome, self.clock.boottime())
        if outcome.handed is not Handed.SENT:
            raise ERRORS.error("NOT_SENT", "the provider did not take it", retry_after_s=1.0)
        return parcel.key, attempt.provider
