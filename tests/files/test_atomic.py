"""A file is written whole or not at all, and what its name stands for stays as it is."""

import errno
import os
import select
import stat
import threading

import pytest

from minirnn.files import atomic
from minirnn.files.atomic import write

unix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="links and pipes of Unix")


@unix
def test_links_are_followed(tmp_path):
    target, link, dangling = (tmp_path / name for name in ("target", "link", "dangling"))
    target.write_bytes(b"old")
    link.symlink_to("target")
    dangling.symlink_to(tmp_path / "new")
    write(link, b"linked")
    write(dangling, b"made")
    assert link.is_symlink() and target.read_bytes() == b"linked"
    assert dangling.is_symlink() and (tmp_path / "new").read_bytes() == b"made"
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="circle"):
        write(tmp_path / "circle", b"x")


@unix
def test_the_mode_stays(tmp_path):
    file = tmp_path / "f"
    write(file, b"new")
    (tmp_path / "usual").touch()
    assert file.stat().st_mode == (tmp_path / "usual").stat().st_mode
    for mode in (0o600, 0o640, 0o777):
        file.chmod(mode)
        write(file, b"again")
        assert stat.S_IMODE(file.stat().st_mode) == mode


def test_the_owner_stays(tmp_path, monkeypatch):
    owners = []
    monkeypatch.setattr(os, "chown", lambda path, user, group: owners.append(user), raising=False)
    write(tmp_path / "f", b"old")
    write(tmp_path / "f", b"new")
    assert owners == [(tmp_path / "f").stat().st_uid]


@unix
def test_all_names_of_a_file_have_the_new_content(tmp_path, monkeypatch):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"old and long")
    two.hardlink_to(one)
    write(one, b"new")
    assert two.read_bytes() == b"new" and one.samefile(two)
    fsync, times = os.fsync, []

    def fail_once(descriptor):
        times.append(1)
        if len(times) == 1:
            raise OSError(errno.ENOSPC, "disk full")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_once)
    with pytest.raises(OSError, match="disk full"):
        write(one, b"a longer content")
    assert two.read_bytes() == b"new"  # put back


@unix
def test_a_pipe_and_a_device_get_the_bytes_and_stay(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError):  # nobody reads it
        write(pipe, b"x")
    content, got = os.urandom(300_000), []  # more than a pipe holds
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)

    def read():
        select.select([reader], [], [], 60)  # before the writer comes, a read would find the end
        with open(reader, "rb") as file:
            got.append(file.read())

    thread = threading.Thread(target=read)
    thread.start()
    write(pipe, content)
    thread.join(10)
    assert got == [content] and stat.S_ISFIFO(pipe.stat().st_mode)
    device = tmp_path / "null"
    device.symlink_to(os.devnull)
    write(device, b"x")
    assert device.is_symlink() and stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert sorted(os.listdir(tmp_path)) == ["null", "pipe"]


@unix
def test_an_open_file_is_appended_to_not_replaced(tmp_path):
    path = tmp_path / "out"
    with open(path, "ab", buffering=0) as file:
        file.write(b"before ")
        write(f"/dev/fd/{file.fileno()}", b"content")
        file.write(b" after")
    assert path.read_bytes() == b"before content after"


def test_folders_and_empty_names_are_refused(tmp_path):
    with pytest.raises(OSError, match="expected a file, or the name of a new one"):
        write(tmp_path, b"x")
    for name in ("", f"{tmp_path}/new/"):
        with pytest.raises(FileNotFoundError, match="expected the name of a file"):
            write(name, b"x")
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "nowhere" / "f", b"x")
    assert os.listdir(tmp_path) == []


def test_a_file_that_may_not_be_written_is_refused(tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write all
    with pytest.raises(PermissionError, match="f'"):
        write(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"


def test_the_longest_name_can_be_written(tmp_path):
    file = tmp_path / ("n" * os.pathconf(tmp_path, "PC_NAME_MAX"))
    write(file, b"new")
    assert file.read_bytes() == b"new"
    with pytest.raises(OSError):
        write(tmp_path / (file.name + "n"), b"new")
    assert os.listdir(tmp_path) == [file.name]


@unix
def test_leftovers_of_this_file_are_removed_if_nobody_is_writing_them(tmp_path, monkeypatch):
    write(tmp_path / "f", b"old")
    monkeypatch.setattr(os, "replace", lambda *_: os._exit(1))  # killed at the worst moment
    for name in ("f", "other"):
        if (child := os.fork()) == 0:
            write(tmp_path / name, b"new")
        os.waitpid(child, 0)
    monkeypatch.undo()
    assert len(os.listdir(tmp_path)) == 3 and (tmp_path / "f").read_bytes() == b"old"
    (left,) = set(tmp_path.glob(".minirnn-*")) - set(tmp_path.glob(atomic.stem("other") + "*"))
    with open(left, "rb") as writer:
        assert atomic.lock(writer)
        write(tmp_path / "f", b"new")
        assert left.exists()
    write(tmp_path / "f", b"new")
    assert not left.exists() and len(os.listdir(tmp_path)) == 2


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "disk full"), KeyboardInterrupt()])
def test_nothing_is_left_where_writing_fails(error, tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(error))
    with pytest.raises(type(error)):
        write(tmp_path / "f", b"new")
    assert os.listdir(tmp_path) == ["f"] and (tmp_path / "f").read_bytes() == b"old"


def test_content_and_folder_are_on_disk_in_that_order(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace

    def recorded(descriptor):
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "content")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("name"), replace(a, b)))
    write(tmp_path / "f", b"new")
    assert done == (["content", "name", "folder"] if os.name != "nt" else ["content", "name"])
