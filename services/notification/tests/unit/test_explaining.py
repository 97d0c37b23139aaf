from dataclasses import replace
from datetime import UTC, datetime

from rapport_notification.domain.explaining import (
    FIRST,
    CapSeen,
    ConsentSeen,
    Receipt,
    WindowSeen,
    digest_over,
    is_chain,
)
from rapport_notification.domain.vocabulary import Channel, MessageClass

RECEIPT = Receipt(
    notification_id="ntf_1",
    decision_id="dec_1",
    decided_at=datetime(2026, 11, 2, 9, tzinfo=UTC),
    result="send",
    message_class=MessageClass.MARKETING,
    channel=Channel.EMAIL,
    consent=ConsentSeen("PERMIT", "consent", "GRANTED", "cev_1", "epo_1", 17, 200_000),
    caps=(CapSeen("daily", "2026-11-02", 1, 2),),
    window=WindowSeen((("Europe/Paris", "FR"),), ("address",), "2026-11-01", ("Mon 10:00",), True),
    template=("price_drop", 3, "", "fr"),
    channels_expected={"EMAIL": 0.2},
    provider="relay",
    attempt=1,
)


def sealed(*receipts: Receipt) -> list[tuple[bytes, bytes]]:
    before, chain = FIRST, []
    for each in receipts:
        before = digest_over(before, each.canonical())
        chain.append((each.canonical(), before))
    return chain


def test_a_chain_holds_until_a_receipt_is_changed_left_out_or_moved() -> None:
    second, third = replace(RECEIPT, decision_id="dec_2", attempt=2), replace(RECEIPT, decision_id="dec_3", attempt=3)
    chain = sealed(RECEIPT, second, third)
    assert is_chain(chain)
    assert not is_chain([chain[0], chain[2]])
    assert not is_chain([chain[1], chain[0], chain[2]])
    assert not is_chain([(replace(RECEIPT, provider="other").canonical(), chain[0][1]), *chain[1:]])


def test_the_same_content_has_one_form() -> None:
    again = replace(RECEIPT, providers_health={"b": "1", "a": "2"})
    assert again.canonical() == replace(RECEIPT, providers_health={"a": "2", "b": "1"}).canonical()
    assert again.canonical() != RECEIPT.canonical()
