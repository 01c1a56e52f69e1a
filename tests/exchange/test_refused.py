"""What another library has not is refused, and so are numbers that do not fit: both ways, by name,
before anything is copied."""

import inspect

import numpy as np
import pytest

import minirnn as mr
from minirnn import exchange
from minirnn.exchange import cells, keras, onnx, weights
from minirnn.exchange.checked import compared

PAIR = mr.RNN(3, 3), mr.RNN(3, 3)


def lstm(D=2, H=3, **options):
    return mr.LSTM(D, H, rng=0, **options)


def one_array_twice():
    one, other = lstm(3), lstm(3)
    other.params["b"] = one.params["b"]
    return mr.Sequential(one, other)


NO_STATE_DICT = {
    "another class": (
        lambda: mr.Dropout(0.5),
        "or GRU or ProjectedLSTM or Linear or Embedding or LayerNorm, .* got Dropout",
    ),
    "a class derived from one": (lambda: type("LSTM", (mr.LSTM,), {})(2, 3), "layer: expected RNN"),
    "peepholes": (lambda: lstm(peephole=True), "LSTM with peephole=False, .* got peephole=True"),
    "a variant": (lambda: mr.LSTMVariant(2, 3, "NP"), "got LSTMVariant"),
    "reset before": (lambda: mr.GRU(2, 3, "before"), "GRU with reset='after', .* got reset='bef"),
    "reset before, above": (
        lambda: mr.Sequential(mr.GRU(2, 3), mr.GRU(3, 3, "before")), "layer 1, .* reset='after",
    ),
    "reset before, backwards": (
        lambda: mr.Sequential(mr.Bidirectional(mr.GRU(2, 3), mr.GRU(2, 3, "before"))),
        "layer 0.backward, .* with reset='after'",
    ),
    "a sum": (lambda: mr.Bidirectional(*PAIR, "sum"), "merge='concat', .* got merge='sum'"),
    "a mean": (lambda: mr.Bidirectional(*PAIR, "mean"), "merge='concat', .* got merge='mean'"),
    "two kinds": (
        lambda: mr.Sequential(lstm(1, 4), mr.GRU(4, 4)), "layer 1, .* kind 'LSTM', .* got 'GRU'",
    ),
    "two sizes": (
        lambda: mr.Sequential(lstm(1, 8), lstm(8, 4)), "layer 1, .* hidden_size 8, .* got 4",
    ),
    "two kinds in two directions": (
        lambda: mr.Bidirectional(lstm(1, 4), mr.GRU(1, 4)), "layer backward, .* kind 'LSTM'",
    ),
    "two activations": (
        lambda: mr.Sequential(mr.RNN(3, 3), mr.RNN(3, 3, "relu")), "nonlinearity 'tanh'.* 'relu'",
    ),
    "one direction over two": (
        lambda: mr.Sequential(mr.Bidirectional(lstm(), lstm()), lstm(6)), "directions 2, .* got 1",
    ),
    "two directions over one": (
        lambda: mr.Sequential(lstm(), mr.Bidirectional(lstm(3), lstm(3))), "directions 1, .* got 2",
    ),
    "Dropout between": (
        lambda: mr.Sequential(lstm(), mr.Dropout(0.5), lstm(3)), "layer 1, .* got Dropout",
    ),
    "a stack in a stack": (lambda: mr.Sequential(mr.Sequential(lstm())), "got Sequential"),
    "a stack in two directions": (
        lambda: mr.Bidirectional(mr.Sequential(lstm()), lstm()), "got Sequential",
    ),
    "projections of two sizes": (
        lambda: mr.Sequential(mr.ProjectedLSTM(2, 4, 3), mr.ProjectedLSTM(3, 4, 2)),
        "layer 1, .* proj_size 3, .* got 2",
    ),
    "recurrent dropout": (lambda: mr.RecurrentDropout(lstm(), 0.5), "got RecurrentDropout"),
    "zoneout": (lambda: mr.Zoneout(lstm(), 0.5), "got Zoneout"),
    "a learned state": (lambda: mr.LearnedState(lstm()), "got LearnedState"),
    "Checkpoint": (lambda: mr.Checkpoint(lstm(), 3), "got Checkpoint"),
    "an Embedding below": (lambda: mr.Sequential(mr.Embedding(5, 2), lstm()), "got Embedding"),
    "a layer used twice": (lambda: mr.Sequential(*[mr.RNN(3, 3)] * 2), "for 0.W_x and 1.W_x"),
    "a direction used twice": (
        lambda: mr.Bidirectional(*[mr.RNN(3, 3)] * 2), "for forward.W_x and backward.W_x",
    ),
    "an array used twice": (one_array_twice, "one array for 0.b and 1.b"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_STATE_DICT)
def test_what_a_state_dict_cannot_say_is_refused_by_name(name):
    make, words = NO_STATE_DICT[name]
    with pytest.raises(TypeError, match=words):
        exchange.to_torch(make())


def test_what_is_no_layer_is_refused_by_name():
    for export, name in (
        (exchange.to_torch, "layer"),
        (exchange.to_keras, "cell"),
        (to_onnx, "mod"),
    ):
        with pytest.raises(
            TypeError, match=f"{name}.*: expected RNN or LSTM or GRU.* got NoneType"
        ):
            export(None)


def test_what_keras_has_not_is_refused_by_name():
    for cell, words in [
        (lstm(peephole=True), "LSTM with peephole=False, .* got peephole=True"),
        (mr.Bidirectional(*[mr.Linear(3, 3)] * 2), "cell: expected RNN or LSTM or GRU, .* got Lin"),
        (mr.Sequential(*PAIR, mr.Last()), "cell: expected RNN or LSTM or GRU .* got Last"),
        (mr.ProjectedLSTM(2, 4, 3), "cell: expected RNN or LSTM or GRU.* got ProjectedLSTM"),
    ]:
        with pytest.raises(TypeError, match=words):
            exchange.to_keras(cell)


def test_the_tables_know_every_argument_of_every_class():
    for table in (
        weights.PYTORCH, weights.PYTORCH_STACKS, weights.PYTORCH_STATELESS, cells.CELLS,
        keras.KERAS, onnx.ONNX,
    ):  # fmt: skip
        for kind, known in table.items():
            names = set(inspect.signature(kind).parameters)
            assert names - {"rng", "forget_bias"} == set(known), kind
    with pytest.raises(TypeError, match=r"RNN with fewer arguments, .* got nonlinearity='tanh'"):
        compared(mr.RNN(2, 3), {mr.RNN: cells.SIZES}, "a library of the past")


# ---- Parameters that were changed by hand -------------------------------------------------------


def to_onnx(layer):
    pytest.importorskip("onnx", reason="onnx is not installed (extra 'exchange')")
    exchange.to_onnx(layer, "no file is written")


@pytest.mark.parametrize("export", [exchange.to_torch, exchange.to_keras, to_onnx])
@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_parameters_that_do_not_fit_are_refused_by_name(export, cell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, p in getattr(mr, cell)(2, 3).params.items():
        for wrong, words in [
            (np.ones((5, 12)), r"expected shape .* got \(5, 12\)"),
            (np.ones(1), r"expected shape .* got \(1,\)"),
            (np.full(p.shape, np.nan), "expected numbers that are finite .* got nan at"),
            (np.full(p.shape, -np.inf), "expected numbers that are finite .* got -inf at"),
        ]:
            layer = getattr(mr, cell)(2, 3)
            layer.params[name] = wrong
            with pytest.raises(ValueError, match=rf"params\['{name}'\]: {words}"):
                export(layer)
    layer = getattr(mr, cell)(2, 3)
    layer.params["p_i"] = np.ones(3)
    with pytest.raises(ValueError, match=r"params: expected the names .* got .*p_i"):
        export(layer)


def test_the_place_of_a_parameter_is_named():
    model = mr.Sequential(mr.Bidirectional(lstm(), lstm()), mr.Bidirectional(lstm(6), lstm(6)))
    model.layers[1].backward_layer.params["b"] = np.ones(4)
    for export in (exchange.to_torch, to_onnx):
        with pytest.raises(ValueError, match=r"layer 1.backward, LSTM\(6, 3\): params\['b'\]: exp"):
            export(model)


def test_a_learned_state_that_does_not_fit_is_refused_by_name():
    layer = mr.LearnedState(lstm())
    for wrong, words in [(np.ones(4), "expected shape"), (np.full(3, np.nan), "expected numbers")]:
        layer.initial["c"] = wrong
        with pytest.raises(ValueError, match=rf"params\['layer.c_0'\]: {words}"):
            to_onnx(layer)


def test_options_changed_by_hand_do_not_lose_parameters():
    layer = lstm(peephole=True)
    layer.peephole = False  # forward still uses them
    for export in (exchange.to_torch, exchange.to_keras, to_onnx):
        with pytest.raises(ValueError, match=r"params: expected the names .*, got .*p_i"):
            export(layer)


# ---- What comes in ------------------------------------------------------------------------------


def without(arrays, name):
    return {key: a for key, a in arrays.items() if key != name}


def with_nan(a):
    return np.where(np.arange(a.size).reshape(a.shape) == 4, np.nan, a)


PROJECTED = exchange.to_torch(mr.ProjectedLSTM(2, 4, 3, rng=0))
STACK = exchange.to_torch(mr.Sequential(lstm(2, 3), lstm(3, 3)))
BOTH = exchange.to_torch(mr.Bidirectional(lstm(2, 3), lstm(2, 3)))
BIAS = STACK["bias_ih_l0"]
NO_MODULE = {
    "nothing": ({}, r"expected also weight_ih_l0, weight_hh_l0, got \[\]"),
    "no dictionary": (None, r"arrays by name, such as net.state_dict\(\), .* got NoneType"),
    "a generator": (iter(STACK.items()), r"such as net.state_dict\(\), or net itself, got dict_it"),
    "a class": (type("LSTM", (), {"state_dict": dict}), "or net itself, got type"),
    "a checkpoint": (
        {"epoch": 3, "model": STACK}, r"a dictionary in 'model'; .* such as checkpoint\['model'\]",
    ),
    "a bias is missing": (without(STACK, "bias_hh_l1"), "expected also bias_hh_l1, got"),
    "a layer between is missing": (
        {k.replace("_l1", "_l2"): a for k, a in STACK.items()}, "no more, got .*_l2",
    ),
    "a direction is missing above": (
        STACK | without(BOTH, "weight_ih_l0"), "expected also weight_ih_l1_reverse",
    ),
    "only the other direction": (
        {k: a for k, a in BOTH.items() if "reverse" in k}, "expected also weight_ih_l0,",
    ),
    "a projection": (
        STACK | {"weight_hr_l0": np.ones((2, 3))}, r"expected also weight_hr_l1, got",
    ),
    "two modules of this kind": (
        {f"{p}.{k}": a for p in ("below", "above") for k, a in STACK.items()},
        "prefix: expected one of 'below.', 'above.', .* the LSTM that is meant, got None",
    ),
    "names of a cell and of a module": (
        STACK | {"weight_ih": STACK["weight_ih_l0"]}, "expected also weight_hh,",
    ),
    "a projection of another size": (
        PROJECTED | {"weight_hr_l0": np.ones((3, 5))},
        r"weight_hh_l0 .* expected shape \(20, 3\), got \(16, 3\)",
    ),
    "a projection that reduces nothing": (
        PROJECTED | {"weight_hr_l0": np.ones((4, 4)), "weight_hh_l0": np.ones((16, 4))},
        "proj_size: expected less than hidden_size, 4, got 4",
    ),
    "names that are none": (STACK | {3: BIAS}, "expected names that are texts, got 3"),
    "a bias of one": (STACK | {"bias_ih_l0": np.ones(1)}, r"ih_l0 .* \(12,\), got \(1,\)"),
    "a bias without axes": (
        STACK | {"bias_hh_l0": np.float64(5)}, r"bias_hh_l0 .* \(12,\), got \(\)",
    ),
    "a bias of two axes": (
        STACK | {"bias_hh_l0": np.ones((1, 12))}, r"\(12,\), got \(1, 12\)",
    ),
    "weights of one column": (
        STACK | {"weight_ih_l1": np.ones((12, 1))}, r"_ih_l1 .* \(12, 3\), got \(12, 1\)",
    ),
    "weights of one row": (
        STACK | {"weight_hh_l1": np.ones((1, 3))}, r"_hh_l1 .* \(12, 3\), got \(1, 3\)",
    ),
    "weights of one axis": (
        STACK | {"weight_ih_l0": np.ones(12)}, r"_ih_l0 .* \(12, D\), got \(12,\)",
    ),
    "transposed weights": (
        STACK | {"weight_ih_l0": np.ones((2, 12))}, r"_ih_l0 .* \(12, D\), got \(2, 12\)",
    ),
    "a layer for another below": (
        STACK | {"weight_ih_l1": np.ones((12, 5))}, r"_ih_l1 .* \(12, 3\), got \(12, 5\)",
    ),
    "another size above": (
        STACK | {"weight_hh_l1": np.ones((8, 2))}, r"_hh_l1 .* \(12, 3\), got \(8, 2\)",
    ),
    "two dtypes": (
        STACK | {"bias_hh_l1": BIAS.astype("f4")}, "float64, as weight_ih_l0 has, got",
    ),
    "whole numbers": (STACK | {"bias_ih_l0": np.ones(12, int)}, "ih_l0 .* got int64"),
    "text": (STACK | {"bias_ih_l0": "b"}, "bias_ih_l0 .* expected real numbers"),
    "complex numbers": (STACK | {"bias_ih_l0": BIAS * 1j}, "real numbers, got complex128"),
    "NaN": (
        STACK | {"weight_hh_l1": with_nan(STACK["weight_hh_l1"])},
        r"weight_hh_l1 .* expected finite numbers, got nan at \(1, 1\)",
    ),
    "infinity": (STACK | {"bias_ih_l0": np.full(12, np.inf)}, "ih_l0 .* finite numbers, got"),
    "an infinite sum": (
        STACK | dict.fromkeys(("bias_ih_l0", "bias_hh_l0"), np.full(12, 1e308)),
        "finite in float64, got inf",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_MODULE)
def test_a_state_dict_that_does_not_fit_is_refused_by_name(name):
    given, words = NO_MODULE[name]
    with pytest.raises((TypeError, ValueError), match=words):
        exchange.from_torch(given, "LSTM")


def test_a_state_dict_of_another_kind_is_refused():
    of_kind = {kind: exchange.to_torch(getattr(mr, kind)(2, 3)) for kind in ("RNN", "LSTM", "GRU")}
    for kind in of_kind:
        for other in of_kind.keys() - {kind}:
            with pytest.raises(ValueError, match=f"weight_hh_l0 of kind '{other}': expected shape"):
                exchange.from_torch(of_kind[kind], other)
    with pytest.raises(ValueError, match=r"kind: expected 'RNN' or 'LSTM' .*, got 'lstm'"):
        exchange.from_torch(STACK, "lstm")
    with pytest.raises(ValueError, match="nonlinearity: expected 'tanh', got 'relu'"):
        exchange.from_torch(STACK, "LSTM", "relu")


def kernels(kind="LSTM", **options):
    return exchange.to_keras(getattr(mr, kind)(2, 3, **options))


def changed(at, a, kind="LSTM"):
    return [a if k == at else own for k, own in enumerate(kernels(kind))]


NO_KERAS_LAYER = {
    "one array": ("LSTM", kernels()[:1], "expected kernel, recurrent kernel, bias, got 1"),
    "nothing": ("LSTM", [], "bias, got 0: call the layer once, so that it is built"),
    "no list": ("LSTM", None, r"bias, that is layer.get_weights\(\), or .* itself, got NoneType"),
    "a flat stack": (
        "LSTM", [*kernels(), *exchange.to_keras(mr.LSTM(3, 3))],
        r"kernels of one shape, got \(2, 12\) and \(3, 12\); for a stack pass a list",
    ),
    "a flat kernel": ("LSTM", changed(0, np.ones(12)), r": kernel .* \(D, 12\), got \(12,\)"),
    "a kernel of one column": (
        "RNN", changed(0, np.ones((2, 1)), "RNN"), r"weights: kernel .* \(D, 3\), got \(2, 1\)",
    ),
    "a flat recurrent kernel": (
        "LSTM", changed(1, np.ones(12)), r"recurrent kernel .* \(H, 4H\), got \(12,\)",
    ),
    "the kernels in another order": (
        "LSTM", [kernels()[k] for k in (1, 0, 2)], r"recurrent .* \(2, 8\), got \(2, 12\)",
    ),
    "a bias of one": ("LSTM", changed(2, np.ones(1)), r"weights: bias .* \(12,\), got \(1,\)"),
    "three biases": ("LSTM", changed(2, np.ones((3, 12))), r"bias .* \(2, 12\), got \(3, 12\)"),
    "a GRU's bias of one row": (
        "GRU", changed(2, np.ones((1, 9)), "GRU"), r"weights: bias .* \(2, 9\), got \(1, 9\)",
    ),
    "a GRU's bias of one column": (
        "GRU", changed(2, np.ones((2, 1)), "GRU"), r"weights: bias .* \(2, 9\), got \(2, 1\)",
    ),
    "a GRU's weights": ("LSTM", kernels("GRU"), r"recurrent .* \(3, 12\), got \(3, 9\)"),
    "two dtypes": ("LSTM", changed(1, np.ones((3, 12), "f4")), "float64, as kernel has, got"),
    "NaN": ("LSTM", changed(2, np.full(12, np.nan)), "bias .* finite numbers, got nan at"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_KERAS_LAYER)
def test_keras_weights_that_do_not_fit_are_refused_by_name(name):
    kind, given, words = NO_KERAS_LAYER[name]
    with pytest.raises(ValueError, match=words):
        exchange.from_keras(given, kind)


def test_a_layer_does_not_share_memory_with_what_it_was_read_from():
    given = exchange.to_torch(mr.GRU(2, 3, rng=0))
    layer = exchange.from_torch(given, "GRU")
    weights_of = exchange.to_keras(layer)
    again = exchange.from_keras(weights_of, "GRU")
    for a in (*layer.params.values(), *again.params.values()):
        assert a.flags.writeable and a.flags.c_contiguous
        assert not any(np.shares_memory(a, b) for b in (*given.values(), *weights_of))
