"""Exported models compute in ONNX Runtime what they compute here."""

import os

import numpy as np
import pytest
from cases import arrays, randomised

import minirnn as mr
from minirnn.exchange import to_onnx
from minirnn.protocol import named_leaves

pytest.importorskip("onnx", reason="onnx is not installed (extra 'exchange')")
runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed ('exchange')")


def both(name="LSTM", merge="concat", D=3):
    one, other = (randomised(name, seed, D=D, H=5, dtype="float32") for seed in (1, 2))
    return mr.Bidirectional(one, other, merge=merge)


def cell(name, D=3, seed=0):
    return randomised(name, seed, D=D, H=5, dtype="float32")


def linear(D, K=2):
    layer = mr.Linear(D, K, rng=0, dtype="float32")
    layer.params["b"][...] = np.linspace(0.5, -0.25, K)
    return layer


def learned(model):
    layer = mr.LearnedState(model)
    for p in layer.initial.values():
        p[...] = np.linspace(-1, 1, 5)
    return layer


EMBEDDING = mr.Embedding(7, 3, rng=0, dtype="float32")
TWICE = cell("GRU after")
NORM = randomised("LayerNorm", D=3, dtype="float32")
MODELS = {
    "RNN": cell("RNN"),
    "RNN relu": cell("RNN relu"),
    "LSTM": cell("LSTM"),
    "LSTM peephole": cell("LSTM peephole"),
    "GRU after": cell("GRU after"),
    "GRU before": cell("GRU before"),
    "bidirectional LSTM": both(),
    "bidirectional GRU, sum": both("GRU after", "sum"),
    "bidirectional GRU before, mean": both("GRU before", "mean"),
    "bidirectional of a stack": mr.Bidirectional(
        mr.Sequential(cell("RNN"), linear(5)), mr.Sequential(cell("LSTM"), linear(5))
    ),
    "deep bidirectional": mr.Sequential(both(), both("GRU before", D=10), linear(10)),
    "deep": mr.Sequential(cell("LSTM"), cell("GRU after", 5), cell("RNN", 5), linear(5)),
    "one answer": mr.Sequential(cell("LSTM"), mr.Last(), linear(5)),
    "one answer of both": mr.Sequential(both(), mr.Last(both=True), linear(10)),
    "tokens": mr.Sequential(EMBEDDING, mr.Dropout(0.5), cell("GRU before"), linear(5)),
    "tied tokens": mr.Sequential(EMBEDDING, cell("LSTM"), linear(5, 3), mr.Unembedding(EMBEDDING)),
    "one direction twice": mr.Bidirectional(TWICE, TWICE),
    "dropout only": mr.Dropout(0.5),
    "checkpointed": mr.Checkpoint(mr.Sequential(cell("LSTM"), linear(5)), 2),
    "dropout first": mr.Sequential(mr.Dropout(0.5), cell("LSTM")),
    "features first": mr.Sequential(linear(3), mr.Activation("relu"), cell("LSTM", 2)),
    "recurrent dropout": mr.Sequential(mr.RecurrentDropout(cell("LSTM"), 0.5), linear(5)),
    "learned state": learned(cell("LSTM")),
    "learned states of tokens": mr.Sequential(
        EMBEDDING, learned(mr.Sequential(both(), linear(10)))
    ),
    "learned, then deep": mr.Checkpoint(mr.Sequential(learned(cell("GRU before")), linear(5)), 2),
    "normalised": mr.Sequential(NORM, cell("LSTM"), mr.Last(), mr.LayerNorm(5, dtype="float32")),
    "probabilities": mr.Sequential(cell("GRU after"), linear(5, 4), mr.Activation("softmax")),
    "their logarithms": mr.Sequential(
        cell("LSTM"), mr.Last(), linear(5, 4), mr.Activation("log_softmax")
    ),
    "squashed": mr.Sequential(cell("RNN"), linear(5), mr.Activation("sigmoid")),
}


STATES = [
    "LSTM",
    "LSTM peephole",
    "GRU before",
    "deep",
    "bidirectional LSTM",
    "tokens",
    "checkpointed",
    "recurrent dropout",
    "learned state",
    "learned states of tokens",
]


def inputs(name, T=6, B=4, seed=0):
    rng = np.random.default_rng(seed)
    if "tokens" in name:
        return rng.integers(7, size=(T, B))
    return rng.normal(size=(T, B, 3)).astype(np.float32)


def session(model, tmp_path, **options):
    to_onnx(model, tmp_path / "model.onnx", **options)
    return runtime.InferenceSession(
        str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"]
    )


