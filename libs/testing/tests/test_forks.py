from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from rapport_testing.child import ProcessError
from rapport_testing.process import ServiceProcess
from rapport_testing.waiting import eventually_sync

MakeProgram = Callable[..., ServiceProcess]

# What a program can see of how it was started; the random number tells whether it shares a state with another.
REPORT = """
    import json, os, random, signal, sys, threading
    def limits():
        return {str(number): str(signal.getsignal(number)) for number in signal.valid_signals()}
    print(json.dumps({
        "name": __name__,
        "argv": sys.argv,
        "path": sys.path,
        "cwd": os.getcwd(),
        "env": {name: value for name, value in os.environ.items() if name != "LC_CTYPE"},
        "leads its session": os.getsid(0) == os.getpgrp() == os.getpid(),
        "input": sys.stdin.read(),
        "errors go where output goes": os.fstat(1) == os.fstat(2),
        "descriptors": sorted(int(each) for each in os.listdir("/proc/self/fd"))[:-1],
        "threads": threading.active_count(),
        "signals": limits(),
        "blocked": [str(each) for each in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    }))
    print(random.random())
"""

SERVICE = """
    import signal, sys
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("ready to serve", flush=True)
    while True:
        signal.pause()
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[MakeProgram]:
    """Makes a process of a script; it is killed after the test."""
    made: list[ServiceProcess] = []

    def make(
        text: str,
        *arguments: str,
        imports: tuple[str, ...] = ("textwrap",),
        env: Mapping[str, str] | None = None,
        module: bool = False,
        ready_line: str | None = None,
    ) -> ServiceProcess:
        path = tmp_path / "program.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        argv = [sys.executable, *(["-m", "program"] if module else [str(path)]), *arguments]
        log = tmp_path / f"{len(made)}.log"
        made.append(ServiceProcess(argv, env or {}, log, cwd=tmp_path, imports=imports, ready_line=ready_line))
        return made[-1]

    yield make
    for each in made:
        each.kill()


def ran(process: ServiceProcess) -> list[Any]:
    process.start(wait=False)
    assert process.wait() == 0, process.logs()
    return [json.loads(line) for line in process.logs().splitlines()]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("module", [False, True])
def test_a_forked_program_sees_what_one_started_by_its_command_line_sees(program: MakeProgram, module: bool) -> None:
    env = {"RAPPORT_GIVEN": "yes"}
    forked, number = ran(program(REPORT, "serve", "--only", module=module, env=env))
    started, _ = ran(program(REPORT, "serve", "--only", module=module, env=env, imports=()))
    again, other_number = ran(program(REPORT, "serve", "--only", module=module, env={"RAPPORT_GIVEN": "again"}))

    assert forked == started
    assert forked["argv"][1:] == ["serve", "--only"]
    assert forked["env"]["RAPPORT_GIVEN"] == "yes"
    assert again["env"]["RAPPORT_GIVEN"] == "again"
    assert number != other_number


def test_the_modules_are_there_before_the_program_starts(program: MakeProgram) -> None:
    text = "import json, sys; print(json.dumps('colorsys' in sys.modules))"
    assert ran(program(text, imports=("colorsys",))) == [True]
    assert ran(program(text, imports=())) == [False]


def test_programs_of_the_same_modules_share_a_server_and_others_do_not(program: MakeProgram) -> None:
    text = "import json, os; print(json.dumps(os.getppid()))"
    (first,) = ran(program(text, env={"RAPPORT_A": "1"}))
    assert ran(program(text, env={"RAPPORT_A": "2"})) == [first]
    assert ran(program(text, imports=("colorsys",))) != [first]
    assert ran(program(text, env={"LANGUAGE": "de"})) != [first], "modules may have read it"


@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [
        ("sys.exit(3)", 3, "before"),
        ("sys.exit('wrong settings')", 1, "wrong settings"),
        ("raise ValueError('broken')", 1, "ValueError: broken"),
        ("os._exit(4)", 4, ""),
        ("import atexit; atexit.register(print, 'at the end')", 0, "at the end"),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
        ("import subprocess; sys.exit(subprocess.call(['/bin/sh', '-c', 'exit 5']))", 5, "before"),
    ],
)
def test_it_ends_with_its_own_code_and_says_what_it_would_have_said(
    program: MakeProgram, ending: str, code: int, said: str
) -> None:
    process = program(f"import os, signal, sys\nprint('before')\n{ending}")
    process.start(wait=False)
    assert process.wait() == code
    assert said in process.logs()


def test_it_is_terminated_killed_suspended_and_started_again(program: MakeProgram) -> None:
    service = program(SERVICE, ready_line="ready to serve")
    service.start()
    first = psutil.Process(service.pid)
    service.suspend()
    assert first.status() == psutil.STATUS_STOPPED
    service.resume()
    service.kill()
    assert service.returncode == -signal.SIGKILL
    assert not first.is_running()

    service.start()
    assert service.terminate() == 0


def test_killing_one_program_leaves_the_others(program: MakeProgram) -> None:
    one, other = (program(SERVICE, ready_line="ready to serve") for _ in range(2))
    one.start()
    other.start()
    one.kill()
    assert other.is_running
    assert other.terminate() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux only")
def test_programs_die_with_their_server_and_the_next_start_has_a_new_one(program: MakeProgram) -> None:
    service = program(SERVICE, ready_line="ready to serve", imports=("colorsys",))
    service.start()
    server = psutil.Process(service.pid).parent()
    assert server is not None
    assert server.ppid() == os.getpid()

    server.kill()

    assert service.wait() == -signal.SIGKILL
    service.start()
    assert service.terminate() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_module_that_starts_a_thread_cannot_be_imported_beforehand(
    program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "busy_module.py").write_text("import threading; threading.Timer(60, print).start()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    process = program(SERVICE, imports=("busy_module",))
    with pytest.raises(ProcessError):
        process.start(wait=False)
    eventually_sync(lambda: "starts a thread when imported" in process.logs())
