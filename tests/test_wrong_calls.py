"""Every layer of the catalogue, every wrong call: an error that names the argument; every odd but
right one: the same answer. test_checks.py has single cases with their words.
"""

import functools
import itertools
import re
import warnings

import numpy as np
import pytest
from cases import LAYERS, arrays, flatten, randomised, tree

import minirnn as mr
from minirnn.checking.catalogue import example
from minirnn.datasets import batches

T, B, D, H = 4, 3, 2, 3
ACTIVATIONS = ("Activation", "Activation softmax", "Activation log_softmax")
ANY_WIDTH = (*ACTIVATIONS, "Dropout", "Dropout per sequence", "Last")
ANY_DTYPE = (*ACTIVATIONS, "Dropout", "Dropout per sequence")  # they compute in that of x
ANY_RANK = ("Linear", "LayerNorm", "Embedding", *ANY_DTYPE)
QUERIES = ("LuongAttention", "BahdanauAttention")  # lengths are those of the memory, not of x
NAMES = sorted(LAYERS)


@functools.cache
def made(name):
    """A layer and arguments for ``forward``."""
    return randomised(name), *example(name, 1, T, B, D, H, ragged=True)


@functools.cache
def ran(name):
    """What ``forward`` gives."""
    layer, x, state, lengths = made(name)
    return layer.forward(x, state, lengths)


# What is wrong with an array, and what it makes of a right one.
WRONG_ARRAY = {
    "text": lambda a: np.full(a.shape, "a"),
    "objects": lambda a: a.astype(object),
    "complex": lambda a: a + 1j,
    "dates": lambda a: np.full(a.shape, "2020-01-01", "datetime64[D]"),
    "nothing": lambda a: None,
    "a dictionary": lambda a: {"x": a},
    "an axis more": lambda a: a[None],
    "a number": lambda a: a.ravel()[0],
    "no rows": lambda a: a[:, :0],
    "no steps": lambda a: a[:0],
    "wider": lambda a: np.concatenate([a, a], axis=-1),
    "ragged": lambda a: [list(a[0]), list(a[0])[:1]],
}
WRONG_LENGTHS = {
    "negative": [-1, 2, 2],
    "too long": [T + 1, 2, 2],
    "fractions": [1.5, 2, 2],
    "not finite": [np.nan, 2, 2],
    "too few": [2, 2],
    "too many": [2, 2, 2, 2],
    "a column": [[2], [2], [2]],
    "text": ["2", "2", "2"],
    "a number": 2,
    "objects": [None, 2, 2],
}


