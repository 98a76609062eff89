import errno
import os
import stat
from pathlib import Path

import pytest

from nnc.files import atomic_write


@pytest.fixture
def path(tmp_path):
    atomic_write(tmp_path / "file", b"old")
    return tmp_path / "file"


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def test_it_makes_folders_and_replaces(tmp_path):
    path = tmp_path / "a" / "b"
    for data in (b"one", b"two", b""):
        atomic_write(path, data)
        assert path.read_bytes() == data
    assert os.listdir(path.parent) == ["b"]


def test_a_new_file_has_the_usual_permissions(path):
    usual = path.with_name("usual")
    usual.write_bytes(b"")
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


# The tests may run as root, whom no permission stops, so the system's answers are played.
@pytest.mark.parametrize(
    ("module", "function", "code"),
    [
        (Path, "open", errno.EACCES),
        (Path, "open", errno.EROFS),
        (os, "fsync", errno.ENOSPC),
        (os, "replace", errno.EACCES),
    ],
)
def test_a_folder_that_takes_nothing_keeps_what_it_has(path, monkeypatch, module, function, code):
    monkeypatch.setattr(module, function, raising(OSError(code, os.strerror(code))))
    with pytest.raises(OSError, match=f"cannot write .*file: {os.strerror(code)}; .*") as caught:
        atomic_write(path, b"new")
    monkeypatch.undo()
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["file"]


def test_a_disk_that_fills_while_writing_leaves_no_part(path, monkeypatch):
    real = Path.open

    def full(*arguments):
        file = real(*arguments, buffering=0)

        class Full:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

            def writelines(self, parts):
                file.write(next(iter(parts))[:1])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        return Full()

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="No space left on device"):
        atomic_write(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["file"]


def test_an_interruption_leaves_no_temporary_file(path, monkeypatch):
    monkeypatch.setattr(os, "fsync", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["file"]


def test_a_file_where_a_folder_should_be_is_named(path):
    with pytest.raises(OSError, match="cannot write"):
        atomic_write(path / "below", b"x")


def test_a_folder_where_the_file_should_be_is_named_and_kept(tmp_path):
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="cannot write"):
        atomic_write(tmp_path / "folder", b"x")
    assert os.listdir(tmp_path) == ["folder"]
