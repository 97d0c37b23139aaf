from __future__ import annotations

from pathlib import Path

import pytest
from rapport_chassis.clock import Clock, SystemClock
from rapport_chassis.reloading import Reloaded
from rapport_testing.capture import LogCapture
from rapport_testing.files import replace_file


def number_in(file: Path) -> Reloaded[int]:
    return Reloaded("number", [file], lambda: int(file.read_text()), check_every_s=0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "number"
    path.write_text("1")
    return path


def test_a_changed_file_is_read_again(file: Path) -> None:
    value = number_in(file)
    assert (value.current(), value.generation) == (1, 1)
    replace_file(file, b"2")
    assert (value.current(), value.generation) == (2, 2)
    assert value.current() == 2
    assert value.generation == 2


def test_a_file_replaced_through_a_link_is_read_again(file: Path, tmp_path: Path) -> None:
    """Kubernetes mounts secrets behind a link that it moves."""
    link, new = tmp_path / "link", tmp_path / "new"
    link.symlink_to(file)
    value = number_in(link)
    new.write_text("2")
    moved = tmp_path / "moved"
    moved.symlink_to(new)
    moved.replace(link)
    assert value.current() == 2


def test_the_last_good_value_holds_until_the_file_is_good_again(file: Path, log_capture: LogCapture) -> None:
    value = number_in(file)
    replace_file(file, b"not a number")
    assert [value.current(), value.current()] == [1, 1]
    assert len(log_capture.named("file_not_usable")) == 1
    file.unlink()
    assert value.current() == 1
    replace_file(file, b"3")
    assert value.current() == 3


def test_a_value_that_cannot_be_read_at_first_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        number_in(tmp_path / "nowhere")


async def test_the_machines_clock_is_a_clock() -> None:
    clock: Clock = SystemClock()
    before = clock.boottime()
    await clock.sleep(0.01)
    assert clock.boottime() - before >= 0.01
    assert clock.now().utcoffset() is not None
