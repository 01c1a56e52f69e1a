"""The three cells and what is made of them: properties that hold for every recurrent layer."""

import copy
import math
import sys
import threading
import tracemalloc

import numba
import numpy as np
import pytest
from cases import CELLS, RECURRENT, arrays, flatten, point, randomised, same, tree
from hypothesis import given
from hypothesis import strategies as st

import minirnn as mr
from minirnn.cells import textbook
from minirnn.checking.catalogue import LAYERS, example
from minirnn.engine import memory as _memory

shapes = st.tuples(*(st.integers(1, 5) for _ in range(4)))


def with_peepholes(params, x, state, variant):
    """The LSTM with peepholes, and its variants, by the sentences of Greff et al. (2017)."""
    h, c = state
    missing = {"NIG": "i", "NFG": "f", "NOG": "o", "CIFG": "f"}.get(variant)
    present = [gate for gate in "ifgo" if gate != missing]
    ys = []
    for x_t in x:
        sums = np.split(x_t @ params["W_x"] + h @ params["W_h"] + params["b"], len(present), axis=1)
        a = dict(zip(present, sums, strict=True))
        for gate in "if":
            if f"p_{gate}" in params:
                a[gate] = a[gate] + params[f"p_{gate}"] * c
        g = a["g"] if variant == "NIAF" else np.tanh(a["g"])
        i = textbook.sigmoid(a["i"]) if "i" in a else 1
        f = textbook.sigmoid(a["f"]) if "f" in a else (1 - i if variant == "CIFG" else 1)
        c = f * c + i * g
        if "p_o" in params:
            a["o"] = a["o"] + params["p_o"] * c
        o = textbook.sigmoid(a["o"]) if "o" in a else 1
        h = o * (c if variant == "NOAF" else np.tanh(c))
        ys.append(h)
    return np.array(ys), (h, c)


@pytest.mark.parametrize("name", [name for name in CELLS if name.startswith("LSTM ")])
@given(shape=shapes, seed=st.integers(0, 10**6))
def test_an_lstm_with_peepholes_or_without_a_part_is_what_the_paper_says(name, shape, seed):
    T, B, D, H = shape
    layer = randomised(name, seed, D, H)
    x, state, _, _ = point(layer, T, B, D, seed)
    y, final, _ = layer.forward(x, state)
    same((y, final), with_peepholes(layer.params, x, state, name.split()[1]))


@pytest.mark.parametrize("name", RECURRENT)
@given(shape=shapes, seed=st.integers(0, 10**6))
def test_forward_equals_a_loop_over_the_one_step_function(name, shape, seed):
    T, B, D, H = shape
    layer = randomised(name, seed, D, H)
    x, state, _, _ = point(layer, T, B, D, seed)
    y, final, _ = layer.forward(x, state)
    for t in range(T):
        y_t, state = layer.step(x[t], state)
        same(y[t], y_t)
    same(final, state)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("dtype, tol", [("float64", 1e-14), ("float32", 1e-6)])
@pytest.mark.parametrize("B, H", [(1, 3), (3, 20)])
def test_the_quick_step_equals_the_one_in_plain_numpy(name, dtype, tol, B, H):
    layer, taken = randomised(name, H=H, dtype=dtype), []
    quick_step = layer._quick_step
    if quick_step is not None:
        layer._quick_step = lambda *arguments: taken.append(True) or quick_step(*arguments)
    x, state, _, _ = point(layer, T=2, B=B)
    x, state = x.astype(dtype), tree(lambda s: s.astype(dtype), state)
    W_x = layer.params["W_x"].copy()
    for _ in range(2):  # the second time from a state that forward returned, which is read-only
        before = tree(np.copy, state)
        quick = layer.step(x[0], state)
        same(quick, layer.step(x[0], state, layer.params), tol)
        assert all(a.dtype == dtype for a in flatten(quick))
        same(before, state, 0)
        same(W_x, layer.params["W_x"], 0)
        _, state, _ = layer.forward(x, state)
    assert len(taken) == (0 if quick_step is None else 2)


