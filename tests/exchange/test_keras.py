"""Keras' layers and models, as objects and as files. Keras itself is needed for none of it."""

import io
import json
import zipfile

import numpy as np
import pytest
from cases import randomised

import minirnn as mr
from minirnn import exchange

X = np.random.default_rng(0).normal(size=(6, 4, 3))  # (T, B, D)


def cell(name, D=3, seed=0):
    return randomised(name, seed, D=D, H=5)


def same(one, other):
    assert list(one.params) == list(other.params)
    for name, p in one.params.items():
        np.testing.assert_allclose(p, other.params[name], atol=1e-15, err_msg=name)


# ---- Arrays --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU after", "GRU before"])
def test_both_directions_and_stacks(name):
    kind = name.split()[0]
    two = mr.Bidirectional(cell(name), cell(name, seed=1))
    stack = mr.Sequential(two, cell(name, 10, 2))
    assert len(exchange.to_keras(two)) == 6
    assert [len(own) for own in exchange.to_keras(stack)] == [6, 3]
    for layer in (two, stack):
        same(exchange.from_keras(exchange.to_keras(layer), kind), layer)


def test_layers_without_a_state():
    for layer in (mr.Linear(3, 2, rng=0), mr.Embedding(4, 3, rng=0), mr.LayerNorm(3)):
        same(exchange.from_keras(exchange.to_keras(layer), type(layer).__name__), layer)
    assert not exchange.from_keras([np.ones((3, 2))], "Linear").params["b"].any()
    with pytest.raises(ValueError, match="weights: expected kernel, bias, got 3"):
        exchange.from_keras([np.ones((3, 2))] * 3, "Linear")


def test_biases_that_are_not_there_are_zero():
    two = mr.Bidirectional(cell("LSTM"), cell("LSTM", seed=1))
    arrays = exchange.to_keras(two)
    layer = exchange.from_keras([a for k, a in enumerate(arrays) if k % 3 < 2], "LSTM")
    for name, p in layer.params.items():
        np.testing.assert_array_equal(p, 0 if name.endswith(".b") else two.params[name])


@pytest.mark.parametrize("name", ["LSTM", "GRU after"])
def test_layers_of_cudnn_have_two_biases_and_transposed_blocks(name):
    layer = cell(name)
    W_x, W_h, b = exchange.to_keras(layer)
    n = W_x.shape[1] // 5
    two = b if b.ndim == 2 else np.stack([b - 0.25, np.full_like(b, 0.25)])
    if b.ndim == 1:
        same(exchange.from_keras([W_x, W_h, two], "LSTM"), layer)
    there = [  # as Keras 2 writes plain kernels for such a layer
        np.hstack([k.T.reshape(k.shape) for k in np.split(W_x, n, axis=1)]),
        np.hstack([k.T for k in np.split(W_h, n, axis=1)]),
        two.ravel(),
    ]
    same(exchange.from_keras(there, name.split()[0]), layer)


# ---- Layers and models, which say themselves what they are ---------------------------------------


def keras_class(name):
    """A class with this name, and what Keras' layers have of which use is made."""

    def init(self, config, weights):
        self.config, self.weights = config, weights

    members = {
        "__init__": init,
        "get_config": lambda self: self.config,
        "get_weights": lambda self: self.weights,
    }
    return type(name, (), members)


def layer_of(kind, weights=(), **config):
    return keras_class(kind)({"name": kind.lower(), **config}, list(weights))


def recurrent(kind, layer, **config):
    return layer_of(kind, exchange.to_keras(layer), **{"units": 5, **config})


def inner(kind, **config):
    return {"class_name": kind, "config": {"units": 5, **config}}


def model_of(*layers):
    model = keras_class("Sequential")({"name": "model", "layers": configs(layers)}, [])
    model.layers = list(layers)
    return model


def configs(layers):
    return [{"class_name": type(one).__name__, "config": one.get_config()} for one in layers]


def test_a_layer_says_what_it_is():
    for kind, name, config in [
        ("SimpleRNN", "RNN relu", {"activation": "relu"}),
        ("LSTM", "LSTM", {"return_sequences": False}),
        ("GRU", "GRU before", {"reset_after": False}),
    ]:
        layer = exchange.from_keras(recurrent(kind, cell(name), **config))
        same(layer, cell(name))
    with pytest.raises(ValueError, match="kind: expected 'LSTM', got 'GRU'"):
        exchange.from_keras(recurrent("LSTM", cell("LSTM")), "GRU")
    with pytest.raises(TypeError, match=r"kind: expected one of RNN, LSTM, .* got None"):
        exchange.from_keras(exchange.to_keras(cell("LSTM")))


