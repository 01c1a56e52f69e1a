"""An initial state that is a parameter: where it is used, its gradient, and where it is refused."""

import numpy as np
import pytest
from cases import flatten, same

import minirnn as mr

RNG = np.random.default_rng(0)
X, TARGET = RNG.normal(size=(5, 3, 2)), RNG.normal(size=(5, 3, 2))
H_0, C_0 = [0.3, -0.2, 0.5], [1.0, 0.0, -1.0]


def learned_lstm():
    layer = mr.LearnedState(mr.LSTM(2, 3, rng=0))
    layer.params["layer.h_0"][...], layer.params["layer.c_0"][...] = H_0, C_0
    return layer


def deep():
    """Two cells with a mask in between, and something after them."""
    inner = mr.Sequential(mr.GRU(2, 3, rng=1), mr.Dropout(0.5, True), mr.LSTM(3, 2, rng=2))
    model = mr.Sequential(mr.LearnedState(inner), mr.Linear(2, 2, rng=3))
    for name, p in model.params.items():
        if name.endswith("_0"):
            p[...] = RNG.normal(size=p.shape)
    return model


def test_each_sequence_starts_from_the_same_state_and_its_gradient_is_the_sum():
    layer, cell = learned_lstm(), mr.LSTM(2, 3, rng=0)
    start = np.tile(H_0, (3, 1)), np.tile(C_0, (3, 1))
    y, (final,), cache = layer.forward(X)
    expected, last, cell_cache = cell.forward(X, start)
    same((y, final), (expected, last), 0)
    same(layer.zero_state(3), [start], 0)
    dx, (dstate,), grads = layer.backward(TARGET[..., :1] * y, cache)
    dx_cell, ds, _ = cell.backward(TARGET[..., :1] * y, cell_cache)
    same((dx, dstate), (dx_cell, ds), 0)
    same((grads["layer.h_0"], grads["layer.c_0"]), [d.sum(axis=0) for d in ds])
    assert list(grads) == list(layer.params)


def test_a_state_that_is_given_wins_layer_by_layer():
    model = deep().layers[0]
    h = np.ones((3, 3))
    y, _, cache = model.forward(X, [[h, None, None]])
    c_2 = [np.tile(model.params[f"layer.2.{name}_0"], (3, 1)) for name in "hc"]
    same(y, model.parts["layer"].forward(X, [h, None, tuple(c_2)])[0], 0)
    _, dstate, grads = model.backward(y, cache)
    assert not grads["layer.0.h_0"].any() and flatten(dstate)[0].any()
    assert grads["layer.2.h_0"].any() and grads["layer.2.c_0"].any()
    report = mr.gradcheck(model, X, [[h, None, None]], lengths=[5, 0, 2])
    assert report.ok, report
    report = mr.gradcheck(model, X, [[h, None, tuple(c_2)]])
    assert report.ok, report


@pytest.mark.parametrize("method", ["central", "complex"])
def test_the_gradient_check_starts_from_the_learned_state(method):
    report = mr.gradcheck(deep(), X, method=method)
    assert report.ok, report
    assert {f"d0.layer.{name}_0" for name in ("0.h", "2.h", "2.c")} <= {r.name for r in report.rows}
    layer = learned_lstm()
    backward = layer.backward

    def halved(*arguments):
        dx, dstate, grads = backward(*arguments)
        grads["layer.c_0"] /= 2
        return dx, dstate, grads

    layer.backward = halved
    report = mr.gradcheck(layer, X, method=method)
    assert report.verdict == "layer layer (LSTM), dc_0"
    words = "lengths: expected at least 1, since the initial state is learned"
    with pytest.raises(ValueError, match=words):
        mr.gradcheck(layer, X, lengths=[5, 0, 2], method="complex")


def test_a_sequence_that_is_empty_ends_where_it_begins():
    y, (final,), cache = learned_lstm().forward(X, lengths=[5, 0, 2])
    assert [s[1].tolist() for s in final] == [H_0, C_0]
    ones = np.zeros((3, 3))
    ones[1] = 1
    grads = learned_lstm().backward(None, cache, [(ones, 2 * ones)])[2]
    same((grads["layer.h_0"], grads["layer.c_0"]), (np.ones(3), 2 * np.ones(3)), 0)


def test_pieces_steps_and_forward_gradients_agree_with_the_whole_sequence():
    model = deep()
    loss, grads, _ = mr.bptt(model, mr.mse, X, TARGET, training=False)
    pieces = mr.Checkpoint(model, 2)
    other, by_pieces, _ = mr.bptt(pieces, mr.mse, X, TARGET, training=False)
    same((loss, list(grads.values())), (other, list(by_pieces.values())))
    ((other, block, _),) = mr.truncated_bptt(model, mr.mse, X, TARGET, 5, 5, training=False)
    same((loss, grads), (other, block))
    total = dict.fromkeys(grads, 0.0)
    for _, step, _ in mr.rtrl(model, mr.mse, X, TARGET):
        total = {name: total[name] + g / len(X) for name, g in step.items()}
    same(grads, total)
    state, ys = None, []
    for x in X:
        y, state = model.step(x, state)
        ys.append(y)
    same((np.array(ys), state), model.forward(X)[:2])


def test_windows_that_begin_at_the_first_step_train_the_state_and_later_ones_do_not():
    model, seen = deep(), []
    for _, grads, _ in mr.truncated_bptt(model, mr.mse, X, TARGET, 1, 2):
        seen.append(bool(grads["0.layer.0.h_0"].any()))
    assert seen == [True, True, False, False, False]


