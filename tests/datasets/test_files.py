"""Downloads from odd servers and by several processes at once; archives made to do harm."""

import gzip
import hashlib
import io
import lzma
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc

import pytest

from minirnn.datasets import files, texts
from minirnn.files import atomic

CONTENT = bytes(range(256)) * 1000
SHA = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
GOOD = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT


@pytest.fixture
def serve(monkeypatch):
    """A server that sends the same bytes to everyone; with a pause, one after the other."""
    monkeypatch.setattr(files, "TIMEOUT", 0.3)
    sockets, requests = [], []

    def answer(client, data, pause):
        with client:
            requests.append(client.recv(10_000))
            try:
                if pause:
                    for byte in data:
                        client.sendall(bytes([byte]))
                        time.sleep(pause)
                else:
                    client.sendall(data)
            except OSError:
                pass  # the client has had enough

    def accept(listening, data, pause):
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client, data, pause), daemon=True).start()

    def start(data, pause=0.0):
        listening = socket.create_server(("127.0.0.1", 0))
        sockets.append(listening)
        threading.Thread(target=accept, args=(listening, data, pause), daemon=True).start()
        return f"http://127.0.0.1:{listening.getsockname()[1]}/file.bin"

    start.requests = requests
    yield start
    for listening in sockets:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


OK = b"HTTP/1.1 200 OK\r\n"
FAR = b"HTTP/1.1 302 Found\r\nLocation: "
ODD = {
    "no HTTP": (b"\x1b[31mgarbage\r\n\r\n", "garbage"),
    "nothing": (b"", r"closed connection|reset .*3 tries"),
    "cut in a chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\nff\r\nabc", r"3 tries"),
    "no size of a chunk": (OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", r"3 tries"),
    "a long line": (OK + b"X: " + b"a" * 70_000 + b"\r\n\r\n", "line"),
    "many headers": (OK + b"X: a\r\n" * 200 + b"\r\n", "headers"),
    "a length that is none": (OK + b"Content-Length: abc\r\n\r\nabc", "expected the sha256"),
    "to a bad place": (FAR + b"http://[bad\r\n\r\n", "Invalid|netloc|IPv6"),
    "to a file of this machine": (FAR + b"file:///etc/passwd\r\n\r\n", "302"),
    "to no port": (FAR + b"http://127.0.0.1:x/\r\n\r\n", "port"),
    "nothing left": (b"HTTP/1.1 416 Range\r\n\r\n", "416"),
    "a reason that colours": (b"HTTP/1.1 404 a\x1b[31mb\x07\r\n\r\n", r"404 a\?\[31mb\?"),
    "petabytes": (OK + b"Content-Length: 999999999999999\r\n\r\nabc", "at most 1000000 bytes"),
    "more than allowed": (OK + b"\r\n" + bytes(1_500_000), "at most 1000000 bytes"),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # urllib leaves the
@pytest.mark.parametrize("kind", ODD)  # answer open that leads to another place
def test_whatever_a_server_answers_the_error_is_an_oserror(kind, serve, tmp_path):
    data, message = ODD[kind]
    with pytest.raises(OSError, match=message) as error:
        files.download(serve(data), tmp_path / "f", SHA, progress=False, largest=10**6)
    assert str(error.value).isprintable()
    assert error.value.__cause__ is None  # whose text a traceback would print
    assert set(os.listdir(tmp_path)) <= {"f.part"}


@pytest.mark.parametrize("data", [OK + b"\r\n" + bytes(10**5), OK + b"X: " + b"a" * 10**5])
def test_a_server_that_never_comes_to_an_end_is_left(data, serve, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "TRIES", 1)
    begin = time.monotonic()
    with pytest.raises(OSError, match=r"fewer than 10000 bytes a second|TimeoutError"):
        files.download(serve(data, pause=0.02), tmp_path / "f", SHA, progress=False)
    assert time.monotonic() - begin < 5


def test_several_at_once_download_one_time(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "TIMEOUT", 30)
    begin = threading.Barrier(4)
    address, target, found = serve(GOOD), tmp_path / "f", []

    def fetch():
        begin.wait()
        found.append(files.download(address, target, SHA, progress=False))

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == 4 * [target] and target.read_bytes() == CONTENT
    assert len(serve.requests) == 1 and os.listdir(tmp_path) == ["f"]


HOLDER = """
import pathlib, sys, time
from minirnn.files.atomic import alone
with alone(pathlib.Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(100)
"""


def test_the_others_wait_for_a_process_until_it_ends_in_any_way(serve, tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "f.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "in\n"
        threading.Timer(0.5, process.kill).start()
        begin = time.monotonic()
        files.download(serve(GOOD), tmp_path / "f", SHA, progress=False)
        assert time.monotonic() - begin > 0.3
    assert os.listdir(tmp_path) == ["f"]


def test_where_there_are_no_locks_each_has_a_file_of_its_own(serve, tmp_path, monkeypatch):
    def none(file):
        raise OSError("no locks available")

    monkeypatch.setattr(atomic, "lock", none)
    (tmp_path / "f.part").write_bytes(b"of another process")
    files.download(serve(GOOD), tmp_path / "f", SHA, progress=False)
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert (tmp_path / "f.part").read_bytes() == b"of another process"
    with pytest.raises(OSError):
        files.download(
            serve(OK + b"Content-Length: 9\r\n\r\nabc"), tmp_path / "g", SHA, progress=False
        )
    assert sorted(os.listdir(tmp_path)) == ["f", "f.part"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="links and pipes of Unix")
@pytest.mark.parametrize("make", [
    lambda part, other: part.symlink_to(other), lambda part, other: part.hardlink_to(other),
    lambda part, other: os.mkfifo(part),
])  # fmt: skip
def test_nothing_is_written_through_a_part_that_is_a_link(make, serve, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    make(tmp_path / "f.part", other)
    files.download(serve(GOOD), tmp_path / "f", SHA, progress=False)
    assert other.read_bytes() == b"mine" and (tmp_path / "f").read_bytes() == CONTENT


def test_a_piece_of_another_file_is_thrown_away(serve, tmp_path):
    (tmp_path / "f.part").write_bytes(b"x")
    partial = GOOD.replace(b"200 OK", b"206 OK")  # this server cannot do it
    files.download(serve(partial), tmp_path / "f", SHA, progress=False)
    assert (tmp_path / "f").read_bytes() == CONTENT and len(serve.requests) == 2


def test_without_a_standard_error_stream(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    files.download(serve(GOOD), tmp_path / "f", SHA)
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_damaged_download_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIRNN_DATA", str(tmp_path / "own"))
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path)
    monkeypatch.setitem(files.SOURCES, "some/f", ("http://127.0.0.1:1/", SHA))
    (tmp_path / "some").mkdir()
    (tmp_path / "some/f").write_bytes(CONTENT)
    assert files.find("some/f") == tmp_path / "some/f"
    (tmp_path / "some/f").write_bytes(CONTENT[:-1])
    with pytest.raises(OSError, match=r"some/f: expected the sha256 .*Remove it"):
        files.find("some/f")
    (tmp_path / "own/some").mkdir(parents=True)
    (tmp_path / "own/some/f").write_bytes(b"one's own")
    assert files.find("some/f").read_bytes() == b"one's own"


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("MINIRNN_DATA", "~/data")
    assert files.folders()[0] == tmp_path / "data"


# ---- Archives -----------------------------------------------------------------------------------


def tar(members, form=tarfile.GNU_FORMAT):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=form) as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


IMDB = [
    (f"aclImdb/{part}/{label}/0_1.txt", b"fine")
    for part in ("train", "test") for label in ("pos", "neg")
]  # fmt: skip


def header(kind, size=0, name="aclImdb/train/pos/9_9.txt", more=lambda data: None):
    data = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT)[:512])
    data[156:157] = kind
    data[124:136] = bytes([0x80]) + size.to_bytes(11, "big")
    more(data)
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data)


