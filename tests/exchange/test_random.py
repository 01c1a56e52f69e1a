"""Random models: what is exported computes the same there, and is refused where it cannot."""

import numpy as np
import pytest
from cases import arrays
from hypothesis import given, settings
from hypothesis import strategies as st

import minirnn as mr
from minirnn import exchange
from minirnn.exchange import onnx
from minirnn.protocol import map_tree, named_leaves

KINDS = {
    "RNN": (mr.RNN, {}),
    "RNN relu": (mr.RNN, {"nonlinearity": "relu"}),
    "LSTM": (mr.LSTM, {}),
    "LSTM peephole": (mr.LSTM, {"peephole": True}),
    "ProjectedLSTM": (lambda D, H, **o: mr.ProjectedLSTM(D, H + 2, H, **o), {}),
    "GRU": (mr.GRU, {}),
    "GRU before": (mr.GRU, {"reset": "before"}),
}


def cell(kind, D, H, dtype="float64"):
    make, options = KINDS[kind]
    return make(D, H, rng=0, dtype=dtype, **options)


def with_random_numbers(layer, seed):
    rng = np.random.default_rng(seed)
    for p in layer.params.values():
        p[...] = 0.7 * rng.normal(size=p.shape)
    return layer


# ---- PyTorch ------------------------------------------------------------------------------------

LEVEL = st.tuples(
    st.sampled_from([*KINDS]), st.integers(1, 3), st.sampled_from(["", "concat", "sum"])
)


@st.composite
def stacks(draw):
    """Levels of one kind, or now and then another; sometimes with a Dropout between two of them."""
    first = draw(LEVEL)
    levels = [first, *draw(st.lists(st.one_of(st.just(first), st.just(first), LEVEL), max_size=2))]
    return levels, draw(st.integers(0, 9)), draw(st.sampled_from([np.float32, np.float64]))


def stack_of(levels, dropout_at, D, dtype):
    layers = []
    for kind, H, merge in levels:
        layers.append(cell(kind, D, H, dtype))
        if merge:
            layers[-1] = mr.Bidirectional(layers[-1], cell(kind, D, H, dtype), merge)
        D = 2 * H if merge == "concat" else H
    if 0 < dropout_at < len(layers):
        layers.insert(dropout_at, mr.Dropout(0.5))
    return mr.Sequential(*layers)


def is_a_torch_module(levels, dropout_at):
    kind, _, merge = levels[0]
    known = kind not in ("LSTM peephole", "GRU before") and merge != "sum"
    return known and len(set(levels)) == 1 and not 0 < dropout_at < len(levels)


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")  # slow in float32
@settings(max_examples=30)
@given(stacks(), st.integers(0, 999))
def test_a_stack_computes_the_same_in_torch_or_is_refused(drawn, seed):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'bench')")
    levels, dropout_at, dtype = drawn
    model = with_random_numbers(stack_of(levels, dropout_at, 2, dtype), seed)
    if not is_a_torch_module(levels, dropout_at):
        with pytest.raises(TypeError, match="expected"):
            exchange.to_torch(model)
        return
    kind, H, merge = levels[0]
    options = {"nonlinearity": "relu"} if kind == "RNN relu" else {}
    kind, more = kind.split()[0], dict(options)
    if kind == "ProjectedLSTM":
        kind, H, more = "LSTM", H + 2, {"proj_size": H}
    weights = exchange.to_torch(model)
    module = getattr(torch.nn, kind)(2, H, len(levels), bidirectional=bool(merge), **more)
    module.to(torch.float32 if dtype == np.float32 else torch.float64)
    module.load_state_dict({name: torch.tensor(a) for name, a in weights.items()})
    x = np.random.default_rng(seed).normal(size=(4, 3, 2)).astype(dtype)
    y, state, _ = model.forward(x)
    found, last = module(torch.tensor(x))
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(found.detach().numpy(), y, rtol=tolerance, atol=tolerance)
    h_and_c = last if isinstance(last, tuple) else (last,)
    ours = arrays(state)
    for k, theirs in enumerate(h_and_c):
        stacked = np.stack(ours[k :: len(h_and_c)])
        np.testing.assert_allclose(theirs.detach().numpy(), stacked, rtol=tolerance, atol=tolerance)
    back = exchange.from_torch(weights, kind, **options)
    same = zip(back.params.values(), model.params.values(), strict=True)
    assert all(p.dtype == q.dtype and np.array_equal(p, q) for p, q in same)
    assert np.array_equal(back.forward(x)[0], y)


WRONG = {
    "a column": lambda a: a[..., :1],
    "a row": lambda a: a[:1],
    "an axis more": lambda a: a[None],
    "an axis less": lambda a: a[0],
    "one number more": lambda a: np.concatenate([a, a[:1]]),
    "another dtype": lambda a: a.astype(np.float32),
    "whole numbers": lambda a: a.astype(int),
    "not finite": lambda a: a * np.nan,
}