@pytest.mark.parametrize("name", CELLS)
def test_a_copied_layer_steps_to_the_same_bits(name):
    layer = randomised(name, H=20, dtype="float32")
    x, state, _, _ = point(layer, T=1)
    x, state = x[0].astype("float32"), tree(lambda s: s.astype("float32"), state)
    twin = copy.deepcopy(layer)
    assert twin.dtype == layer.dtype  # though not the same object
    same(layer.step(x, state), twin.step(x, state), 0)


@pytest.mark.parametrize("name", CELLS)
def test_a_step_from_a_state_of_another_form_is_refused(name):
    layer = randomised(name)
    h, *rest = arrays(layer.zero_state(1))
    for wrong in ((h, *rest, h), (h,)):
        with pytest.raises((TypeError, ValueError), match="state"):
            layer.step(np.ones((1, 2)), wrong)


@pytest.mark.parametrize("name", CELLS)
def test_a_step_of_other_numbers_is_in_their_dtype(name):
    layer = randomised(name, dtype="float32")
    x, state, _, _ = point(layer, T=1)
    y, _ = layer.step(x[0], state)
    assert y.dtype == np.float64
    y32, first = layer.step(x[0].astype(np.float32))  # from no state
    assert y32.dtype == arrays(first)[0].dtype == np.float32
    turned, _ = layer.step(x[0] + 0j, state)
    assert turned.dtype == complex
    same(turned.real, y)


@pytest.mark.parametrize("name", CELLS)
def test_who_changes_the_output_of_a_step_does_not_change_the_state(name):
    y, state = randomised(name).step(np.ones((1, 2)))
    with pytest.raises(ValueError, match="read-only"):
        y *= 2
    same(y, arrays(state)[0], 0)


# ---- Without a cache ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("ragged", [False, True])
def test_without_a_cache_the_results_are_the_same_to_the_last_bit(name, ragged):
    layer = randomised(name)
    x, state, _, _ = point(layer)
    arguments = x, state, [3, 0, 4] if ragged and name in RECURRENT else None, False, 7
    y, final, _ = layer.forward(*arguments)
    with mr.no_cache():
        y_alone, final_alone, cache = layer.forward(*arguments)
    for a, b in zip(flatten((y, final)), flatten((y_alone, final_alone)), strict=True):
        assert np.array_equal(a, b)
    if name in CELLS:
        assert cache is None
        with pytest.raises(TypeError, match=r"cache: expected .* got None, as under no_cache"):
            layer.backward(y, cache)


@pytest.mark.parametrize("cell", [mr.LSTM, mr.GRU])
def test_without_a_cache_the_gates_of_a_few_steps_are_all_that_is_in_memory(cell, monkeypatch):
    monkeypatch.setattr(_memory, "SMALLEST", 1 << 60)  # what comes from a store is not counted
    monkeypatch.setattr(sys.modules[cell.__module__], "PIECE", 1 << 8)  # of a short sequence, too
    layer, x = cell(1, 20, rng=0), np.zeros((250, 2, 1))

    def peak():
        tracemalloc.start()
        layer.forward(x)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    layer.forward(x)
    with mr.no_cache():
        layer.forward(x)
        small = peak()
    y_size = 250 * 2 * 20 * 8
    assert small < 1.5 * y_size
    assert peak() > 4.5 * y_size


