"""Saved models come back as they were; anything else is refused, and nothing old is lost."""

import io
import json
import os
import signal
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from cases import LAYERS, flatten, randomised
from hypothesis import given, settings
from hypothesis import strategies as st

import minirnn as mr
from minirnn.checking.catalogue import example
from minirnn.files import npz
from minirnn.files.model import describe


@pytest.mark.parametrize("name", LAYERS)
def test_a_model_comes_back_as_it_was(name, tmp_path):
    layer, file = randomised(name, dtype="float32"), tmp_path / "model.npz"
    mr.save(layer, file)
    other = mr.load(file)
    assert type(other) is type(layer) and describe(other) == describe(layer)
    given_ = example(name, 0)
    expected, found = (m.forward(*given_, rng=0)[:2] for m in (layer, other))
    for a, b in zip(flatten(list(expected)), flatten(list(found)), strict=True):
        assert np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype


def content(model=None):
    model = mr.Sequential(mr.LSTM(2, 3, rng=0), mr.Linear(3, 1, rng=1)) if model is None else model
    arrays = dict(model.params)
    header = {"format": "minirnn", "version": 1, "model": describe(model)}
    return header, arrays


def packed(header, arrays, **options):
    file = io.BytesIO()
    header = {"sha256": npz.checksum(header, arrays)} | header
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(file, **{npz.HEADER: text}, **arrays)
    return file.getvalue()


def refused(tmp_path, data, message):
    (tmp_path / "m.npz").write_bytes(data)
    with pytest.raises(ValueError, match=message) as error:
        mr.load(tmp_path / "m.npz")
    assert "m.npz" in str(error.value)


def test_files_that_are_refused_and_why(tmp_path):
    header, arrays = content()
    (tmp_path / "m.npz").write_bytes(packed(header, arrays))
    mr.load(tmp_path / "m.npz")
    refused(tmp_path, b"", "not a zip file")
    refused(tmp_path, b"PK", "not a zip file")
    refused(tmp_path, packed(header | {"version": 2}, arrays), "version 2, this minirnn reads 1")
    refused(tmp_path, packed(header | {"format": "x"}, arrays), "of another kind")
    refused(tmp_path, packed(header | {"sha256": "0"}, arrays), "checksum is wrong")
    odd = {"kind": "LSTM", "input_size": 2, "hidden_size": 3, "evil": 1}
    refused(tmp_path, packed(header | {"model": odd}, arrays), "no model can be built")
    refused(tmp_path, packed(header | {"model": {"kind": "os.system"}}, arrays), "no model can be")
    refused(tmp_path, packed(header, arrays | {"more": np.ones(3)}), "do not fit")
    refused(tmp_path, packed(header, arrays | {"1.b": np.ones(2)}), "do not fit")
    file = io.BytesIO()
    np.savez(file, a=np.ones(3))
    refused(tmp_path, file.getvalue(), "no header")
    file = io.BytesIO()
    np.savez(file, a=np.array([{}], object))
    refused(tmp_path, file.getvalue(), "does not hold the numbers")
    file = io.BytesIO()
    np.savez_compressed(file, a=np.zeros(100))
    refused(tmp_path, file.getvalue(), "compressed")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:  # declares 8 exabytes
        array = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            array, {"descr": "<f8", "fortran_order": False, "shape": (2**60,)}
        )
        archive.writestr("a.npy", array.getvalue())
    refused(tmp_path, file.getvalue(), "does not hold the numbers")


GOOD = packed(*content())


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255), st.booleans())
def test_no_damaged_file_loads_as_another_model(at, change, cut):
    data = bytearray(GOOD)
    data[at] ^= change
    path = f"/tmp/minirnn-storage-{os.getpid()}.npz"
    with open(path, "wb") as file:
        file.write(bytes(data[:at]) if cut else bytes(data))
    try:
        model = mr.load(path)
    except ValueError:
        pass
    else:  # a byte that nothing depends on, a time stamp say
        for name, p in content()[1].items():
            assert np.array_equal(model.params[name], p)
    finally:
        os.unlink(path)


class Mine(mr.LSTM):
    """A layer of one's own, with an argument of each kind that a file can hold."""

    def __init__(self, size, *, scale=1.0, name=None, sizes=(1,), inner=None, rng=None):
        super().__init__(size, 2, rng=rng)
        self.size, self.scale, self.name, self.sizes, self.inner = size, scale, name, sizes, inner


