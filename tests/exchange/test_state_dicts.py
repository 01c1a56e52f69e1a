"""Modules as they stand in real files: in a larger model, as cells, without biases, in half
precision, and as PyTorch's own objects."""

import numpy as np
import pytest
from cases import randomised

import minirnn as mr
from minirnn import exchange

LAYERS = {
    "RNN": randomised("RNN", D=2, H=3),
    "LSTM": mr.Sequential(randomised("LSTM", 0, D=2, H=3), randomised("LSTM", 1, D=3, H=3)),
    "GRU": mr.Bidirectional(randomised("GRU after", 0, D=2), randomised("GRU after", 1, D=2)),
    "Linear": randomised("Linear", D=6, H=4),
    "Embedding": mr.Embedding(5, 2, rng=0),
    "LayerNorm": mr.LayerNorm(4),
}
LAYERS["LayerNorm"].params["b"][...] = 0.5
MODEL = {  # names as those of a model with one module of each kind
    f"net.{kind.lower()}.{name}": a
    for kind, layer in LAYERS.items()
    for name, a in exchange.to_torch(layer).items()
} | {"net.norm.weight": np.ones(3), "net.norm.running_mean": np.ones(3)}


def same(one, other):
    assert one.params.keys() == other.params.keys()
    assert all(np.array_equal(p, other.params[name]) for name, p in one.params.items())


@pytest.mark.parametrize("kind", LAYERS)
def test_a_module_is_found_in_a_model(kind):
    for prefix in (None, f"net.{kind.lower()}", f"net.{kind.lower()}."):
        if kind != "Linear" or prefix:
            same(exchange.from_torch(MODEL, kind, prefix=prefix), LAYERS[kind])
    same(exchange.from_torch(exchange.to_torch(LAYERS[kind]), kind), LAYERS[kind])


def test_a_place_that_is_not_clear_is_asked_for():
    with pytest.raises(ValueError, match=r"one of 'net.linear.', 'net.embedding.', .* got None"):
        exchange.from_torch(MODEL, "Linear")
    with pytest.raises(ValueError, match=r"prefix: expected one of 'net.lstm.', got 'lstm'"):
        exchange.from_torch(MODEL, "LSTM", prefix="lstm")
    with pytest.raises(TypeError, match="prefix: expected a text or None, got 3"):
        exchange.from_torch(MODEL, "LSTM", prefix=3)
    with pytest.raises(ValueError, match=r"net.gru.weight_hh_l0 of kind 'LSTM': expected shape"):
        exchange.from_torch(MODEL, "LSTM", prefix="net.gru")
    with pytest.raises(ValueError, match=r"and no more, got \['bias'\]"):
        exchange.from_torch(MODEL, "Embedding", prefix="net.linear")


def test_a_cell_has_names_without_a_number():
    cell = randomised("GRU after", D=2, H=3)
    names = {name.removesuffix("_l0"): a for name, a in exchange.to_torch(cell).items()}
    same(exchange.from_torch(names, "GRU"), cell)
    with pytest.raises(ValueError, match=r"expected also bias_hh, got"):
        exchange.from_torch({k: a for k, a in names.items() if k != "bias_hh"}, "GRU")


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "Linear"])
def test_biases_that_are_not_there_are_zero(kind):
    weights = exchange.to_torch(LAYERS[kind])
    layer = exchange.from_torch({k: a for k, a in weights.items() if "bias" not in k}, kind)
    for name, p in layer.params.items():
        assert np.array_equal(p, LAYERS[kind].params[name] * ("b" not in name.split(".")[-1]))


def test_half_precision_becomes_float32():
    half = {name: a.astype(np.float16) for name, a in MODEL.items()}
    layer = exchange.from_torch(half, "LSTM")
    assert layer.layers[0].dtype == np.float32
    assert np.array_equal(layer.params["0.W_x"], half["net.lstm.weight_ih_l0"].T)


def test_modules_themselves_and_what_they_give():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'bench')")
    net = torch.nn.ModuleDict({"rnn": torch.nn.RNN(2, 3, nonlinearity="relu"),
                               "words": torch.nn.Embedding(5, 2)})  # fmt: skip
    for given in (net, net.state_dict(), dict(net.named_parameters())):
        layer = exchange.from_torch(given, "RNN", "relu")
        assert np.array_equal(layer.params["W_x"], net["rnn"].weight_ih_l0.detach().numpy().T)
        assert layer.dtype == np.float32
    with pytest.raises(ValueError, match="nonlinearity: expected 'relu', as the module has, got"):
        exchange.from_torch(net, "RNN")
    norm = torch.nn.LayerNorm(4, eps=0.1, bias=False)
    assert exchange.from_torch(norm, "LayerNorm").eps == 0.1
    assert exchange.from_torch(norm.state_dict(), "LayerNorm").eps == 1e-5
    net["words"].max_norm = 1.0
    with pytest.raises(ValueError, match=r"an Embedding without max_norm, got max_norm=1\.0"):
        exchange.from_torch(net, "Embedding")
    half = net.to(torch.bfloat16)
    layer = exchange.from_torch(half, "RNN", "relu")
    assert np.array_equal(layer.params["W_h"], half["rnn"].weight_hh_l0.detach().float().numpy().T)
    empty = {k: a.to("meta") for k, a in net.state_dict().items()}  # it has no numbers
    with pytest.raises(TypeError, match=r"rnn.weight_ih_l0 .*: expected a tensor that NumPy takes"):
        exchange.from_torch(empty, "RNN")


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("bias", [True, False])
def test_cells_of_torch_compute_the_same(kind, bias):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'bench')")
    module = getattr(torch.nn, f"{kind}Cell")(2, 3, bias=bias, dtype=torch.float64)
    x = np.random.default_rng(0).normal(size=(1, 4, 2))
    found = module(torch.tensor(x[0]))
    found = (found[0] if kind == "LSTM" else found).detach().numpy()
    y = exchange.from_torch(module, kind).forward(x)[0][0]
    np.testing.assert_allclose(found, y, atol=1e-14)


def test_a_safetensors_file_of_half_precision(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="extra 'exchange'")
    half = {name: a.astype(np.float16) for name, a in MODEL.items()}
    safetensors.save_file(half, tmp_path / "w.safetensors")
    layer = exchange.from_torch(safetensors.load_file(tmp_path / "w.safetensors"), "GRU")
    assert np.array_equal(layer.params["forward.W_h"], half["net.gru.weight_hh_l0"].T)
