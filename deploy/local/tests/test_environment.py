"""The folder: closed to others, held by one process, ports that nobody else has."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rapport_local.environment import HOST, Environment, is_free
from rapport_local.failure import Failure


def test_the_folder_is_closed_to_other_users(tmp_path: Path) -> None:
    made = Environment.at(tmp_path / "deep" / "environment")
    made.create()
    for folder in (made.folder, made.secrets, made.certificates, made.data):
        assert folder.stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match="cannot be used"):
        Environment.at(tmp_path / "file" / "environment").create()


def test_only_one_process_holds_an_environment(environment: Environment) -> None:
    assert environment.holder() is None
    with environment.held():
        assert environment.holder() is not None
        with pytest.raises(Failure, match=r"runs in .* already"), environment.held():
            pass
    assert environment.holder() is None


def test_a_killed_holder_holds_nothing(environment: Environment, script: Callable[[str], list[str]]) -> None:
    program = f"""
import time
from pathlib import Path
from rapport_local.environment import Environment
with Environment.at(Path({str(environment.folder)!r})).held():
    print("held", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen(script(program), stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert environment.holder() == holder.pid
        holder.kill()
    assert environment.holder() is None
    with environment.held():
        assert environment.holder() == os.getpid()


def test_a_port_stays_the_same_while_it_is_free(environment: Environment) -> None:
    port = environment.take_port("consent")
    assert environment.take_port("consent") == port
    assert environment.take_port("nats") != port


def test_a_port_that_somebody_took_is_replaced(environment: Environment) -> None:
    port = environment.take_port("consent")
    with socket.create_server((HOST, port)):
        assert not is_free(port)
        other = environment.take_port("consent")
    assert other != port
    assert environment.take_port("consent") == other