def refused(call, names, what):
    """The call raises an error that names an argument, and warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            call()
        except (ValueError, TypeError) as error:
            text = re.sub(r"^layer [\w.]+, \w+\(.*?\): ", "", str(error))  # the place in a model
        else:
            pytest.fail(f"{what}: taken")
    assert text.startswith(names), f"{what}: {text}"
    assert any(word in text for word in ("expected", "has no", "made by", "got")), text


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_x_is_refused(name):
    layer, x, state, lengths = made(name)
    parts = x if isinstance(x, tuple) else (x,)
    names = ("x", "source", "target", "lengths", "memory", "query", "outputs", "layer")
    for (what, spoil), k in itertools.product(WRONG_ARRAY.items(), range(len(parts))):
        if (what == "wider" and name in ANY_WIDTH) or (what == "a number" and name == "Embedding"):
            continue
        if what == "nothing" and name.startswith("OutputRNN ") and k == 1:
            continue  # without outputs it runs freely
        if parts[k].ndim == 2 and what in ("wider", "an axis more") and name != "Embedding":
            continue  # tokens: another batch, which is told below; an axis more may be a document's
        bad = (*parts[:k], spoil(parts[k]), *parts[k + 1 :])
        bad = bad if isinstance(x, tuple) else bad[0]
        refused(lambda: layer.forward(bad, state, lengths), names, what)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_lengths_are_refused(name):
    layer, x, state, lengths = made(name)
    for what, bad in WRONG_LENGTHS.items():
        bad = (bad, lengths[1]) if isinstance(lengths, tuple) else bad
        refused(lambda: layer.forward(x, state, bad), ("lengths",), what)


@pytest.mark.parametrize("name", NAMES)
def test_the_state_of_another_layer_is_refused(name):
    layer, x, _, lengths = made(name)

    def form(state):
        return tree(lambda a: a.shape, state)

    right, names = ran(name)[1], ("state", "layer", "lengths")  # lengths: of an attention's memory
    for other in NAMES:
        wrong = ran(other)[1]
        if name.startswith("Bidirectional") and other == "RecurrentDropout candidate":
            continue  # [h, None]: the second direction starts from zeros
        if wrong is not None and form(wrong) != form(right):
            refused(lambda: layer.forward(x, wrong, lengths), names, other)


@pytest.mark.parametrize("name", NAMES)
def test_the_cache_of_another_layer_is_refused(name):
    layer, (y, _, cache) = made(name)[0], ran(name)
    for other in NAMES:
        wrong = ran(other)[2]
        try:
            layer.backward(np.ones_like(y), wrong)
        except (ValueError, TypeError) as error:
            assert str(error).startswith(("cache", "layer", "dy")), f"{other}: {error}"
        else:  # only if there is nothing to tell them apart by
            assert type(layer) is type(made(other)[0]) and type(wrong) is type(cache), other


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_gradient_is_refused(name):
    layer, (y, _, cache) = made(name)[0], ran(name)
    for what, spoil in WRONG_ARRAY.items():
        if what != "nothing":
            refused(lambda: layer.backward(spoil(y), cache), ("dy", "dcontext"), what)


ODD = {
    "read-only": lambda a: _read_only(a.copy()),
    "another order": np.asfortranarray,
    "every other": lambda a: np.repeat(a, 2, axis=0)[::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "a list": lambda a: a.tolist(),
    "single precision": lambda a: a.astype(np.float32) if a.dtype.kind == "f" else a.astype("i2"),
    "other bytes": lambda a: a.astype(a.dtype.newbyteorder()),
}


def _read_only(a):
    a.flags.writeable = False
    return a


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_odd_arrays_give_the_same_answer(name, training):
    layer, x, state, lengths = made(name)
    # numbers that single precision holds
    x, state = (
        tree(lambda a: (a * 4).round() / 4 if a.dtype.kind == "f" else a, s) for s in (x, state)
    )
    options = {"lengths": lengths, "training": training, "rng": 3}
    y, final, cache = layer.forward(x, state, **options)
    dy = (y * 4).round() / 4
    expected = [y, final, *layer.backward(dy, cache)]
    for odd, change in ODD.items():
        if odd == "single precision" and name in ANY_DTYPE:
            continue
        there = [tree(change, s) for s in (x, state, dy)]
        before = [np.array(a) for a in flatten(there)]
        y, final, cache = layer.forward(there[0], there[1], **options)
        found = [y, final, *layer.backward(there[2], cache)]
        for a, b in zip(flatten(expected), flatten(found), strict=True):
            np.testing.assert_array_equal(a, b, odd)
        for a, b in zip(before, flatten(there), strict=True):
            np.testing.assert_array_equal(a, b, odd)


def takes_numbers(name):
    x = made(name)[1]
    return any(a.dtype.kind == "f" and a.ndim == 3 for a in (x if isinstance(x, tuple) else [x]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e308, -1e308])
@pytest.mark.parametrize(
    "name", [n for n in NAMES if n not in ANY_RANK and "Last" not in n and takes_numbers(n)]
)
def test_a_value_that_is_no_number_shows_where_it_counts_and_nowhere_else(name, value):
    layer, x, state, lengths = made(name)
    ends = lengths[0] if isinstance(lengths, tuple) else lengths
    y, final, _ = layer.forward(x, state, lengths, rng=0)
    for t, b in itertools.product(range(T), range(B)):
        parts = [np.array(a) for a in (x if isinstance(x, tuple) else (x,))]
        at = next(k for k, a in enumerate(parts) if a.dtype.kind == "f")
        parts[at][t % len(parts[at]), b] = value
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            bad, bad_final, _ = layer.forward(
                tuple(parts) if isinstance(x, tuple) else parts[0], state, lengths, rng=0
            )
        rows = [k for k in range(B) if k != b]
        if y.ndim == 3:  # the other sequences do not see it
            np.testing.assert_array_equal(bad[:, rows], y[:, rows])
        else:
            np.testing.assert_array_equal(bad[rows], y[rows])
        past_end = ends is not None and t >= ends[b] and name not in QUERIES
        if past_end and len(parts) == 1:
            for a, c in zip(flatten([bad, bad_final]), flatten([y, final]), strict=True):
                np.testing.assert_array_equal(a, c)
        elif np.isnan(value) and len(parts) == 1:
            shown = [bad, bad_final] if final is not None else [bad]
            assert any(np.isnan(a).any() for a in arrays(shown)), (t, b)


# ---- All else that is public: one right call each, in which one argument is replaced ------------

Y, LOGITS, TOKENS = np.ones((T, B, 1)), np.ones((T, B, 5)), np.ones((T, B), int)
X3 = np.random.default_rng(0).normal(size=(T, B, D))
REAL = mr.Sequential(mr.LSTM(D, H, rng=0), mr.Linear(H, 1, rng=0))
WORDS = mr.Sequential(mr.Embedding(5, H, rng=0), mr.GRU(H, 4, rng=0), mr.Linear(4, 5, rng=0))
PAIR = mr.Seq2Seq(
    mr.Sequential(mr.Embedding(5, H, rng=0), mr.LSTM(H, 4, rng=0)), mr.Embedding(5, H, rng=0),
    mr.LSTM(H, 4, rng=0), mr.Linear(4, 5, rng=0),
)  # fmt: skip
ONES = {"a": np.ones(3)}
MASK = np.ones((T, B), bool)
CALLS = {
    "mse": (mr.mse, {"y": Y, "target": Y, "mask": MASK}),
    "binary": (mr.binary_cross_entropy, {"logits": Y, "target": Y, "mask": MASK}),
    "softmax": (mr.softmax_cross_entropy, {"logits": LOGITS, "target": TOKENS, "mask": MASK}),
    "gaussian": (mr.gaussian_nll, {"y": LOGITS[..., :2], "target": Y, "mask": MASK}),
    "quantile": (
        mr.quantile_loss,
        {"y": LOGITS[..., :2], "target": Y, "mask": MASK, "quantiles": (0.1, 0.5)},
    ),
    "interval": (mr.gaussian_interval, {"y": LOGITS[..., :2], "coverage": 0.9}),
    "class_weights": (mr.class_weights, {"target": TOKENS, "classes": 2}),
    "ctc": (mr.ctc, {"logits": LOGITS, "target": TOKENS[:1], "mask": MASK, "blank": 4}),
    "accuracy": (mr.metrics.accuracy, {"y": LOGITS, "target": TOKENS, "mask": MASK}),
    "f1": (mr.metrics.f1, {"y": TOKENS, "target": TOKENS, "mask": MASK, "lengths": [4, 3, 2]}),
    "perplexity": (mr.metrics.perplexity, {"logits": LOGITS, "target": TOKENS, "lengths": None}),
    "rmse": (mr.metrics.rmse, {"y": Y, "target": Y, "mask": MASK, "lengths": [4, 3, 2]}),
    "coverage": (mr.metrics.coverage, {"low": Y, "high": Y, "target": Y, "mask": MASK}),
    "binary_accuracy": (mr.metrics.binary_accuracy, {"logits": Y, "target": Y}),
    "by_class": (mr.metrics.by_class, {"matrix": [[1, 2], [3, 4]]}),
    "confusion_matrix": (
        mr.metrics.confusion_matrix, {"y": TOKENS, "target": TOKENS, "classes": 5},
    ),
    "shuffled": (
        lambda **k: list(batches.shuffled(**k)),
        {"x": X3, "target": Y, "batch_size": 2, "rng": 0, "stepwise": True, "lengths": [4, 3, 2],
         "mask": MASK},
    ),
    "buckets": (
        batches.buckets,
        {"sequences": [[1, 2], [3]], "targets": [1, 2], "batch_size": 2, "rng": 0,
         "stepwise": False, "masks": [1, 0.5]},
    ),
    "bptt": (
        lambda **k: mr.bptt(REAL, mr.mse, **k),
        {"x": X3, "target": Y, "state": None, "lengths": [4, 3, 2], "mask": None},
    ),
    "truncated_bptt": (
        lambda **k: list(mr.truncated_bptt(REAL, mr.mse, **k)),
        {"x": X3, "target": Y, "k1": 2, "k2": 3, "state": None, "lengths": [4, 3, 2], "mask": None},
    ),
    "rtrl": (
        lambda **k: list(mr.rtrl(REAL, mr.mse, **k)), {"x": X3, "target": Y, "state": None},
    ),
    "fit": (
        lambda **k: mr.fit(REAL, k.pop("loss_fn"), k.pop("data"), k.pop("optimizer"), 1, **k),
        {"loss_fn": mr.mse, "data": (X3, Y), "optimizer": mr.SGD(1e-9), "validation": (X3, Y),
         "patience": 1, "schedule": mr.step_decay(1e-9, 2), "max_norm": 1.0, "rng": 0,
         "metrics": {"rmse": mr.metrics.rmse}, "on_epoch": lambda history: None},
    ),
    "SGD": (mr.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    "Adam": (mr.Adam, {"lr": 0.1, "beta1": 0.9, "beta2": 0.9, "eps": 0.1, "weight_decay": 0.1}),
    "RMSProp": (mr.RMSProp, {"lr": 0.1, "decay": 0.9, "eps": 1e-8}),
    "Adagrad": (mr.Adagrad, {"lr": 0.1, "eps": 1e-8}),
    "step": (mr.Adam().step, {"params": ONES, "grads": ONES}),
    "cosine": (mr.cosine, {"lr": 0.1, "epochs": 5, "warmup": 1}),
    "step_decay": (mr.step_decay, {"lr": 0.1, "every": 5, "factor": 0.1}),
    "clip_grad_norm": (mr.clip_grad_norm, {"grads": ONES, "max_norm": 1.0}),
    "clip_grad_value": (mr.clip_grad_value, {"grads": ONES, "limit": 1.0}),
    "gradcheck": (
        mr.gradcheck,
        {"layer": mr.RNN(D, H, rng=0), "x": X3, "state": None, "lengths": None,
         "method": "directional", "tol": 1e-7, "rng": 0},
    ),
    "sample": (
        lambda **k: next(mr.sample(WORDS, **k)),
        {"prompt": [1, 2], "temperature": 1.0, "top_k": 2, "state": None, "rng": 0},
    ),
    "predict": (
        mr.predict,
        {"model": REAL, "x": X3, "lengths": [4, 3, 2], "batch_size": 2},
    ),
    "decode": (
        lambda **k: mr.decode(PAIR, **k), {"source": TOKENS, "start": 1, "end": 2, "max_length": 3},
    ),
    "trace": (
        lambda **k: mr.trace(REAL, **k),
        {"x": X3, "loss_fn": mr.mse, "target": Y, "state": None, "lengths": [4, 2, 1]},
    ),
    "save": (mr.save, {"model": REAL, "path": None}),
    "load": (mr.load, {"path": None}),
    "set_num_threads": (mr.set_num_threads, {"n": 2}),
    "LSTM": (mr.LSTM, {"input_size": 2, "hidden_size": 3, "forget_bias": 1.0, "rng": 0}),
    "Bidirectional": (
        mr.Bidirectional,
        {"forward_layer": mr.RNN(2, 3), "backward_layer": mr.RNN(2, 3), "merge": "sum"},
    ),
    "Dropout": (mr.Dropout, {"p": 0.5}),
    "Embedding": (mr.Embedding, {"num_embeddings": 5, "embedding_dim": 3}),
    "Checkpoint": (mr.Checkpoint, {"model": mr.RNN(2, 3), "every": 2}),
}  # fmt: skip
ODDITIES = [
    None, "x", -1, 0, 1.5, np.nan, np.inf, object(), [], {}, (), np.zeros(0), np.ones((2, 2, 2, 2)),
    np.array(["a"]), np.array(np.nan), True, 1j, [[1], [1, 2]], b"x",
]  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_any_odd_argument_is_taken_or_refused_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, right = CALLS[name]
    if "path" in right:
        right = right | {"path": tmp_path / "m.npz"}
        mr.save(REAL, right["path"])
    threads = mr.get_num_threads()
    function(**right)
    for argument in right:
        for odd in ODDITIES:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    function(**right | {argument: odd})
                except (ValueError, TypeError, FloatingPointError, OSError) as error:
                    head, colon, _ = str(error).partition(":")
                    assert colon and len(head) < 60, f"{argument} = {odd!r}: {error}"
                mr.set_num_threads(threads)