def test_no_cache_ends_with_its_block_also_after_an_error_and_in_its_thread():
    layer, x = mr.GRU(1, 2), np.zeros((3, 1, 1))
    seen = []
    with pytest.raises(KeyError), mr.no_cache():
        with mr.no_cache():
            assert layer.forward(x)[2] is None
        assert layer.forward(x)[2] is None
        other = threading.Thread(target=lambda: seen.append(layer.forward(x)[2]))
        other.start()
        other.join()
        raise KeyError
    assert seen[0] is not None
    assert layer.forward(x)[2] is not None


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("cut", [1, 3])
def test_a_sequence_can_be_cut_in_two(name, cut):
    """... forward by passing the state on, backward by passing its gradient back."""
    layer = randomised(name)
    x, state, dy, dstate = point(layer, T=5)
    y, final, cache = layer.forward(x, state)
    whole = layer.backward(dy, cache, dstate)

    y1, middle, cache1 = layer.forward(x[:cut], state)
    y2, final2, cache2 = layer.forward(x[cut:], middle)
    same((y, final), (np.concatenate([y1, y2]), final2))
    dx2, dmiddle, grads2 = layer.backward(dy[cut:], cache2, dstate)
    dx1, dstate0, grads1 = layer.backward(dy[:cut], cache1, dmiddle)
    total = {name: grads1[name] + grads2[name] for name in grads1}
    same(whole, (np.concatenate([dx1, dx2]), dstate0, total))

    _, _, truncated = layer.backward(dy[:cut], cache1)
    W_h = next(name for name in grads1 if name.endswith("W_h"))
    assert not np.allclose(truncated[W_h], grads1[W_h])


@pytest.mark.parametrize("name", RECURRENT)
def test_the_rows_of_a_batch_do_not_see_each_other(name):
    layer = randomised(name)
    x, state, dy, dstate = point(layer, B=3)
    y, final, cache = layer.forward(x, state)
    dx, dstate0, grads = layer.backward(dy, cache, dstate)
    total = {name: 0 for name in grads}
    for b in range(3):
        row = slice(b, b + 1)
        y_b, final_b, cache_b = layer.forward(x[:, row], tree(lambda s: s[row], state))
        dx_b, dstate_b, grads_b = layer.backward(
            dy[:, row], cache_b, tree(lambda s: s[row], dstate)
        )
        same((y[:, row], tree(lambda s: s[row], final)), (y_b, final_b))
        same((dx[:, row], tree(lambda s: s[row], dstate0)), (dx_b, dstate_b))
        total = {name: total[name] + grads_b[name] for name in grads}
    same(grads, total)


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("padding", [0.0, 9.0, np.nan])
def test_lengths_equal_running_each_sequence_alone(name, padding):
    layer = randomised(name)
    x, state, dy, dstate = point(layer, T=4, B=4)
    lengths = [2, 4, 0, 3]
    for b, n in enumerate(lengths):
        x[n:, b] = padding
    y, final, cache = layer.forward(x, state, lengths)
    dx, dstate0, grads = layer.backward(dy, cache, dstate)
    total = {name: 0 for name in grads}
    for b, n in enumerate(lengths):
        row = slice(b, b + 1)
        assert not y[n:, b].any()
        assert not dx[n:, b].any()
        state_b, dstate_b = (tree(lambda s: s[row], s) for s in (state, dstate))
        if n == 0:  # nothing happens to it
            same(tree(lambda s: s[row], (final, dstate0)), (state_b, dstate_b))
            continue
        y_b, final_b, cache_b = layer.forward(x[:n, row], state_b)
        dx_b, dstate0_b, grads_b = layer.backward(dy[:n, row], cache_b, dstate_b)
        same((y[:n, row], tree(lambda s: s[row], final)), (y_b, final_b))
        same((dx[:n, row], tree(lambda s: s[row], dstate0)), (dx_b, dstate0_b))
        total = {name: total[name] + grads_b[name] for name in grads}
    same(grads, total)


@pytest.mark.parametrize("name", LAYERS)
def test_nothing_that_the_caller_passed_is_changed(name):
    layer = randomised(name)
    x, state, dy, dstate = point(layer)
    lengths = example(name, ragged=True).lengths
    given_ = [*flatten([x, state, dy, dstate, lengths]), *layer.params.values()]
    before = [a.tobytes() for a in given_]
    _, _, cache = layer.forward(x, state, lengths)
    first = layer.backward(dy, cache, dstate)
    again = layer.backward(dy, cache, dstate)
    assert [a.tobytes() for a in given_] == before
    assert [a.tobytes() for a in flatten(first)] == [a.tobytes() for a in flatten(again)]