def one_hole(data):
    """A file of 100 GB that is one hole."""
    data[124:136] = b"%011o\0" % 0
    data[386:398], data[398:410] = bytes([0x80]) + (100 << 30).to_bytes(11, "big"), b"%011o\0" % 0
    data[483:495] = data[386:398]


def with_words(**words):
    """A file about which a later form of archive says more."""
    member = tarfile.TarInfo("aclImdb/train/pos/9_9.txt")
    member.pax_headers, member.size = {k.replace("_", "."): v for k, v in words.items()}, 512
    return member.tobuf(tarfile.PAX_FORMAT) + b"1\n0\n0\n".ljust(512, b"\0")


HOLE = {"GNU_sparse_major": "1", "GNU_sparse_minor": "0"}
HARMFUL = {
    "a hole": header(b"S", more=one_hole) + tar(IMDB),
    "a large hole": with_words(**HOLE, GNU_sparse_realsize="100000000000") + tar(IMDB),
    "a small hole": with_words(**HOLE, GNU_sparse_realsize="100") + tar(IMDB),
    "a size below 0": with_words(size="-1024") + tar(IMDB),
    "a member of 100 GB": header(b"0", 100 << 30) + tar(IMDB),
    "less than nothing": header(b"0", 2**88 - 1000) + tar(IMDB),
    "a chain of long names": (header(b"L", 1, "././@LongLink") + b"a".ljust(512, b"\0")) * 5000,
    "long names of 100 GB": header(b"L", 100 << 30, "././@LongLink") + tar(IMDB),
    "one name twice": tar([*IMDB, IMDB[0]]),
    "countless members": tar([(f"x{k}", b"") for k in range(1001)]) + tar(IMDB),
    "compressed once more": lzma.compress(bytes(10**7)),
}  # fmt: skip


@pytest.mark.parametrize("kind", HARMFUL)
def test_a_harmful_archive_is_refused_in_little_memory(kind, tmp_path, monkeypatch):
    reason = {"one name twice": "is there twice", "countless members": "more than 1000 files"}
    monkeypatch.setattr(files, "MOST_MEMBERS", 1000)
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(HARMFUL[kind], 1))
    tracemalloc.start()
    with pytest.raises(
        ValueError, match=r"a.tar.gz: not a whole tar.gz archive \(.*" + reason.get(kind, ".")
    ):
        texts.read_imdb(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e7 + 3 * len(HARMFUL[kind])


def test_the_memory_for_a_gzip_file_is_that_of_its_content(tmp_path):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"abc"))
    tracemalloc.start()
    assert files.unzipped(tmp_path / "a.gz") == b"abc"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


def test_a_text_without_an_end_is_refused(monkeypatch):
    monkeypatch.setattr(files, "LARGEST", 10**6)
    with pytest.raises(ValueError, match="/dev/zero: more than 1000000 bytes"):
        texts.read("/dev/zero")