def test_layers_of_one_s_own_come_back(tmp_path):
    inner = mr.Linear(2, 3, dtype="float32")
    mine = Mine(np.int64(1), scale=np.float32(0.5), name="a", sizes=[2, 3], inner=inner)
    mr.save(mr.Sequential(mine), tmp_path / "m.npz")
    other = mr.load(tmp_path / "m.npz", layers=[Mine]).layers[0]
    assert (other.size, other.scale, other.name, other.sizes) == (1, 0.5, "a", [2, 3])
    assert repr(other.inner) == "Linear(2, 3, dtype='float32')"
    assert all((other.params[name] == p).all() for name, p in mine.params.items())
    for wrong in (["Mine"], Mine, [mine]):
        with pytest.raises(TypeError, match="layers: expected a list of classes"):
            mr.load(tmp_path / "m.npz", layers=wrong)


def test_what_cannot_be_saved(tmp_path):
    class LSTM(mr.LSTM):
        pass

    class Forgets(mr.LSTM):
        def __init__(self, size, extra=1):
            super().__init__(size, size)
            self.size = size

    file = tmp_path / "m.npz"
    file.write_bytes(b"old")
    for layer, words in [
        (LSTM(1, 2), "expected a layer of another name than minirnn's LSTM"),
        (Forgets(2), "Forgets does not keep its argument extra"),
        (Mine(1, name=b"bytes"), "name of Mine: expected a number or a text, got b'bytes'"),
    ]:
        with pytest.raises(TypeError, match=words):
            mr.save(mr.Sequential(layer), file)
    deep = None
    for _ in range(400):
        deep = Mine(1, inner=deep)
    with pytest.raises(ValueError, match="model: its layers are nested too deep"):
        mr.save(deep, file)
    with pytest.raises(OSError):
        mr.save(mr.RNN(1, 2), tmp_path / "nowhere" / "m.npz")
    assert file.read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


def spoilt(change):
    model = mr.Sequential(mr.OutputRNN(2, 3, 1, rng=0), mr.Dropout(0.5), mr.RNN(1, 2, rng=0))
    change(model, model.layers[2].params)
    return model


@pytest.mark.parametrize("change, message", [
    (lambda model, p: p.update(W_h=p["W_h"].astype("float32")), r"2.W_h: expected <f8 .*got <f4"),
    (lambda model, p: p.update(W_h=p["W_h"].astype(">f8")), r"2.W_h: expected <f8 .*got >f8"),
    (lambda model, p: p.update(W_h=p["W_h"].astype(object)), r"2.W_h: expected <f8 .*got .O"),
    (lambda model, p: p.update(b=np.zeros((1, 2))), r"2.b: expected <f8 \(2,\), got <f8 \(1, 2\)"),
    (lambda model, p: p.update(b=np.ma.zeros(2)), "2.b: expected an array, got MaskedArray"),
    (lambda model, p: p.update(more=np.zeros(2)), "2.more: expected none"),
    (lambda model, p: p.pop("b"), r"2.b: expected <f8 \(2,\), got none"),
    (lambda model, p: setattr(model.layers[1], "_p", 1.0), "p: expected a finite number"),
    (lambda model, p: setattr(model.layers[2], "hidden_size", 3), "do not fit its model"),
    (lambda model, p: setattr(model.layers[2], "hidden_size", 3000), "more than its parameters"),
    (lambda model, p: setattr(model.layers[1], "per_sequence", 1), "expected to be built again"),
])  # fmt: skip
def test_what_load_would_refuse_is_not_saved(change, message, tmp_path):
    file = tmp_path / "m.npz"
    file.write_bytes(b"old")
    with pytest.raises(ValueError, match=message):
        mr.save(spoilt(change), file)
    assert file.read_bytes() == b"old" and os.listdir(tmp_path) == ["m.npz"]


def test_parameters_that_are_no_arrays_are_not_saved(tmp_path):
    model = spoilt(lambda model, p: p.update(b=[0.0, 0.0]))
    with pytest.raises(TypeError, match=r"params\['2.b'\]: expected an array, got list"):
        mr.save(model, tmp_path / "m.npz")


def test_two_classes_of_one_name_are_not_saved(tmp_path):
    def kind():
        class Own(mr.Activation):
            pass

        return Own

    with pytest.raises(TypeError, match="of another name than another layer's Own"):
        mr.save(mr.Sequential(kind()("tanh"), kind()("tanh")), tmp_path / "m.npz")


@pytest.mark.parametrize("half", [np.float32(0.5), np.float16(0.5), np.float64(0.5)])
def test_options_may_be_numbers_of_numpy(half, tmp_path):
    def change(model, params):
        model.layers[0].teacher_forcing = model.layers[1].p = half

    mr.save(spoilt(change), tmp_path / "m.npz")
    loaded = mr.load(tmp_path / "m.npz")
    assert loaded.layers[0].teacher_forcing == loaded.layers[1].p == 0.5