def test_trace_starts_from_the_learned_state():
    seen = mr.trace(mr.Sequential(learned_lstm()), X, mr.mse, RNG.normal(size=(5, 3, 3)))
    same(seen["0.layer.c"][-1], learned_lstm().forward(X)[1][0][1])
    assert seen["0.layer.dh"].any()


def test_a_model_learns_where_to_start():
    """The target is not zero before anything is read, and that cannot come from the input."""
    model = mr.LearnedState(mr.RNN(1, 1, rng=0))
    x, target = np.zeros((1, 4, 1)), np.full((1, 4, 1), 0.5)
    for name in ("layer.W_x", "layer.b"):
        model.params[name].flags.writeable = False
    optimizer, h_0 = mr.Adam(0.1), {"h_0": model.params["layer.h_0"]}
    for _ in range(60):
        loss, grads, _ = mr.bptt(model, mr.mse, x, target)
        optimizer.step(h_0, {"h_0": grads["layer.h_0"]})
    assert loss < 1e-3


def test_the_encoder_of_a_translator_may_learn_its_state_and_the_decoder_may_not():
    def translator(encoder, decoder):
        return mr.Seq2Seq(encoder, mr.Embedding(5, 2, rng=0), decoder, mr.Linear(3, 5, rng=0))

    model = translator(mr.LearnedState(mr.GRU(2, 3, rng=0)), mr.GRU(2, 3, rng=1))
    report = mr.gradcheck(model, (X, RNG.integers(0, 5, (4, 3))))
    assert report.ok and "dencoder.layer.h_0" in {row.name for row in report.rows}
    assert mr.decode(model, X, 0, 1, 3).tokens.shape == (3, 3)
    with pytest.raises(ValueError, match=r"layer decoder, .*: state: expected one that is not lea"):
        translator(mr.GRU(2, 3), mr.Sequential(mr.LearnedState(mr.GRU(2, 3))))


def test_one_layer_at_two_places_has_one_state_and_two_layers_of_one_cell_have_two():
    layer, cell = mr.LearnedState(mr.GRU(2, 2, rng=0)), mr.GRU(2, 2, rng=0)
    both = mr.LearnedState(cell), mr.LearnedState(cell)
    for model, n in ((mr.Bidirectional(layer, layer), 1), (mr.Bidirectional(*both), 2)):
        assert len([name for name in model.params if name.endswith("h_0")]) == n
        report = mr.gradcheck(model, X)
        assert report.ok, report


REFUSED = {
    "no state": (
        lambda: mr.LearnedState(mr.Linear(2, 3)),
        TypeError, r"layer: expected a recurrent one, with zero_state, got Linear\(2, 3\)",
    ),
    "no state in a model": (
        lambda: mr.LearnedState(mr.Sequential(mr.Linear(2, 3), mr.Dropout(0.5, True))),
        TypeError, "layer: expected a recurrent one, with zero_state, got Sequential",
    ),
    "a model that takes no state": (
        lambda: mr.LearnedState(
            mr.Hierarchical(mr.Sequential(mr.GRU(2, 3), mr.Last()), mr.GRU(3, 2))
        ),
        TypeError, "layer: expected a recurrent one, with zero_state, got Hierarchical",
    ),
    "twice": (
        lambda: mr.LearnedState(mr.Sequential(mr.Linear(2, 2), learned_lstm())),
        ValueError, "layer: expected one that does not learn its initial state already, got Seq",
    ),
    "no layer": (
        lambda: mr.LearnedState(3), TypeError, "layer layer: expected one with forward and backw",
    ),
    "x without sequences": (
        lambda: learned_lstm().forward(np.ones(2)),
        ValueError, r"x: expected a sequence \(T, B, ...\), got shape \(2,\)",
    ),
    "x of another size": (
        lambda: learned_lstm().forward(np.ones((5, 3, 4))),
        ValueError, r"layer layer, LSTM\(2, 3\): x: expected shape \(T, B, 2\), got \(5, 3, 4\)",
    ),
    "the state of the cell": (
        lambda: learned_lstm().forward(X, np.ones((3, 3))),
        TypeError, "state: expected a list of 1, one entry a layer, got array",
    ),
    "a half of a state": (
        lambda: learned_lstm().forward(X, [(None, np.ones((3, 3)))]),
        TypeError, r"layer layer, LSTM\(2, 3\): state h: expected real numbers, got object",
    ),
    "a step of nothing": (
        lambda: learned_lstm().step(None),
        TypeError, "x: expected numbers, got object",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_right_is_refused_by_name(name):
    call, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        call()


def test_a_learned_state_of_another_shape_is_refused_by_name():
    layer = learned_lstm()
    layer.initial["c"] = np.ones(4)
    for call in (lambda: layer.forward(X), lambda: layer.zero_state(2), lambda: layer.step(X[0])):
        with pytest.raises(ValueError, match=r"params\['layer.c_0'\]: expected shape \(3,\), got"):
            call()


def test_the_table_lists_the_learned_states():
    assert (
        str(mr.Sequential(learned_lstm()))
        == """\
             Sequential      output     parameters
0            LearnedState()  (T, B, 3)
0.layer      LSTM(2, 3)      (T, B, 3)          72
0.layer.h_0                                      3
0.layer.c_0                                      3
             total                              78"""
    )
