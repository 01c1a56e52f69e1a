"""Loaders against hand-made files, broken ones and hostile ones; downloads from a bad server."""

import contextlib
import gzip
import hashlib
import http.server
import io
import os
import tarfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minirnn.datasets import files, images, stock, texts

DATA = os.environ.get("MINIRNN_DATA")
real = pytest.mark.skipif(not DATA, reason="MINIRNN_DATA does not name a folder with real data")


def idx(array, magic):
    header = np.array([magic, *array.shape], ">u4").tobytes()
    return gzip.compress(header + array.astype(np.uint8).tobytes())


def test_an_idx_file(tmp_path):
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    (tmp_path / "a.gz").write_bytes(idx(array, images.IDX_IMAGES))
    assert np.array_equal(images.read_idx(tmp_path / "a.gz", images.IDX_IMAGES), array)


@pytest.mark.parametrize("content, message", [
    (b"", "offset 0|whole gzip"),
    (b"not gzip at all", "whole gzip"),
    (gzip.compress(b"\0\0"), "offset 0"),
    (gzip.compress(np.array([0x0801, 5], ">u4").tobytes()), "offset 0"),
    (gzip.compress(np.array([0x0803, 2, 2, 2], ">u4").tobytes() + b"1234567"), "got 23"),
    (gzip.compress(np.array([0x0803, 2**31, 2**31, 2**31], ">u4").tobytes()), "expected"),
    (idx(np.zeros((2, 3, 4)), 0x0803)[:-9], "whole gzip"),
])  # fmt: skip
def test_broken_idx_files(content, message, tmp_path):
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        images.read_idx(tmp_path / "a.gz", images.IDX_IMAGES)
    assert "a.gz" in str(error.value)


GOOD = idx(np.arange(24).reshape(2, 3, 4), images.IDX_IMAGES)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.integers(0, len(GOOD)))
def test_a_damaged_idx_file_is_refused_or_read_right(at, change, length):
    damaged = bytearray(GOOD)
    damaged[at] ^= change
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"minirnn-idx-{os.getpid()}.gz"
    path.write_bytes(bytes(damaged[:length]) if length < at else bytes(damaged))
    try:
        found = images.read_idx(path, images.IDX_IMAGES)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert np.array_equal(found, np.arange(24).reshape(2, 3, 4))
    finally:
        path.unlink()


