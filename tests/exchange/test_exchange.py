"""Weights from and to PyTorch and Keras: the same outputs there and here."""

import os

import numpy as np
import pytest
from cases import randomised

import minirnn as mr
from minirnn import exchange

X = np.random.default_rng(0).normal(size=(6, 4, 3))


def same_parameters(one, other):
    assert one.params.keys() == other.params.keys()
    for name, p in one.params.items():
        np.testing.assert_allclose(p, other.params[name], atol=1e-15)


def layers():
    yield "RNN", randomised("RNN", D=3, H=5)
    yield "LSTM", randomised("LSTM", D=3, H=5)
    yield "GRU", randomised("GRU after", D=3, H=5)
    two = mr.Bidirectional(randomised("LSTM", D=3, H=5), randomised("LSTM", 1, D=3, H=5))
    above = mr.Bidirectional(randomised("LSTM", 2, D=10, H=5), randomised("LSTM", 3, D=10, H=5))
    yield "LSTM", two
    yield "LSTM", mr.Sequential(two, above)
    yield "GRU", mr.Sequential(randomised("GRU after", D=3, H=5), randomised("GRU after", D=5, H=5))


@pytest.mark.parametrize("kind, layer", list(layers()))
def test_there_and_back(kind, layer):
    same_parameters(layer, exchange.from_torch(exchange.to_torch(layer), kind))


@pytest.mark.parametrize("kind, layer", list(layers()))
def test_torch_computes_the_same(kind, layer):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'bench')")
    stacked = isinstance(layer, mr.Sequential)
    first = layer.layers[0] if stacked else layer
    module = getattr(torch.nn, kind)(
        3, 5, num_layers=2 if stacked else 1, bidirectional=isinstance(first, mr.Bidirectional),
        dtype=torch.float64,
    )  # fmt: skip
    y, _, _ = layer.forward(X)
    module.load_state_dict({k: torch.tensor(a) for k, a in exchange.to_torch(layer).items()})
    np.testing.assert_allclose(module(torch.tensor(X))[0].detach().numpy(), y, atol=1e-12)
    torch.manual_seed(0)
    for p in module.parameters():  # both biases at random
        torch.nn.init.normal_(p)
    other = exchange.from_torch(module.state_dict(), kind)
    y, _, _ = other.forward(X)
    np.testing.assert_allclose(module(torch.tensor(X))[0].detach().numpy(), y, atol=1e-12)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU after", "GRU before"])
def test_keras_there_and_back(name):
    cell, kind = randomised(name, D=3, H=5), name.split()[0]
    weights = exchange.to_keras(cell)
    assert [w.shape for w in weights[:2]] == [cell.params["W_x"].shape, cell.params["W_h"].shape]
    assert weights[2].shape == ((2, 15) if name == "GRU after" else (cell.params["b"].size,))
    same_parameters(cell, exchange.from_keras(weights, kind))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Keras itself
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU after", "GRU before"])
def test_keras_computes_the_same(name):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    cell = randomised(name, D=3, H=5, scale=0.4, dtype="float32")
    kinds = {"RNN": "SimpleRNN", "LSTM": "LSTM", "GRU": "GRU"}
    options = {"reset_after": name == "GRU after"} if "GRU" in name else {}
    layer = getattr(keras.layers, kinds[name.split()[0]])(5, return_sequences=True, **options)
    x = X.astype(np.float32)
    layer(x.transpose(1, 0, 2))
    layer.set_weights(exchange.to_keras(cell))
    y, _, _ = cell.forward(x)
    found = keras.ops.convert_to_numpy(layer(x.transpose(1, 0, 2))).transpose(1, 0, 2)
    np.testing.assert_allclose(found, y, atol=1e-5)
    same_parameters(cell, exchange.from_keras(layer.get_weights(), name.split()[0]))


def test_safetensors_there_and_back(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="extra 'exchange'")
    layer = mr.Sequential(randomised("LSTM", D=3, H=5), randomised("LSTM", 1, D=5, H=5))
    safetensors.save_file(exchange.to_torch(layer), tmp_path / "w.safetensors")
    other = exchange.from_torch(safetensors.load_file(tmp_path / "w.safetensors"), "LSTM")
    for name, p in layer.params.items():
        assert np.array_equal(p, other.params[name])
