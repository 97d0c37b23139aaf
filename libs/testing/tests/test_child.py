from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import psutil
import pytest
from rapport_testing.child import ChildProcess, ProcessError
from rapport_testing.nats import NatsServer
from rapport_testing.postgres import PostgresServer
from rapport_testing.waiting import eventually_sync

PARENT = """
    import signal, sys
    from pathlib import Path
    import psutil
    from rapport_testing.nats import NatsServer
    from rapport_testing.postgres import PostgresServer

    folder = Path(sys.argv[1])
    detached = sys.argv[2] == "detached"
    postgres = PostgresServer(folder / "postgres", durable=False, detached=detached)
    nats = NatsServer(folder / "nats", detached=detached)
    for server in (postgres, nats):
        server.start()
    family = psutil.Process().children(recursive=True)
    print(" ".join(str(process.pid) for process in family), flush=True)
    signal.pause()
"""


def start_parent(folder: Path, *, detached: bool) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    command = [sys.executable, "-c", textwrap.dedent(PARENT), str(folder), "detached" if detached else "bound"]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        return parent, [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def pause(tmp_path: Path) -> ChildProcess:
    program = "import signal; print('up', flush=True); signal.pause()"
    return ChildProcess([sys.executable, "-c", program], log_path=tmp_path / "log")


def wait_until_up(tmp_path: Path) -> None:
    eventually_sync(lambda: "up" in (tmp_path / "log").read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux only")
def test_nothing_is_left_running_after_the_parent_is_killed(tmp_path: Path) -> None:
    parent, family = start_parent(tmp_path, detached=False)
    assert len(family) > 2
    assert alive(family) == family

    parent.kill()
    parent.wait()

    eventually_sync(lambda: alive(family) == [])


def test_a_detached_server_outlives_its_parent_and_is_stopped_by_the_next(tmp_path: Path) -> None:
    parent, family = start_parent(tmp_path, detached=True)
    parent.kill()
    parent.wait()
    assert alive(family) == family

    assert PostgresServer(tmp_path / "postgres").stop_left_over()
    assert NatsServer(tmp_path / "nats").stop_left_over()

    eventually_sync(lambda: alive(family) == [])
    assert not PostgresServer(tmp_path / "postgres").stop_left_over()


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    child = pause(tmp_path)
    thread = threading.Thread(target=child.start)
    thread.start()
    thread.join()
    wait_until_up(tmp_path)
    assert child.is_running
    child.kill()


def test_a_killed_child_is_reaped_with_its_exit_code(tmp_path: Path) -> None:
    child = pause(tmp_path)
    child.start()
    pid = child.pid
    assert pid is not None

    child.kill()

    assert child.returncode == -signal.SIGKILL
    assert child.pid is None
    assert not psutil.pid_exists(pid)


def test_a_kill_reaches_what_the_child_started_in_a_session_of_its_own(tmp_path: Path) -> None:
    program = """
        import subprocess, sys, signal
        command = [sys.executable, "-c", "import signal; signal.pause()"]
        print(subprocess.Popen(command, start_new_session=True).pid, flush=True)
        signal.pause()
    """
    child = ChildProcess([sys.executable, "-c", textwrap.dedent(program)], log_path=tmp_path / "log")
    child.start()
    eventually_sync(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text().endswith("\n"))
    grandchild = psutil.Process(int((tmp_path / "log").read_text()))

    child.kill()

    assert alive([grandchild]) == []


def test_terminate_kills_what_does_not_listen(tmp_path: Path) -> None:
    program = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    child = ChildProcess([sys.executable, "-c", program], log_path=tmp_path / "log")
    child.start()
    eventually_sync(lambda: "up" in (tmp_path / "log").read_text())
    # A signal that is ignored wakes pause() no more than none.
    assert child.terminate(timeout_s=0.2) == -signal.SIGKILL


def test_terminate_reaches_a_suspended_child(tmp_path: Path) -> None:
    child = pause(tmp_path)
    child.start()
    wait_until_up(tmp_path)
    child.suspend()
    assert child.terminate() == -signal.SIGTERM


def test_a_program_that_does_not_exist_ends_and_says_so(tmp_path: Path) -> None:
    child = ChildProcess(["/does/not/exist"], log_path=tmp_path / "log")
    child.start()
    assert child.wait(10) != 0
    assert "No such file" in (tmp_path / "log").read_text()


def test_starting_twice_is_refused(tmp_path: Path) -> None:
    child = pause(tmp_path)
    child.start()
    with pytest.raises(ProcessError, match="already running"):
        child.start()
    child.kill()
    child.start()
    child.kill()


def test_the_environment_is_the_one_given(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import os; print(os.environ['GIVEN'], os.environ.get('HOME'))"]
    child = ChildProcess(command, log_path=tmp_path / "log", env={"GIVEN": "yes", "PATH": os.environ["PATH"]})
    child.start()
    assert child.wait(10) == 0
    assert (tmp_path / "log").read_text() == "yes None\n"