def sizes(description):
    """The places of the whole numbers in a description: the dictionary or list, and the key."""
    items = description.items() if isinstance(description, dict) else enumerate(description)
    for key, value in items:
        if isinstance(value, (dict, list)):
            yield from sizes(value)
        elif type(value) is int:
            yield description, key


@pytest.mark.parametrize("name", LAYERS)
def test_a_small_file_cannot_ask_for_a_large_model(name, tmp_path):
    layer, file = randomised(name), tmp_path / "m.npz"
    description = describe(layer)
    for place, key in sizes(description):
        if key in ("dilation", "every"):  # of no parameter
            continue
        for huge in (2**31 - 1, 3000):
            was, place[key] = place[key], huge
            npz.write_arrays(file, {"model": description}, layer.params)
            place[key] = was
            tracemalloc.start()
            with pytest.raises(ValueError, match=r"m.npz: (no model can be built|its parameters)"):
                mr.load(file)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 1e6, (key, huge)


@pytest.mark.parametrize("model", [
    {"kind": "RNN", "input_size": 1, "hidden_size": 1500},
    {"kind": "Linear", "in_features": 1500, "out_features": 1500},
    {"kind": "Embedding", "num_embeddings": 1500, "embedding_dim": 1500},
])  # fmt: skip
def test_a_row_of_numbers_cannot_ask_for_a_square(model, tmp_path):
    npz.write_arrays(tmp_path / "m.npz", {"model": model}, {"b": np.ones(1500)})
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"m.npz: .*more parameters than the 1500 that there are"):
        mr.load(tmp_path / "m.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_a_file_cannot_name_the_random_generator(tmp_path):
    model = {"kind": "RNN", "input_size": 1, "hidden_size": 1500, "rng": 0}
    npz.write_arrays(tmp_path / "m.npz", {"model": model}, {"b": np.ones(1500)})
    with pytest.raises(ValueError, match=r"RNN has no \['rng'\]"):
        mr.load(tmp_path / "m.npz")


def test_an_error_in_a_layer_of_one_s_own_names_the_file(tmp_path):
    class Fails(mr.Last):
        def __init__(self):
            raise ZeroDivisionError("one's own")

    npz.write_arrays(tmp_path / "m.npz", {"model": {"kind": "Fails"}}, {})
    with pytest.raises(ValueError, match=r"m.npz: no model .*one's own"):
        mr.load(tmp_path / "m.npz", layers=[Fails])


# The system kills who writes more than is allowed, and so in the middle of the file.
SAVER = """
import resource, signal, sys
import minirnn as mr
model = mr.Linear(1, 10_000)
model.params["W"][...] = 2
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # which Python has ignored
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, 80_000))
mr.save(model, sys.argv[1])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limit for files on this system")
def test_killed_while_saving_there_is_the_old_file(tmp_path):
    file, model = tmp_path / "m.npz", mr.Linear(1, 10_000)
    model.params["W"][...] = 1
    mr.save(model, file)
    process = subprocess.run([sys.executable, "-c", SAVER, str(file)])
    assert process.returncode == -signal.SIGXFSZ
    assert sorted(f.stat().st_size for f in tmp_path.iterdir())[0] == 80_000
    assert (mr.load(file).params["W"] == 1).all()
    mr.save(model, file)
    assert os.listdir(tmp_path) == ["m.npz"]  # and nothing of the save that was killed


def test_what_is_told_about_a_model_comes_back(tmp_path):
    file, model = tmp_path / "model.npz", mr.RNN(2, 3, rng=0)
    told = {"alphabet": ["a", "b"], "scaler": {"mean": [0.5, -1.0]}, "window": 24, "season": None}
    given = told | {"scaler": {"mean": np.array([0.5, -1.0])}, "alphabet": ("a", np.str_("b"))}
    mr.save(model, file, about=given)
    assert mr.about(file) == told
    assert np.array_equal(mr.load(file).params["W_x"], model.params["W_x"])
    mr.save(model, file)
    assert mr.about(file) == {}


@pytest.mark.parametrize("about, message", [
    ([1], r"about: expected a dictionary, got \[1\]"),
    ({1: "a"}, r"about: expected texts as keys, got 1"),
    ({"a": [{}, {"b": len}]}, r"about\['a'\]\[1\]\['b'\]: expected numbers, .* got <built-in"),
    ({"a": 1j}, r"about\['a'\]: expected numbers"),
    ({"a": np.array(["2020-01-01"], "M8")}, r"about\['a'\]: expected numbers"),
])  # fmt: skip
def test_what_cannot_be_told_about_a_model(about, message, tmp_path):
    file = tmp_path / "model.npz"
    with pytest.raises(TypeError, match=message):
        mr.save(mr.RNN(2, 3), file, about=about)
    assert not file.exists()