@pytest.mark.parametrize("name", LAYERS)
def test_the_layout_of_the_arguments_does_not_matter(name):
    layer = randomised(name)
    x, state, dy, dstate = point(layer)
    if name.startswith("Seq2Seq"):
        state = None
    y, final, cache = layer.forward(x, state, rng=0)
    expected = [y, final, *layer.backward(dy, cache, dstate)]

    def odd(a):  # every second element of a larger array in the other order, read-only
        big = np.full((*a.shape[:-1], 2 * a.shape[-1]), -1, a.dtype, order="F")
        big[..., ::2] = a
        view = big[..., ::2]
        view.flags.writeable = False
        return view

    y, final, cache = layer.forward(tree(odd, x), tree(odd, state), rng=0)
    same(expected, [y, final, *layer.backward(odd(dy), cache, tree(odd, dstate))], 0)


@pytest.mark.parametrize("name", CELLS)
def test_outputs_cannot_be_used_to_spoil_the_cache(name):
    y, final, _ = randomised(name).forward(np.ones((2, 1, 2)))
    for a in [y, *arrays(final)]:
        with pytest.raises(ValueError, match="read-only"):
            a[...] = 0


@pytest.mark.parametrize("name", CELLS)
def test_what_is_constant_stays_so(name):
    x = np.ones((3, 2, 2))
    x.flags.writeable = False
    y, _, cache = randomised(name).forward(x)
    assert not cache.x.flags.writeable
    assert not mr.Dropout(0.5).backward(y, mr.Dropout(0.5).forward(y)[2])[0].flags.writeable


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("name", CELLS)
def test_constant_parameters_are_not_compiled_for_again(name):
    def compiled():
        kernels = [v for v in vars(module).values() if hasattr(v, "signatures")]
        return sum(len(kernel.signatures) for kernel in kernels)

    layer = randomised(name)
    module = sys.modules[type(layer).forward.__module__]
    y, _, cache = layer.forward(np.ones((3, 2, 2)))
    layer.backward(y, cache)
    before = compiled()
    assert before > 0
    for p in layer.params.values():
        p.flags.writeable = False
    y, _, cache = layer.forward(np.ones((3, 2, 2)))
    layer.backward(y, cache)
    assert compiled() == before


@pytest.mark.parametrize("name", LAYERS)
def test_float32_agrees_with_float64(name):
    double, single = randomised(name), randomised(name, dtype="float32")
    x, state, dy, dstate = point(double, T=6)
    results = []
    for layer, dtype in ((double, np.float64), (single, np.float32)):
        x_, dy_ = tree(lambda a: a if a.dtype == int else a.astype(dtype), x), dy.astype(dtype)
        given_ = state if name.endswith("Attention") else None
        y, final, cache = layer.forward(x_, given_, rng=0)
        results.append([y, final, *layer.backward(dy_, cache, dstate)])
        assert {a.dtype for a in flatten(results[-1])} == {np.dtype(dtype)}
    same(*results, tol=2e-5)