TABLE = mr.Embedding(7, 3, rng=0)
TWO = mr.Bidirectional(cell("LSTM"), cell("LSTM", seed=1))
DENSE = mr.Linear(10, 2, rng=0)
LAYERS = [
    layer_of("InputLayer"),
    layer_of("Embedding", exchange.to_keras(TABLE), input_dim=7, mask_zero=True),
    layer_of("SpatialDropout1D", rate=0.5),
    layer_of("Bidirectional", exchange.to_keras(TWO), layer=inner("LSTM"), merge_mode="concat"),
    layer_of("Dense", exchange.to_keras(DENSE), units=2, activation="tanh"),
    layer_of("Softmax", axis=-1),
]
OURS = mr.Sequential(
    TABLE, mr.Dropout(0.5, per_sequence=True), TWO, mr.Last(both=True), DENSE,
    mr.Activation("tanh"), mr.Activation("softmax"),
)  # fmt: skip


def test_a_model_is_a_sequential():
    model = exchange.from_keras(model_of(*LAYERS))
    assert repr(model) == repr(OURS)
    same(model, OURS)


@pytest.mark.parametrize("merge", ["sum", "ave"])
@pytest.mark.parametrize("sequences", [True, False])
def test_directions_are_merged(merge, sequences):
    layer = layer_of(
        "Bidirectional", exchange.to_keras(TWO), merge_mode=merge,
        layer=inner("LSTM", return_sequences=sequences),
    )  # fmt: skip
    y, _, _ = exchange.from_keras(model_of(layer)).forward(X)
    u, v = np.split(TWO.forward(X)[0], 2, axis=2)
    u, v = (u, v) if sequences else (u[-1], v[0])
    np.testing.assert_allclose(y, (u + v) / (1 if merge == "sum" else 2), atol=1e-14)


def test_normalisations():
    gamma, beta, mean, variance = np.random.default_rng(0).uniform(0.5, 1, (4, 3))
    batch = layer_of("BatchNormalization", [gamma, beta, mean, variance], axis=[2], epsilon=0.1)
    y, _, _ = exchange.from_keras(batch).forward(X)
    np.testing.assert_allclose(y, gamma * (X - mean) / np.sqrt(variance + 0.1) + beta)
    norm = exchange.from_keras(layer_of("LayerNormalization", [beta], scale=False, epsilon=0.1))
    assert norm.eps == 0.1 and (norm.params["g"] == 1).all()
    assert np.array_equal(norm.params["b"], beta)


def test_what_is_not_known_is_listed_by_name():
    lstm = cell("LSTM")
    for layers, words in [
        ([layer_of("Conv1D"), layer_of("Attention")], r"Conv1D 'conv1d' \(no .*; Attention 'att"),
        ([recurrent("LSTM", lstm, recurrent_activation="hard_sigmoid")], "activation 'sigmoid', g"),
        ([recurrent("LSTM", lstm, activation="elu")], "expected activation 'tanh', got 'elu'"),
        ([recurrent("LSTM", lstm, go_backwards=True)], "expected go_backwards False, got True"),
        ([layer_of("Dense", exchange.to_keras(DENSE), activation="elu")], "'linear' or None or"),
        (
            [layer_of("Bidirectional", [], layer=inner("GRU"), merge_mode="mul")],
            "'concat' or 'sum'",
        ),
        ([layer_of("ReLU", max_value=6.0)], "expected max_value None or 0, got 6.0"),
    ]:
        with pytest.raises(TypeError, match=f"weights: expected layers that are known.*{words}"):
            exchange.from_keras(model_of(*layers))
    with pytest.raises(ValueError, match="LSTM 'lstm': expected arrays for units 6, got 5"):
        exchange.from_keras(recurrent("LSTM", lstm, units=6))
    with pytest.raises(ValueError, match=r"LSTM 'lstm': expected kernel, .*so that it is built"):
        exchange.from_keras(layer_of("LSTM", units=6))
    with pytest.raises(ValueError, match="weights: expected a model with layers, got none"):
        exchange.from_keras(model_of(layer_of("Masking")))