@given(st.data(), st.sampled_from(["RNN", "LSTM", "GRU"]), st.booleans())
def test_one_wrong_array_is_found_wherever_it_is(data, kind, both):
    def level(D):
        made = cell(kind, D, 3)
        return mr.Bidirectional(made, cell(kind, D, 3)) if both else made

    weights = exchange.to_torch(mr.Sequential(level(2), level(6 if both else 3)))
    # The input size of the first layer may be any, so that any number of columns is right there.
    name = data.draw(st.sampled_from([name for name in weights if name != "weight_ih_l0"]))
    weights[name] = WRONG[data.draw(st.sampled_from([*WRONG]))](weights[name])
    with pytest.raises(
        (TypeError, ValueError), match=r"state_dict: \w+ of kind .*: expected .* got"
    ):
        exchange.from_torch(weights, kind)


# ---- ONNX ---------------------------------------------------------------------------------------


@st.composite
def models(draw, D, K, depth, streams=False):
    """A layer from D features to K at each step. streams: one that can be run in pieces."""
    dtype = "float32"
    kinds = [*(k for k in KINDS if k != "ProjectedLSTM"), "Linear"]  # ONNX has no projection
    kinds += ["Activation", "LayerNorm", "Dropout"] if D == K else []
    if depth:
        kinds = ["Sequential", "Sequential", "Checkpoint", *([] if streams else ["sum", "concat"])]
    kind = draw(st.sampled_from(kinds))
    if kind in KINDS:
        return cell(kind, D, K, dtype)
    if kind == "Linear":
        return mr.Linear(D, K, rng=0, dtype=dtype)
    if kind == "Activation":
        return mr.Activation(draw(st.sampled_from(list(onnx.ACTIVATIONS))))
    if kind == "LayerNorm":
        return mr.LayerNorm(D, 0.1, dtype=dtype)
    if kind == "Dropout":
        return mr.Dropout(0.5)
    if kind == "Checkpoint":
        return mr.Checkpoint(draw(models(D, K, depth - 1, True)), draw(st.integers(1, 3)))
    below = depth - draw(st.integers(1, depth))
    if kind == "Sequential":
        M = draw(st.integers(1, 3))
        return mr.Sequential(
            draw(models(D, M, depth - 1, streams)), draw(models(M, K, below, streams))
        )
    H = K // 2 if kind == "concat" and K % 2 == 0 else K
    merge = "concat" if H < K else draw(st.sampled_from(["sum", "mean"]))
    return mr.Bidirectional(draw(models(D, H, depth - 1)), draw(models(D, H, below)), merge)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(tmp_path_factory.mktemp("onnx") / "model.onnx")


@settings(max_examples=30)
@given(st.data())
def test_a_model_computes_the_same_in_the_runtime(path, data):
    pytest.importorskip("onnx", reason="onnx is not installed (extra 'exchange')")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    draw, rng = data.draw, np.random.default_rng(0)
    T, B, D, K = (draw(st.integers(1, n)) for n in (5, 3, 3, 4))
    tokens, one_answer = draw(st.booleans()), draw(st.booleans())
    first = mr.Embedding(5, D, dtype="float32") if tokens else mr.Linear(D, D, dtype="float32")
    layers = [first, draw(models(D, K, draw(st.integers(0, 3))))]
    if one_answer:
        layers += [
            mr.Last(both=K % 2 == 0 and draw(st.booleans())),
            mr.Linear(K, 2, dtype="float32"),
        ]
    elif tokens and draw(st.booleans()):
        layers += [mr.Linear(K, D, dtype="float32"), mr.Unembedding(first)]
    model = with_random_numbers(mr.Sequential(*layers), 0)
    x = rng.integers(5, size=(T, B)) if tokens else rng.normal(size=(T, B, D)).astype(np.float32)
    ends = st.lists(st.integers(int(one_answer), T), min_size=B, max_size=B)
    lengths = draw(st.one_of(st.none(), ends))
    _, state, _ = model.forward(x)
    state = map_tree(lambda a: rng.normal(size=a.shape).astype(np.float32), state)
    y, last, _ = model.forward(x, state, lengths)

    exchange.to_onnx(model, path, lengths=lengths is not None, states=True)
    run = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    given = {"x": x} | {f"{name}_in": a for name, a in named_leaves(model, state)}
    if lengths is not None:
        given["lengths"] = np.array(lengths, np.int32)
    expected = {"y": y} | {f"{name}_out": a for name, a in named_leaves(model, last)}
    for found, a in zip(run.run([*expected], given), expected.values(), strict=True):
        np.testing.assert_allclose(found, a, rtol=1e-4, atol=1e-5)
