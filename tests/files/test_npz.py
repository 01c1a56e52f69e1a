"""Any damaged or hostile file is refused with its name, in little time and memory."""

import io
import json
import os
import struct
import time
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest

from minirnn.files import npz

ARRAYS = {"a": np.arange(3.0)}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "m.npz"


@pytest.mark.parametrize("a", [
    np.array(1.5), np.zeros((0, 3)), np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(12.0)[::2], np.array([True, False]), np.arange(3, dtype="int8"), np.ones(2, ">f4"),
    np.array([1j, np.nan, -0.0]), np.float16([1, 2]),
])  # fmt: skip
def test_an_array_comes_back_with_its_shape_and_kind(a, file):
    npz.write_arrays(file, {"more": [1, {"x": None}]}, {"file": a, "x/y.npy": a})
    header, arrays = npz.read_arrays(file)
    assert header["more"] == [1, {"x": None}] and list(arrays) == ["file", "x/y.npy"]
    for b in arrays.values():
        assert (b.shape, b.dtype, b.tobytes()) == (a.shape, a.dtype, a.tobytes())
    assert np.load(file)["file"].tobytes() == a.tobytes()  # a file of NumPy's own


@pytest.mark.parametrize("header, arrays", [
    ({}, {"a": np.array([None])}), ({}, {"a": np.zeros(2, "f8,i4")}), ({}, {"a": np.array("x")}),
    ({}, {"a": np.zeros(2, "M8[s]")}), ({}, {"a": np.ma.zeros(2)}), ({}, {"a": [1.0]}),
    ({}, {"a\0b": np.ones(2)}), ({}, {"\ud800": np.ones(2)}), ({}, {"minirnn.json": np.ones(2)}),
    ({"x": object()}, {}), ({"x": b"x"}, {}), ({"x": {(1, 2): 3}}, {}), ({"version": 2}, {}),
    ({"x": "y" * (npz.LARGEST_HEADER + 1)}, {}),
])  # fmt: skip
def test_what_cannot_be_read_back_is_not_written(header, arrays, file):
    file.write_bytes(b"old")
    with pytest.raises(ValueError, match=r"m.npz: cannot be saved: "):
        npz.write_arrays(file, header, arrays)
    assert file.read_bytes() == b"old" and os.listdir(file.parent) == ["m.npz"]


def test_numbers_of_numpy_are_written_as_numbers(file):
    npz.write_arrays(file, {"x": [np.float32(0.5), np.int64(2), np.ones(2), np.bool_(True)]}, {})
    assert npz.read_arrays(file)[0]["x"] == [0.5, 2, [1.0, 1.0], True]


def test_no_flipped_bit_and_no_cut_gives_anything_else(file):
    npz.write_arrays(file, {}, ARRAYS)
    good, header = file.read_bytes(), npz.read_arrays(file)[0]
    directory = good.index(b"PK\1\2")  # of the parts of the file: here each bit is tried
    flipped = (
        good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :]
        for at in range(len(good))
        for bit in (range(8) if at >= directory else (at % 8,))
    )
    refused = 0
    for data in (*flipped, *(good[:at] for at in range(len(good)))):
        file.write_bytes(data)
        try:
            found = npz.read_arrays(file)
        except ValueError as error:
            assert str(error).startswith(f"{file}: ")
            refused += 1
        else:  # a byte that nothing depends on, a time stamp say
            assert found[0] == header and found[1].keys() == {"a"}
            assert found[1]["a"].tobytes() == ARRAYS["a"].tobytes()
    assert refused > 2 * len(good)


def zipped(members, **attributes):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data)
        for member in archive.infolist():  # what the directory at the end says of it
            for attribute, value in attributes.items():
                setattr(member, attribute, value)
    return content.getvalue()


def array(shape="(1,)", descr="'<f8'", data=bytes(8), order="False"):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + data


def overlapping(n):
    """n names for the same bytes."""
    one = zipped([("a.npy", array(data=bytes(4000), shape="(500,)"))])
    start = one.index(b"PK\1\2")
    entry = one[start : one.index(b"PK\5\6")]
    entries = b"".join(entry[:46] + f"{k:05}"[-5:].encode() for k in range(n))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, n, n, len(entries), start, 0)
    return one[:start] + entries + end