@pytest.mark.parametrize("name", RECURRENT)
def test_the_gradients_of_the_output_and_of_the_final_state_add_up(name):
    """... since ``backward`` is linear in them: each must have its share alone."""
    layer = randomised(name)
    x, state, dy, dstate = point(layer)
    _, _, cache = layer.forward(x, state)
    both = flatten(layer.backward(dy, cache, dstate))
    of_dy = flatten(layer.backward(dy, cache))
    of_dstate = flatten(layer.backward(None, cache, dstate))
    same(both, [a + b for a, b in zip(of_dy, of_dstate, strict=True)])
    assert all(np.any(a) for a in of_dstate[:1])
    same(of_dstate, layer.backward(np.zeros_like(dy), cache, dstate))


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("value", [1e3, 1e30, 1e300, -1e300])
def test_saturated_cells_overflow_nowhere(name, value):
    layer = randomised(name)
    y, final, cache = layer.forward(np.full((3, 2, 2), value))
    dx, _, grads = layer.backward(np.ones_like(y), cache)
    assert all(np.isfinite(a).all() for a in flatten([y, final, dx, grads]))


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_nan_is_not_swallowed_and_stays_in_its_row(name, value):
    layer = randomised(name)
    x, state, _, _ = point(layer)
    x[1, 1] = value
    y, final, _ = layer.forward(x, state)
    if np.isnan(value):
        assert np.isnan(y[1:, 1]).all()
        assert all(np.isnan(s[1]).all() for s in arrays(final))
    assert np.isfinite(y[0]).all()
    assert np.isfinite(y[:, [0, 2]]).all()


@pytest.mark.parametrize("name", CELLS)
def test_a_nan_in_the_state_or_in_dy_is_not_swallowed(name):
    layer = randomised(name)
    x, state, dy, _ = point(layer)
    bad = tree(np.copy, state)
    for s in arrays(bad):
        s[0] = np.nan
    y, _, cache = layer.forward(x, bad)
    assert np.isnan(y[:, 0]).all()
    assert np.isfinite(y[:, 1:]).all()
    if "relu" in name:
        return  # a unit at rest passes no gradient on, not even a NaN
    _, _, cache = layer.forward(x, state)
    dy[2, 0] = np.nan
    dx, _, _ = layer.backward(dy, cache)
    assert np.isnan(dx[:3, 0]).all()
    assert np.isfinite(dx[3]).all()


# ---- One step by hand: every parameter is a number, D = H = 1 -----------------------------------


def one_unit(layer, W_x, W_h, b, **others):
    for name, value in {"W_x": [W_x], "W_h": [W_h], "b": b, **others}.items():
        layer.params[name][...] = value
    return layer


def test_rnn_by_hand():
    layer = one_unit(mr.RNN(1, 1), [0.5], [0.25], [0.1])
    y, state, cache = layer.forward([[[2.0]]], [[0.4]])  # tanh(0.5 * 2 + 0.25 * 0.4 + 0.1)
    assert y.item() == state.item() == pytest.approx(math.tanh(1.2), rel=1e-15)
    assert y.item() == pytest.approx(0.8336546070, abs=1e-10)
    dx, dh0, grads = layer.backward([[[1.0]]], cache)
    slope = 0.3050199963  # 1 - tanh(1.2)^2
    assert dx.item() == pytest.approx(0.5 * slope, abs=1e-10)
    assert dh0.item() == pytest.approx(0.25 * slope, abs=1e-10)
    assert grads["W_x"].item() == pytest.approx(2.0 * slope, abs=1e-9)
    assert grads["W_h"].item() == pytest.approx(0.4 * slope, abs=1e-10)


def test_lstm_by_hand():
    # i = f = s(0) = 1/2, g = tanh(1), o = s(1): the gates take only their biases.
    layer = one_unit(mr.LSTM(1, 1), [0] * 4, [0] * 4, [0, 0, 1, 1])
    y, (h, c), _ = layer.forward([[[3.0]]], ([[0.2]], [[0.6]]))
    assert c.item() == pytest.approx(0.5 * 0.6 + 0.5 * 0.7615941560, abs=1e-10)
    assert h.item() == y.item() == pytest.approx(0.7310585786 * math.tanh(0.6807970780), abs=1e-9)


