"""A mail through a real Postfix: byte for byte as signed, valid to a verifier of other people, and found in its log."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from notification_peers import mailauth, postfix
from rapport_notification.adapters.relay_log import RelayLog
from rapport_notification.conformance.smtp_sink import SmtpSink
from rapport_notification.sending.dkim import DkimSigner
from rapport_notification.sending.fields import Address, Text, Token
from rapport_notification.sending.mime import write
from rapport_notification.sending.outcome import Handed
from rapport_notification.sending.smtp import Envelope, SmtpPool, SmtpSettings

LONG = "Größe " * 20


async def test_a_mail_passes_a_real_relay_unchanged_and_verifies_behind_it(
    keys, rsa_key: RSAPrivateKey, mail, tmp_path: Path
) -> None:
    made = write(mail(subject=Text(LONG), text=f"hello\n.a dot\nFrom somebody\n{LONG}"))
    signed = made.joined(*DkimSigner("brand.example", keys[:1]).sign(made, int(time.time())))
    envelope = Envelope(Address("b+1@bounces.brand.example"), Address("somebody@example.org"), Token("ntf_1.1"))
    async with SmtpSink(keep=True, dsn=True) as sink, postfix(sink.address[1]) as (port, log):
        pool = SmtpPool(SmtpSettings("127.0.0.1", port, tls="never"))
        outcome = await pool.send(envelope, signed, lambda: True)
        assert (outcome.handed, outcome.code) == (Handed.SENT, 250)
        async with asyncio.timeout(30):
            await sink.until(1)
        await pool.close()
        (came,) = sink.taken.mails
        said = RelayLog(log)
        assert await said.seen(f"{mail().message_id.value}@{mail().sender.domain}")
        assert not await said.seen(f"ntf_other.1@{mail().sender.domain}")
    assert came[came.index(b"DKIM-Signature") :].rstrip() == signed.rstrip()
    public = rsa_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    report = await asyncio.to_thread(mailauth, tmp_path, came, record, "r1._domainkey.brand.example")
    (result,) = report["dkim"]["results"]
    assert result["status"]["result"] == "pass"
    assert {"List-Unsubscribe", "List-Unsubscribe-Post"} <= set(result["signingHeaders"]["keys"].split(": "))
