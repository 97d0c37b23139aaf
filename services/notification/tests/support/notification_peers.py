"""Peers that no package of Python brings: a real Postfix, and a DKIM verifier of other people.

    python services/notification/tests/support/notification_peers.py

fetches both into build/peers, with apt-get and npm, and installs nothing; tests that need one skip without it.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from rapport_testing.free_ports import free_port
from rapport_testing.waiting import eventually

PEERS: Final = Path(__file__).resolve().parents[4] / "build" / "peers"
MAILAUTH: Final = "mailauth@4.13.3"

_MAIN: Final = """
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = {root}/usr/sbin
daemon_directory = {root}/usr/lib/postfix/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {root}/etc/postfix
sendmail_path = {root}/usr/sbin/sendmail
mail_owner = mail
setgid_group = games
myhostname = relay.brand.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:{next_port}
alias_maps =
local_recipient_maps =
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
import_environment = LD_LIBRARY_PATH MAIL_CONFIG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME
export_environment = LD_LIBRARY_PATH MAIL_CONFIG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME
"""
_MASTER: Final = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


def postfix_root() -> Path | None:
    """Where a Postfix is that can be started, which root alone can; None if there is none."""
    found = (each for each in (PEERS / "postfix", Path("/")) if (each / "usr/sbin/postfix").exists())
    return next(found, None) if os.geteuid() == 0 else None


@asynccontextmanager
async def postfix(next_port: int) -> AsyncIterator[tuple[int, Path]]:
    """Run a Postfix that hands all mails on to a port of this machine; its port, and its log."""
    root = postfix_root()
    if root is None:
        pytest.skip("there is no Postfix, neither installed nor in build/peers, or nobody here may start it")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="postfix-") as name:
        folder = Path(name)
        _configure(folder, root, port, next_port)
        command = [str(root / "usr/sbin/postfix"), "-c", str(folder / "conf")]
        environment = dict(os.environ) | {"LD_LIBRARY_PATH": str(root / "usr/lib/postfix")}
        process = await asyncio.create_subprocess_exec(
            *command, "start-fg", env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        log = folder / "mail.log"
        try:
            await eventually(lambda: log.exists() and b"daemon started" in log.read_bytes(), timeout_s=30)
            yield port, log
        finally:
            stop = await asyncio.create_subprocess_exec(*command, "stop", env=environment, stderr=subprocess.DEVNULL)
            await stop.wait()
            await process.wait()


def _configure(folder: Path, root: Path, port: int, next_port: int) -> None:
    folder.chmod(0o755)  # its daemons run as others
    for each in ("conf", "queue", "data"):
        (folder / each).mkdir()
    os.chown(folder / "data", pwd.getpwnam("mail").pw_uid, -1)
    conf = folder / "conf"
    (conf / "main.cf").write_text(_MAIN.format(folder=folder, root=root, next_port=next_port), encoding="ascii")
    (conf / "master.cf").write_text(_MASTER.format(port=port), encoding="ascii")


def mailauth(folder: Path, mail: bytes, record: bytes, name: str) -> Any:
    """Return what mailauth finds of a mail whose DKIM record is published under a name."""
    program, node = PEERS / "node_modules/mailauth/bin/mailauth.js", shutil.which("node")
    if node is None or not program.exists():
        pytest.skip("there is no mailauth in build/peers, or no Node to run it")
    (folder / "mail.eml").write_bytes(mail)
    (folder / "dns.json").write_text(json.dumps({name: {"TXT": [[record.decode()]]}}), encoding="ascii")
    found = subprocess.run(
        [node, str(program), "report", "--dns-cache", str(folder / "dns.json"), str(folder / "mail.eml")],
        capture_output=True,
        check=True,
        timeout=60,
    )
    return json.loads(found.stdout)


def main() -> None:
    """Fetch both."""
    PEERS.mkdir(parents=True, exist_ok=True)
    for command in (["apt-get", "download", "postfix"], ["npm", "install", "--no-fund", "--no-audit", MAILAUTH]):
        subprocess.run(command, cwd=PEERS, check=True)
    for package in PEERS.glob("postfix_*.deb"):
        subprocess.run(["dpkg-deb", "-x", package.name, "postfix"], cwd=PEERS, check=True)
    # Where it looks for its own files besides the configuration it is given.
    for each in (PEERS / "postfix/usr/share/postfix").glob("*.cf*"):
        shutil.copy(each, PEERS / "postfix/etc/postfix")


if __name__ == "__main__":
    main()