def test_lstm_peepholes_by_hand():
    layer = one_unit(mr.LSTM(1, 1, peephole=True), [0] * 4, [0] * 4, [0, 0, 1, 0],
                     p_i=[1], p_f=[-1], p_o=[2])  # fmt: skip
    _, (h, c), _ = layer.forward([[[3.0]]], ([[0.2]], [[0.6]]))
    i, f = 0.6456563062, 0.3543436938  # s(0.6), s(-0.6): the old cell
    assert c.item() == pytest.approx(f * 0.6 + i * 0.7615941560, abs=1e-9)
    o = 1 / (1 + math.exp(-2 * c.item()))  # the new cell
    assert h.item() == pytest.approx(o * math.tanh(c.item()), rel=1e-14)


@pytest.mark.parametrize(
    "reset, past", [("after", 0.5 * (0.8 * 2 + 0.3)), ("before", 0.5 * 0.8 * 2)]
)
def test_gru_by_hand(reset, past):
    others = {"b_hn": [0.3]} if reset == "after" else {}
    layer = one_unit(mr.GRU(1, 1, reset=reset), [0] * 3, [0, 0, 2], [0, math.log(3), 0.1], **others)
    y, _, _ = layer.forward([[[3.0]]], [[0.8]])
    # r = 1/2, z = s(log 3) = 3/4: three quarters of the old state, one of the new
    assert y.item() == pytest.approx(0.75 * 0.8 + 0.25 * math.tanh(0.1 + past), rel=1e-14)


