"""Weights that others trained, as packages bring them, against the runtime that they are made for.

Each test needs its package, and is skipped without it:
``pip install --no-deps silero-vad arabic-name-romanizer captcha-whisperer asmscan-bilstm chars2vec
cartwright arabic-diacritizer arabic-morph-segmenter``, and onnxruntime, torch, keras, h5py.
"""

from importlib.metadata import PackageNotFoundError, distribution

import numpy as np
import pytest

import minirnn as mr
from minirnn import exchange

RNG = np.random.default_rng(0)


def file_of(package, path):
    try:
        return str(distribution(package).locate_file(path))
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed")


def close(ours, theirs, tolerance=2e-5):
    assert theirs.any()
    np.testing.assert_allclose(ours, theirs, atol=tolerance * np.abs(theirs).max(), rtol=0)


# ---- ONNX files, in ONNX Runtime -----------------------------------------------------------------


def session(path, also=()):
    """The file in ONNX Runtime, with more of its numbers as outputs."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra 'exchange')")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    model = onnx.load(path)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in also)
    made = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda names, given: made.run(names, given)


def test_a_detector_of_speech():
    path = file_of("silero-vad", "silero_vad/data/silero_vad_16k_sequence.onnx")
    between = "/Transpose_output_0"  # behind a convolution
    run = session(path, [between])
    h, c = RNG.normal(size=(2, 1, 128)).astype(np.float32)
    given = {"input": RNG.normal(size=(40, 576)).astype(np.float32), "h": h[None], "c": c[None]}
    x, expected = run([between, "speech_probs"], given)
    model = exchange.from_onnx(path, input=between)
    y, _, _ = model.forward(x, [(h, c), None, None, None])
    close(y.ravel(), expected)
    with pytest.raises(TypeError, match="got Conv '/stft/Conv': expected windows of one step"):
        exchange.from_onnx(path)


@pytest.mark.parametrize("folder", ["", "persian/"])
def test_an_encoder_of_names(folder):
    place = f"arabic_name_romanizer/resources/{folder}encoder.onnx"
    path = file_of("arabic-name-romanizer", place)
    model = exchange.from_onnx(path, output="memory_out")
    tokens = RNG.integers(1, model.layers[0].num_embeddings, (3, 11))
    given = {"src": tokens, "src_mask": np.zeros((3, 11), bool)}
    close(model.forward(tokens.T)[0].swapaxes(0, 1), session(path)(["memory_out"], given)[0])


def test_a_reader_of_pictures_whose_cells_are_unrolled():
    """The graph has no LSTM, but the file has the arrays of two LSTMCells by name."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra 'exchange')")
    path = file_of("captcha-whisperer", "captcha_whisperer/models/captcha_crnn.onnx")
    graph = onnx.load(path).graph
    arrays = {a.name: onnx.numpy_helper.to_array(a) for a in graph.initializer}
    cells = {"lstm_fwd.cell", "lstm_bwd.cell"}
    arrays |= {
        node.output[0]: arrays[node.input[0]] for node in graph.node
        if node.op_type == "Identity" and node.output[0].startswith("lstm_")
    }  # fmt: skip
    one, other = (
        exchange.from_torch(arrays, "LSTM", prefix=p) for p in sorted(cells, reverse=True)
    )
    between, last = "/Reshape_output_0", "/Concat_1_output_0"
    image = RNG.normal(size=(2, 3, 60, 160)).astype(np.float32)
    x, expected = session(path, [between, last])([between, last], {"image": image})
    close(mr.Bidirectional(one, other).forward(x)[0], expected)


# ---- Files of Keras, in Keras --------------------------------------------------------------------


def keras_of(layers, arrays):
    """A model of Keras with these arrays."""
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    model = keras.Sequential([keras.layers.Input(layers[0]), *layers[1:]])
    model.set_weights(arrays)
    return lambda x: keras.ops.convert_to_numpy(model(x))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras itself
def test_a_classifier_of_proteins():
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    place = "asmscan/bilstm/resources/model/cvms/bass-model{}.h5"
    for k in range(1, 7):
        path = file_of("asmscan-bilstm", place.format(k))
        model = exchange.from_keras(path)
        there = keras_of(
            [(40,), keras.layers.Embedding(26, 8),
             keras.layers.Bidirectional(keras.layers.LSTM(8, return_sequences=True)),
             keras.layers.LSTM(4), keras.layers.Dense(1, activation="sigmoid")],
            [a for n in (1, 3, 5, 7) for a in arrays_of_legacy_file(path, n)],
        )  # fmt: skip
        tokens = RNG.integers(0, 26, (5, 40))
        close(model.forward(tokens.T)[0], there(tokens))