@pytest.mark.parametrize("name", MODELS)
def test_whole_sequences_of_any_size(name, tmp_path):
    run = session(MODELS[name], tmp_path)
    for T, B in ((6, 4), (1, 1), (17, 3)):
        x = inputs(name, T, B)
        (found,) = run.run(["y"], {"x": x})
        np.testing.assert_allclose(found, MODELS[name].forward(x)[0], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_sequences_of_different_lengths(name, tmp_path):
    run, lengths = session(MODELS[name], tmp_path, lengths=True), np.array([6, 2, 1, 5])
    x = inputs(name)
    past = np.arange(6)[:, None] >= lengths
    x[past] = 6 if "tokens" in name else 100.0  # no matter what stands there
    (found,) = run.run(["y"], {"x": x, "lengths": lengths.astype(np.int32)})
    expected = MODELS[name].forward(x, lengths=lengths)[0]
    np.testing.assert_allclose(found, expected, atol=2e-6, rtol=1e-5)
    if expected.ndim == 3:
        assert not found[past].any()


def test_what_stands_past_the_end_may_be_no_token_and_no_number(tmp_path):
    for name, rubbish in (("tokens", 10**6), ("LSTM", np.nan)):
        x, lengths = inputs(name), np.array([6, 2, 1, 5])
        x[np.arange(6)[:, None] >= lengths] = rubbish
        run = session(MODELS[name], tmp_path, lengths=True)
        (found,) = run.run(["y"], {"x": x, "lengths": lengths.astype(np.int32)})
        expected = MODELS[name].forward(x, lengths=lengths)[0]
        np.testing.assert_allclose(found, expected, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("lengths", [None, [6, 0, 1, 5], [0, 0, 0, 0]])
def test_states_go_in_and_come_out(name, lengths, tmp_path):
    model, x = MODELS[name], inputs(name)
    _, final, _ = model.forward(x)
    y, last, _ = model.forward(x, final, lengths)
    run = session(model, tmp_path, states=True, lengths=lengths is not None)
    given = {"x": x} | {f"{key}_in": a for key, a in named_leaves(model, final)}
    if lengths is not None:
        given["lengths"] = np.array(lengths, np.int32)
    assert {i.name for i in run.get_inputs()} == given.keys()
    wanted = [f"{key}_out" for key, _ in named_leaves(model, last)]
    found, *states = run.run(["y", *wanted], given)
    np.testing.assert_allclose(found, y, atol=2e-6, rtol=1e-5)
    for a, b in zip(states, arrays(last), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6, rtol=1e-5)


def test_what_forward_refuses_is_refused_there(tmp_path):
    runtime.set_default_logger_severity(4)
    x, lengths = inputs("LSTM", 6, 2), np.array([6, 2], np.int32)
    for name, given in [
        ("tokens", {"x": np.full((6, 2), -1)}),
        ("tokens", {"x": np.full((6, 2), 7)}),
        ("tokens", {"x": np.zeros((0, 2), int)}),
        ("GRU after", {"x": x[:0]}),
        ("LSTM", {"x": x[:, :0]}),
        ("LSTM", {"x": x[..., :2]}),
        ("dropout first", {"x": x[..., :2]}),
        ("features first", {"x": x, "lengths": lengths[:1]}),
        ("dropout only", {"x": x, "lengths": lengths[:1]}),
        ("dropout only", {"x": x, "lengths": lengths + 1}),
        ("dropout only", {"x": x, "lengths": lengths - 3}),
        ("one answer", {"x": x, "lengths": lengths - 2}),
    ]:
        with pytest.raises((TypeError, ValueError)):
            MODELS[name].forward(given["x"], lengths=given.get("lengths"))
        run = session(MODELS[name], tmp_path, lengths="lengths" in given)
        with pytest.raises(Exception, match=r"Invalid|INVALID|Got invalid|indices|FAIL"):
            run.run(["y"], given)


def test_numbers_too_large_for_float32_are_refused_by_name(tmp_path):
    layer = mr.Linear(3, 2, rng=0)
    layer.params["W"][1, 1] = 1e300
    words = (
        r"layer 1, Linear\(3, 2\): params\['W'\]: expected .* in float32, got 1e\+300 at \(1, 1\)"
    )
    with pytest.raises(ValueError, match=words):
        to_onnx(mr.Sequential(mr.Dropout(0.5), layer), tmp_path / "model.onnx")


def test_an_array_that_is_used_twice_is_written_once(tmp_path):
    layer = mr.RNN(30, 30, rng=0, dtype="float32")
    words = mr.Embedding(90, 30, rng=0, dtype="float32")
    for models, more in [
        ((layer, mr.Sequential(layer, layer)), 0),
        ((words, mr.Sequential(words, mr.Unembedding(words))), 90 * 4),  # the bias
    ]:
        sizes = []
        for model in models:
            to_onnx(model, tmp_path / "model.onnx")
            sizes.append(os.path.getsize(tmp_path / "model.onnx"))
        assert sizes[1] - sizes[0] < more + 900  # the names of some operators


def test_what_cannot_be_written_is_named_and_leaves_the_old_file(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"old")
    sequence = mr.Sequential(EMBEDDING, cell("LSTM"))
    for model, words in [
        (mr.Sequential(cell("LSTM"), mr.CausalConv(5, 2, 2, dtype="float32")), "CausalConv"),
        (mr.Sequential(both(), mr.AttentionPool(10, 2, dtype="float32")), "AttentionPool"),
        (mr.LSTMVariant(3, 5, "NIG"), "LSTMVariant"),
        (mr.ProjectedLSTM(3, 5, 2, dtype="float32"), "ProjectedLSTM"),
        (mr.Sequential(mr.Zoneout(cell("LSTM"), 0.1)), "Zoneout"),
        (mr.Seq2Seq(sequence, EMBEDDING, cell("LSTM"), linear(5, 7)), "Seq2Seq"),
    ]:
        with pytest.raises(TypeError, match=f"model: expected .* got {words}$"):
            to_onnx(model, file)
    assert file.read_bytes() == b"old"
    with pytest.raises(TypeError, match="path: expected the name of a file, got None"):
        to_onnx(cell("LSTM"), None)