# ---- Initial values -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
def test_initial_values_are_reproducible(name):
    for rng in (lambda: 5, lambda: np.random.default_rng(5)):
        one, two = (LAYERS[name](4, 5, rng=rng()).params for _ in range(2))
        assert all(np.array_equal(one[k], two[k]) for k in one)
    if one and name != "LayerNorm":  # of which nothing is drawn
        other = LAYERS[name](4, 5, rng=6).params
        assert not all(np.array_equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("name", CELLS)
def test_initial_values_are_as_documented(name):
    layer = LAYERS[name](7, 4, rng=0)
    for W in np.split(layer.params["W_h"], max(1, len(layer.gates)), axis=1):
        np.testing.assert_allclose(W @ W.T, np.eye(4), atol=1e-12)
    limit = math.sqrt(6 / (7 + 4))
    assert 0.9 * limit < np.abs(layer.params["W_x"]).max() <= limit
    if "LSTM" not in name:
        assert not layer.params["b"].any()


@pytest.mark.parametrize("bias", [1.0, 0.0, -2.5])
def test_the_forget_bias_is_in_b_and_only_there(bias):
    assert mr.LSTM(2, 3, forget_bias=bias).params["b"].tolist() == [0] * 3 + [bias] * 3 + [0] * 6


def test_lengths_of_any_whole_kind_are_taken_and_copied():
    layer, x = mr.LSTM(2, 3, rng=0), np.random.default_rng(0).normal(size=(4, 3, 2))
    y, _, cache = layer.forward(x, lengths=[4, 2, 1])
    expected = layer.backward(np.ones_like(y), cache)[2]
    for kind in (np.uint8, np.int32, np.int64):
        lengths = np.array([4, 2, 1], kind)
        y, _, cache = layer.forward(x, lengths=lengths)
        lengths[...] = 0  # the caller's own array
        grads = layer.backward(np.ones_like(y), cache)[2]
        assert all(np.array_equal(grads[name], g) for name, g in expected.items())


@pytest.mark.parametrize("variant, peephole", [("V", True), ("NP", False)])
def test_the_full_variants_are_the_lstm(variant, peephole):
    one, two = mr.LSTMVariant(2, 3, variant, rng=0), mr.LSTM(2, 3, peephole=peephole, rng=0)
    x, state, dy, dstate = point(two)
    results = []
    for layer in (one, two):
        y, final, cache = layer.forward(x, state)
        results.append([y, final, layer.params, *layer.backward(dy, cache, dstate)])
    same(*results, tol=0)


@pytest.mark.parametrize("variant", ["NIG", "NFG", "NOG", "CIFG"])
def test_a_missing_gate_has_no_parameters(variant):
    layer = mr.LSTMVariant(2, 4, variant, rng=0)
    assert layer.params["W_h"].shape == (4, 12)
    assert {p for p in layer.params if p[0] == "p"} == {f"p_{g}" for g in "ifo" if g in layer.gates}
    full = mr.LSTM(2, 4, peephole=True, rng=0)
    for g in layer.gates:  # drawn as those of the LSTM
        own = np.split(layer.params["W_h"], 3, axis=1)[layer.gates.index(g)]
        same(own, np.split(full.params["W_h"], 4, axis=1)["ifgo".index(g)], 0)


def test_a_wrong_variant_is_named():
    with pytest.raises(ValueError, match=r"variant: expected 'V' or 'NIG' or .*, got 'NFX'"):
        mr.LSTMVariant(2, 3, "NFX")


# ---- Output recurrence --------------------------------------------------------------------------


def jordan(told, **options):
    layer = randomised("OutputRNN", **options)
    rng = np.random.default_rng(3)
    x, outputs, y0 = rng.normal(size=(6, 3, 2)), rng.normal(size=(6, 3, 3)), rng.normal(size=(3, 3))
    layer.teacher_forcing = told
    return layer, x, outputs, y0


def test_teacher_forcing_is_one_product_over_all_steps_and_equals_a_loop():
    layer, x, outputs, y0 = jordan(1.0)
    y, final, _ = layer.forward((x, outputs), y0)
    before = y0
    for t in range(6):
        expected, _ = layer.step(x[t], before)
        same(y[t], expected)
        before = outputs[t]
    same(final, y[-1])


def test_free_running_is_forcing_with_its_own_outputs():
    layer, x, outputs, y0 = jordan(1.0)
    y, final, cache = layer.forward(x, y0)
    same(layer.forward((x, y), y0)[0], y)
    layer.teacher_forcing = 0.0  # told nothing
    z, _, cache_z = layer.forward((x, outputs), y0)
    same(y, z, 0)
    dx, dy0, grads = layer.backward(np.ones_like(y), cache)
    (dz, doutputs), dz0, grads_z = layer.backward(np.ones_like(y), cache_z)
    same([dx, dy0, grads], [dz, dz0, grads_z], 0)
    assert not doutputs.any()


def test_scheduled_sampling_tells_the_share_it_says():
    layer, x, outputs, y0 = jordan(0.3)
    many = np.repeat(x, 400, axis=1), np.repeat(outputs, 400, axis=1)
    told = layer.forward(many, training=True, rng=0)[2].told
    assert told[0].all()
    assert np.mean(told[1:]) == pytest.approx(0.3, abs=0.02)
    assert np.array_equal(told, layer.forward(many, training=True, rng=0)[2].told)
    assert not np.array_equal(told, layer.forward(many, training=True, rng=1)[2].told)


@pytest.mark.parametrize("told", [0.0, 1.0])
def test_output_recurrence_with_lengths_equals_each_sequence_alone(told):
    layer, x, outputs, y0 = jordan(told)
    lengths, dfinal = [6, 2, 0], np.random.default_rng(5).normal(size=(3, 3))
    dy = np.random.default_rng(4).normal(size=(6, 3, 3))
    y, final, cache = layer.forward((x, outputs), y0, lengths)
    (dx, doutputs), dy0, _ = layer.backward(dy, cache, dfinal)
    for b, n in enumerate(lengths):
        row = slice(b, b + 1)
        assert not y[n:, b].any() and not dx[n:, b].any() and not doutputs[n:, b].any()
        if n == 0:
            same([final[row], dy0[row]], [y0[row], dfinal[row]], 0)
            continue
        y_b, final_b, cache_b = layer.forward((x[:n, row], outputs[:n, row]), y0[row])
        (dx_b, do_b), dy0_b, _ = layer.backward(dy[:n, row], cache_b, dfinal[row])
        same([y[:n, row], final[row], dy0[row]], [y_b, final_b, dy0_b])
        same([dx[:n, row], doutputs[:n, row]], [dx_b, do_b])