@pytest.mark.parametrize("shape, labels, message", [
    ((0, 28, 28), [], r"images.*expected images \(N, 28, 28\), got \(0, 28, 28\)"),
    ((2, 5, 5), [1, 2], r"images.*expected images \(N, 28, 28\), got \(2, 5, 5\)"),
    ((2, 28, 28), [1], "labels.*expected 2 labels 0..9, got 1 up to 1"),
    ((2, 28, 28), [1, 10], "labels.*expected 2 labels 0..9, got 2 up to 10"),
])  # fmt: skip
def test_images_that_are_not_mnist_are_refused(shape, labels, message, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIRNN_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    for part in ("train", "t10k"):
        name = str(tmp_path / "mnist" / part)
        Path(f"{name}-images-idx3-ubyte.gz").write_bytes(idx(np.zeros(shape), 0x0803))
        Path(f"{name}-labels-idx1-ubyte.gz").write_bytes(idx(np.array(labels), 0x0801))
    with pytest.raises(ValueError, match=message):
        images.mnist()


def archive(path, members):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_cifar10_and_what_is_wrong_with_it(tmp_path):
    record = bytes([7]) + bytes(range(256)) * 12
    path = archive(tmp_path / "c.tar.gz", {
        "x/data_batch_1.bin": record * 2, "x/test_batch.bin": record, "../../evil.bin": b"x",
    })  # fmt: skip
    (train, y), (test, _) = images.read_cifar10(path)
    assert train.shape == (2, 32, 32, 3) and test.shape == (1, 32, 32, 3) and list(y) == [7, 7]
    assert train[0, 0, 5].tolist() == [5, 5, 5] and train[0, 1, 0, 0] == 32
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.tar.gz"]  # nothing was unpacked
    for members, message in (
        ({"x/data_batch_1.bin": record[:-1], "test_batch.bin": record}, "3073 bytes, got 3072"),
        ({"x/data_batch_1.bin": record}, "test_batch"),
        (
            {"data_batch_1.bin": record + b"\x0b" + record[1:], "test_batch.bin": record},
            "3073, got 11",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            images.read_cifar10(archive(tmp_path / "d.tar.gz", members))
    twice = {f"{folder}/data_batch_1.bin": record for folder in "xy"} | {"test_batch.bin": record}
    with pytest.raises(ValueError, match=r"data_batch_1.bin is there twice"):
        images.read_cifar10(archive(tmp_path / "d.tar.gz", twice))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="not a whole"):
        images.read_cifar10(path)


def test_imdb_and_what_is_wrong_with_it(tmp_path):
    members = {
        f"aclImdb/{part}/{label}/{k}_{k}.txt": f"{part} {label} {k}".encode()
        for part in ("train", "test") for label in ("pos", "neg") for k in range(2)
    }  # fmt: skip
    path = archive(tmp_path / "i.tar.gz", members | {"aclImdb/train/unsup/0_0.txt": b"no label"})
    (train, y), (_, y_test) = texts.read_imdb(path)
    assert len(train) == 4 and sorted(y) == [0, 0, 1, 1] and len(y_test) == 4
    assert all(("pos" in text) == label for text, label in zip(train, y, strict=True))
    del members["aclImdb/test/pos/0_0.txt"], members["aclImdb/test/pos/1_1.txt"]
    with pytest.raises(ValueError, match="aclImdb/test"):
        texts.read_imdb(archive(path, members))
    with pytest.raises(ValueError, match=r"0_0.txt: not UTF-8 at offset 1"):
        texts.read_imdb(archive(path, members | {"aclImdb/train/pos/0_0.txt": b"a\xff"}))


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST", 10**6)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(10**7)))
    with pytest.raises(ValueError, match=r"bomb.gz: .*more than 1000000 bytes"):
        files.open_archive(tmp_path / "bomb.gz")


def packed(members):
    """A tar file, not yet compressed."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as file:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return content.getvalue()


RECORD = bytes([7]) + bytes(range(256)) * 12
CIFAR = packed({"x/data_batch_1.bin": RECORD, "x/test_batch.bin": RECORD})
IMDB = packed({
    f"aclImdb/{part}/{label}/0_1.txt": b"a fine film"
    for part in ("train", "test") for label in ("pos", "neg")
})  # fmt: skip
# The bytes of the headers, where a change makes another kind of member, size or name of it.
HEADERS = st.builds(lambda block, at: block * 512 + at, st.integers(0, 12), st.integers(0, 511))


@settings(max_examples=400, deadline=None)
@given(st.booleans(), HEADERS, st.binary(min_size=1, max_size=12), st.booleans())
def test_a_damaged_archive_is_refused_or_read_right(cifar, at, change, mend):
    data = bytearray(CIFAR if cifar else IMDB)
    at %= len(data)
    data[at : at + len(change)] = change
    if mend:  # as a hostile hand would: put the header's own checksum right
        head = at // 512 * 512
        data[head + 148 : head + 156] = b" " * 8
        data[head + 148 : head + 156] = b"%06o\0 " % sum(data[head : head + 512])
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"minirnn-archive-{os.getpid()}"
    folder.mkdir(exist_ok=True)
    path = folder / "a.tar.gz"
    path.write_bytes(gzip.compress(bytes(data), 1))
    try:
        (x, y), (x_test, y_test) = (images.read_cifar10 if cifar else texts.read_imdb)(path)
        assert len(x) == len(y) and len(x_test) == len(y_test) and set(y) <= set(range(10))
    except ValueError as error:
        assert "a.tar.gz" in str(error)
    finally:
        assert [p.name for p in folder.iterdir()] == ["a.tar.gz"]
        path.unlink()
        folder.rmdir()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["phrases", "prices", "polarity"]), st.binary(max_size=60))
def test_any_bytes_in_a_text_file_are_read_or_refused(kind, content):
    import tempfile

    place, before, load = {
        "phrases": ("engfra/fra_first10000.txt", b"Go.\tVa !\n", texts.phrases),
        "prices": ("msft/MSFT_2012_2017.csv", b"Date,Open,High,Low,Close\n", stock.load),
        "polarity": ("rt-polarity/rt-polarity.neg", b"bad\n", texts.polarity),
    }[kind]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIRNN_DATA", folder)
        path = Path(folder) / place
        path.parent.mkdir()
        path.write_bytes(before + content)
        if kind == "polarity":
            path.with_suffix(".pos").write_bytes(b"good\n")
        try:
            found = load()
            assert kind == "phrases" or len(found[0]) == len(found[1])
        except ValueError as error:
            assert path.name in str(error)


def test_texts(tmp_path):
    (tmp_path / "t.txt").write_bytes(b"abc\xe9d")
    with pytest.raises(ValueError, match=r"t.txt: not UTF-8 at offset 3"):
        texts.read(tmp_path / "t.txt")
    tokens, alphabet = texts.characters("hello")
    assert "".join(alphabet[t] for t in tokens) == "hello" and len(alphabet) == 4
    with pytest.raises(ValueError, match="at least one character"):
        texts.characters("")
    assert texts.words("It's <br /> good, not 10!") == ["it's", "good", ",", "not", "10", "!"]
    index = texts.vocabulary([["b", "a", "b"], ["c"]], 4)
    assert index == {"<pad>": 0, "<unk>": 1, "b": 2, "a": 3}
    assert texts.encode(["b", "x"], index).tolist() == [2, 1]


@pytest.mark.parametrize("line", ["only english", "\tva", "a\t"])
def test_a_line_that_is_no_phrase_is_refused(line, tmp_path, monkeypatch):
    (tmp_path / "engfra").mkdir()
    (tmp_path / "engfra" / "fra_first10000.txt").write_text(f"Go.\tVa !\n{line}\n")
    monkeypatch.setenv("MINIRNN_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="line 2: expected English TAB French"):
        texts.phrases()


@pytest.mark.parametrize("row", ["2012-01-03,1,2,x,4", "2012-01-03,1,2", "yesterday,1,2,3,4"])
def test_a_row_without_prices_is_refused(row, tmp_path, monkeypatch):
    (tmp_path / "msft").mkdir()
    file = tmp_path / "msft" / "MSFT_2012_2017.csv"
    file.write_text(f"Date,Open,High,Low,Close\n2012-01-02,1,2,3,4\n{row}\n")
    monkeypatch.setenv("MINIRNN_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="line 3: expected Date, Open"):
        stock.load()
    file.write_text("Date,Open,High,Low,Close\n2012-01-02,1,2,3,4\n2012-01-03,nan,2,3,4\n")
    with pytest.raises(ValueError, match="finite prices"):
        stock.load()


def test_the_digits_in_the_package():
    (x, y), (x_test, y_test) = images.digits()
    assert x.shape == (1297, 8, 8) and x_test.shape == (500, 8, 8) and x.max() == 16
    assert sorted(set(y)) == list(range(10)) and len(y_test) == 500


@pytest.mark.parametrize("size", [16, 28, 7, 5, 1])
def test_the_average_over_areas(size):
    x = np.random.default_rng(0).integers(0, 256, (2, 28, 28))
    fine = np.kron(x, np.ones((size, size)))  # each pixel as size x size of them
    expected = fine.reshape(2, size, 28, size, 28).mean(axis=(2, 4))
    np.testing.assert_allclose(images.smaller(x, size), expected, atol=1e-10)


def test_what_cannot_be_reduced_is_named():
    for wrong, message in [
        ((np.ones((2, 3)), 1), r"images: expected shape \(N, S, S\)"),
        ((np.ones((2, 3, 4)), 1), "images: expected square ones"),
        ((np.ones((2, 3, 3)), 0), "size: expected a whole number of at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            images.smaller(*wrong)


@real
def test_real_data_have_the_known_facts():
    (x, y), (x_test, _) = images.mnist()
    assert x.shape == (60000, 28, 28) and x_test.shape == (10000, 28, 28)
    assert list(y[:5]) == [5, 0, 4, 1, 9]
    (x, y), (x_test, _) = images.cifar10()
    assert list(y[:8]) == [6, 9, 9, 4, 1, 1, 2, 7] and x.shape[1:] == (32, 32, 3)
    text = texts.shakespeare()
    assert len(text) == 1115394 and len(texts.characters(text)[1]) == 65
    parts, vocabulary = texts.penn_treebank()
    assert [len(p) for p in parts] == [929589, 73760, 82430] and len(vocabulary) == 10000
    sentences, labels = texts.polarity()
    assert len(sentences) == 10662 and labels.sum() == 5331
    assert len(texts.phrases()) == 10000
    days, price = stock.load()
    assert (
        len(price) == 1509
        and days[0] == np.datetime64("2012-01-03")
        and (days[1:] > days[:-1]).all()
    )


@real
@pytest.mark.slow
def test_the_real_reviews():
    for sentences, labels in texts.imdb():
        assert len(sentences) == 25000 and labels.sum() == 12500


# ---- Downloads ----------------------------------------------------------------------------------

CONTENT = bytes(range(256)) * 5000
SHA = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """A server that misbehaves as the first part of the path says."""

    asked: list = []  # noqa: RUF012

    def do_GET(self):
        way, wanted = self.path.split("/")[1], self.headers.get("Range")
        Handler.asked.append((way, wanted))
        if way == "missing":
            self.send_error(404)
            return
        start = int(wanted[6:-1]) if wanted and way != "no-ranges" else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:] if way != "wrong" else b"x" * len(CONTENT[start:])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if way == "slow":
            self.wfile.write(body[:1000])
            threading.Event().wait(1.5)
            return
        cut = way in ("cut", "no-ranges") and len(Handler.asked) < 3
        self.wfile.write(body[:100000] if cut or way == "always-cut" else body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    Handler.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("way", ["good", "cut", "no-ranges"])
def test_a_download_arrives_also_in_pieces(way, server, tmp_path):
    target = tmp_path / "deep" / "file.bin"
    files.download(f"{server}/{way}/file.bin", target, SHA, progress=False)
    assert target.read_bytes() == CONTENT
    assert [p.name for p in target.parent.iterdir()] == ["file.bin"]
    if way == "cut":
        assert [wanted for _, wanted in Handler.asked][1] == "bytes=100000-"


def test_what_was_cut_off_goes_on_in_a_later_call(server, tmp_path):
    target = tmp_path / "file.bin"
    with pytest.raises(OSError, match=r"cut off after \d+ of 1280000 bytes \(3 tries\)"):
        files.download(f"{server}/always-cut/file.bin", target, SHA, progress=False)
    assert not target.exists() and target.with_name("file.bin.part").stat().st_size >= 100000
    files.download(f"{server}/good/file.bin", target, SHA, progress=False)
    assert target.read_bytes() == CONTENT and Handler.asked[-1][1] is not None


@pytest.mark.parametrize("way, message", [
    ("missing", "404 Not Found"), ("wrong", "expected the sha256"), ("slow", "3 tries"),
])  # fmt: skip
def test_a_bad_server(way, message, server, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "TIMEOUT", 0.3)
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")
    with pytest.raises(OSError, match=message):
        files.download(f"{server}/{way}/file.bin", target, SHA, progress=False)
    assert target.read_bytes() == b"old"
    assert way == "slow" or [p.name for p in tmp_path.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("way", ["missing", "good"])  # 404; and 416, since the file is whole
def test_the_answer_of_a_server_that_refuses_is_closed(way, server, tmp_path, monkeypatch):
    refused, urlopen = [], urllib.request.urlopen

    def recording(*arguments, **options):
        try:
            return urlopen(*arguments, **options)
        except urllib.error.HTTPError as error:
            refused.append(error)
            raise

    monkeypatch.setattr("urllib.request.urlopen", recording)
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    with contextlib.suppress(OSError):
        files.download(f"{server}/{way}/file.bin", tmp_path / "file.bin", SHA, progress=False)
    assert len(refused) == 1 and refused[0].closed


def test_where_files_are_looked_for(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MINIRNN_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match=r"nowhere/a.txt: not found in .*data, .*cache"):
        files.find("nowhere/a.txt")
    monkeypatch.setitem(files.SOURCES, "some/file.bin", (f"{server}/missing/", SHA))
    with pytest.raises(OSError, match=r"downloading .*file.bin failed.*404.*Put the file there"):
        files.find("some/file.bin", progress=False)
    monkeypatch.setitem(files.SOURCES, "some/file.bin", (f"{server}/good/", SHA))
    assert files.find("some/file.bin", progress=False) == tmp_path / "cache/some/file.bin"
    (tmp_path / "data/some").mkdir(parents=True)
    (tmp_path / "data/some/file.bin").write_bytes(b"mine")
    assert files.find("some/file.bin").read_bytes() == b"mine"