def header(text):
    return zipped([("minirnn.json.npy", array(f"({len(text)},)", "'|u1'", text))])


HOSTILE = {
    "nested JSON": header(b"[" * 200_000),
    "JSON in a dictionary": header(b'{"a":' * 50_000),
    "a long number": header(b'{"format": "minirnn", "version": ' + b"9" * 100_000 + b"}"),
    "no JSON": header(b"\xff\xfe"),
    "a list": header(b"[]"),
    "encrypted": zipped([("a.npy", array())], flag_bits=1),
    "one name twice": zipped([("a.npy", array()), ("a.npy", array())]),
    "no array": zipped([("a", array())]),
    "another compression": zipped([("a.npy", array())], compress_type=99),
    "exabytes": zipped([("a.npy", array())], file_size=2**60, compress_size=2**60),
    "gigabytes, compressed": zipped([("a.npy", array())], compress_size=2**40),
    "10 000 entries on the same bytes": overlapping(10_000),
    "nothing in it": zipped([("a.npy", b"")]),
    "numbers missing": zipped([("a.npy", array("(2,)"))]),
    "exabytes declared": zipped([("a.npy", array("(1152921504606846976,)"))]),
    "a wide shape of nothing": zipped([("a.npy", array(f"({'9' * 18}, 0)", data=b""))]),
    "axes": zipped([("a.npy", array("(" + "1, " * 20_000 + ")"))]),
    "brackets": zipped([("a.npy", array("(" * 30_000))]),
    "a truth value": zipped([("a.npy", array("(True,)"))]),
    "minus": zipped([("a.npy", array("(-1,)"))]),
    "an object": zipped([("a.npy", array(descr="'|O'"))]),
    "an odd kind": zipped([("a.npy", array(descr="'<f3'", data=bytes(3)))]),
    "fields": zipped([("a.npy", array(descr="[('x', '<f8')]"))]),
    "another order of axes": zipped([("a.npy", array(order="True"))]),
    "no dictionary": zipped([("a.npy", b"\x93NUMPY\1\0\x08\0  import\n")]),
    "a later form": zipped([("a.npy", b"\x93NUMPY\2\0" + array()[8:])]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_in_little_time_and_memory(kind, file):
    file.write_bytes(HOSTILE[kind])
    tracemalloc.start()
    begin = time.process_time()
    with pytest.raises(ValueError, match=r"m.npz: not a file that minirnn can read: ."):
        npz.read_arrays(file)
    seconds, peak = time.process_time() - begin, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6 + 20 * len(HOSTILE[kind]) and seconds < 5


def test_each_byte_of_a_file_is_used_once(file):
    file.write_bytes(overlapping(100))
    with pytest.raises(ValueError, match="what it declares is larger than the file"):
        npz.read_arrays(file)


@pytest.mark.parametrize("name", ["a.npy", "note.txt"])
def test_what_was_added_to_a_file_is_noticed(name, file):
    npz.write_arrays(file, {}, ARRAYS)
    with zipfile.ZipFile(file, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr(zipfile.ZipInfo(name), archive.read("a.npy"))
    with pytest.raises(ValueError, match="is there twice, or is no array"):
        npz.read_arrays(file)


def test_a_file_of_another_kind_is_named(file):
    for text, message in (
        ({"format": "x"}, "of another kind"),
        ({"format": "minirnn", "version": 7}, "version 7, this minirnn reads 1"),
        ({"format": "minirnn", "version": 1, "sha256": ""}, "its checksum is wrong"),
    ):
        file.write_bytes(header(json.dumps(text).encode()))
        with pytest.raises(ValueError, match=f"m.npz: .*{message}"):
            npz.read_arrays(file)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders on this system")
def test_devices_pipes_and_folders_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe", tmp_path):
        with pytest.raises(ValueError, match=f"{path}: expected a file, got"):
            npz.read_arrays(path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        npz.read_arrays(tmp_path / "nowhere")