@pytest.mark.parametrize("version", [2, 3])
def test_a_model_whose_layers_do_not_follow_each_other_is_refused(version):
    def reads(*names):
        if version == 2:
            return [[[name, 0, 0, {}] for name in names]]
        tensors = [{"class_name": "T", "config": {"keras_history": [n, 0, 0]}} for n in names]
        return [{"args": [tensors], "kwargs": {}}]

    layers = configs([layer_of("InputLayer"), recurrent("LSTM", cell("LSTM")), layer_of("Add")])
    for k, names in enumerate([(), ("inputlayer",), ("lstm",)]):
        layers[k]["inbound_nodes"] = reads(*names) if names else []
    model = model_of(layer_of("InputLayer"), recurrent("LSTM", cell("LSTM")))
    model.config = {"layers": layers[:2]}
    same(exchange.from_keras(model), mr.Sequential(cell("LSTM"), mr.Last()))
    layers[2]["inbound_nodes"] = reads("lstm", "inputlayer")
    model.config = {"layers": layers}
    with pytest.raises(TypeError, match=r"one after the other, got Add 'add', which reads \['lstm"):
        exchange.from_keras(model)


# ---- Files ---------------------------------------------------------------------------------------


def legacy_file(path, layers, config=True):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(path, "w") as file:
        if config:
            file.attrs["model_config"] = json.dumps(
                {"class_name": "Sequential", "config": {"layers": configs(layers)}}
            )
        top = file.create_group("model_weights") if config else file
        for one in layers:
            group = top.create_group(one.config["name"])
            names = [f"w/{k}" for k in range(len(one.weights))]
            group.attrs["weight_names"] = [n.encode() for n in names]
            for name, a in zip(names, one.weights, strict=True):
                group[name] = a


def file_of_keras_3(path, layers):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for one in layers:
            place, n = f"layers/{type(one).__name__.lower()}", len(one.weights)
            place = f"{place}_1" if place in file else place
            parts = {"InputLayer": []}.get(type(one).__name__, ["vars"])
            if type(one).__name__ == "Bidirectional":
                parts = ["forward_layer/cell/vars", "backward_layer/cell/vars"]
            for k, part in enumerate(parts):
                group = file.create_group(f"{place}/{part}")
                for j, a in enumerate(one.weights[k * 3 : k * 3 + 3] if n == 6 else one.weights):
                    group[str(j)] = a
    config = {"class_name": "Sequential", "config": {"layers": configs(layers)}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", memory.getvalue())


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_a_file_is_read_as_the_model(ending, tmp_path):
    path = tmp_path / f"model.{ending}"
    # Names that are those of other layers, as in a second model that is made in one session.
    second = layer_of("Dense", [np.full((2, 2), 3.0)], units=2, name="dense_7")
    first = layer_of("Dense", exchange.to_keras(DENSE), units=2, activation="tanh", name="dense_1")
    layers = [*LAYERS[:4], first, second]
    (legacy_file if ending == "h5" else file_of_keras_3)(path, layers)
    model = exchange.from_keras(path)
    assert (model.params["6.W"] == 3).all()
    assert np.array_equal(model.params["4.W"], DENSE.params["W"])
    same(exchange.from_keras(str(path), layer="bidirectional"), TWO)
    with pytest.raises(ValueError, match=r"layer: expected 'inputlayer' or .* got 'no'"):
        exchange.from_keras(path, layer="no")


def test_a_file_of_weights_only(tmp_path):
    legacy_file(tmp_path / "w.h5", [recurrent("GRU", cell("GRU after"))], config=False)
    same(exchange.from_keras(tmp_path / "w.h5", "GRU", layer="gru"), cell("GRU after"))
    with pytest.raises(ValueError, match="layer: expected one of 'gru', and its kind, since"):
        exchange.from_keras(tmp_path / "w.h5")
    with pytest.raises(ValueError, match="layer: expected one of 'gru', got 'lstm'"):
        exchange.from_keras(tmp_path / "w.h5", "GRU", layer="lstm")


def test_a_file_that_is_none(tmp_path):
    pytest.importorskip("h5py", reason="h5py is not installed")
    (tmp_path / "text.h5").write_bytes(b"text")
    (tmp_path / "half.keras").write_bytes(b"PK\3\4 and no more")
    for name in ("text.h5", "half.keras"):
        with pytest.raises(ValueError, match=r"weights: expected a .keras or .h5 file of Keras"):
            exchange.from_keras(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        exchange.from_keras(tmp_path / "none.h5")
    with pytest.raises(TypeError, match="layer: expected None, since weights is no file, got 'a'"):
        exchange.from_keras(exchange.to_keras(cell("LSTM")), "LSTM", layer="a")