def arrays_of_legacy_file(path, n):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(path) as file:
        group = file.get("model_weights", file)
        layer = group[group.attrs["layer_names"][n]]
        return [layer[name][()] for name in layer.attrs["weight_names"]]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras itself
def test_vectors_of_words():
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    path = file_of("chars2vec", "chars2vec/trained_models/eng_50/weights.h5")
    layers = [exchange.from_keras(path, "LSTM", layer=f"lstm_{k}") for k in (1, 2)]
    H = [layer.hidden_size for layer in layers]
    there = keras_of(
        [(None, layers[0].input_size), keras.layers.LSTM(H[0], return_sequences=True),
         keras.layers.LSTM(H[1])],
        [a for n in (1, 2) for a in arrays_of_legacy_file(path, n)],
    )  # fmt: skip
    x = np.eye(layers[0].input_size, dtype=np.float32)[RNG.integers(0, 20, (3, 9))]
    y, _, _ = mr.Sequential(*layers, mr.Last()).forward(x.swapaxes(0, 1))
    close(y, there(x))


# ---- Files of PyTorch, in PyTorch ----------------------------------------------------------------


def in_torch(weights, tokens, layers, both):
    """Embedding, LSTM and Linear of PyTorch's own."""
    import torch

    words = torch.nn.Embedding(*weights["embedding.weight"].shape)
    H = weights["lstm.weight_hh_l0"].shape[1]
    lstm = torch.nn.LSTM(words.embedding_dim, H, layers, bidirectional=both)
    output = next(n for n in weights if n.endswith(".weight") and n not in ("embedding.weight",)
                  and "." in n and n.split(".")[0] in ("hidden2out", "classifier"))  # fmt: skip
    last = torch.nn.Linear(*reversed(weights[output].shape))
    for module, name in ((words, "embedding"), (lstm, "lstm"), (last, output.split(".")[0])):
        own = {
            k.removeprefix(f"{name}."): a for k, a in weights.items() if k.startswith(f"{name}.")
        }
        module.load_state_dict(own)
    with torch.no_grad():
        return last(lstm(words(torch.tensor(tokens)))[0]).numpy(), output.split(".")[0]


@pytest.mark.parametrize(
    "package, path, key, layers, both",
    [
        ("cartwright", "cartwright/models/LSTM_RNN_Cartwright_v_0.0.1_dict.pth", None, 1, False),
        ("arabic-diacritizer", "diacritize/assets/bilstm_best.pt", None, 3, True),
        ("arabic-morph-segmenter",
         "arabic_morph_segmenter/assets/arabic_morph_segmenter_bilstm_crf.pt", "model_state_dict",
         2, True),
    ],
)  # fmt: skip
def test_models_of_torch(package, path, key, layers, both):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'bench')")
    weights = torch.load(file_of(package, path), map_location="cpu", weights_only=True)
    if key is not None:
        with pytest.raises(TypeError, match=f"pass .* such as checkpoint\\['{key}'\\]"):
            exchange.from_torch(weights, "LSTM")
        weights = weights[key]
    tokens = RNG.integers(0, len(weights["embedding.weight"]), (12, 3))
    expected, output = in_torch(weights, tokens, layers, both)
    model = mr.Sequential(
        exchange.from_torch(weights, "Embedding", prefix="embedding"),
        exchange.from_torch(weights, "LSTM"),  # the only one
        exchange.from_torch(weights, "Linear", prefix=output),
    )
    close(model.forward(tokens)[0], expected)


def test_a_cell_in_torchscript():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'bench')")
    net = torch.jit.load(file_of("silero-vad", "silero_vad/data/silero_vad.jit"))
    x = RNG.normal(size=(1, 5, 128)).astype(np.float32)
    for prefix in ("_model.decoder.rnn", "_model_8k.decoder.rnn"):
        cell = torch.nn.LSTMCell(128, 128)
        own = {k.removeprefix(f"{prefix}."): a for k, a in net.state_dict().items()}
        cell.load_state_dict({k: own[k] for k in cell.state_dict()})
        y, _, _ = exchange.from_torch(net, "LSTM", prefix=prefix).forward(x)
        close(y[0], cell(torch.tensor(x[0]))[0].detach().numpy())
    with pytest.raises(ValueError, match=r"one of '_model.decoder.rnn.', '_model_8k.decoder.rnn.'"):
        exchange.from_torch(net, "LSTM")
