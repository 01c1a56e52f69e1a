"""Pictures are drawn on the axes that one gives, and never shown."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import minirnn as mr
from minirnn import measure, plot


def test_forecast_draws_on_the_given_axes_and_returns_them(monkeypatch):
    monkeypatch.setattr(plt, "show", lambda: 1 / 0)
    _, ax = plt.subplots()
    time = np.arange(5)
    lines = {"a": (time[2:], time[2:] + 0.5), "b": (time[3:], time[3:])}
    assert plot.forecast(time, time, lines, split=2, ylabel="pints", ax=ax) is ax
    assert ax.get_ylabel() == "pints"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["actual", "a", "b"]
    plt.close("all")


def test_lines_can_be_told_apart_without_colour():
    time = np.arange(3)
    ax = plot.forecast(time, time, {str(k): (time, time + k) for k in range(4)})
    styles = {(line.get_linestyle(), line.get_marker()) for line in ax.get_lines()}
    assert len(styles) == 5
    plt.close("all")


RNG = np.random.default_rng(0)
MODEL = mr.Sequential(mr.Embedding(9, 3, rng=0), mr.LSTM(3, 4, rng=1), mr.Last(), mr.Linear(4, 2))
PICTURES = {
    "losses": lambda ax: plot.losses({"a": [3, 2, 1], "b": [2, 1, 0.5]}, ax=ax),
    "gradient_norms": lambda ax: plot.gradient_norms({"a": [3, 2, 1]}, ax=ax),
    "jacobians": lambda ax: plot.jacobians(
        measure.jacobians(mr.RNN(2, 3, rng=0), np.ones((4, 1, 2))), ax
    ),
    "truncation_bias": lambda ax: plot.truncation_bias([1, 4], {"a": [0.5, 0.1]}, ax),
    "gates": lambda ax: plot.gates(
        mr.trace(mr.GRU(2, 3, rng=0), np.ones((4, 1, 2))), "rznh", ax=ax
    ),
    "gates over tokens": lambda ax: plot.gates(
        mr.trace(mr.LSTM(2, 3, rng=0), np.ones((4, 1, 2))), "ifgoc", 2, tokens="abcd", ax=ax
    ),
    "error_map": lambda ax: plot.error_map({"dW_x i": [0, 1e-9, 1], "db": [1, 1, 1]}, ax),
    "saturation": lambda ax: plot.saturation([0.1, 0.5], [0.2, 0.4], ax),
    "heat": lambda ax: plot.heat(RNG.random((3, 5)), "abc", "forget gate", ax),
    "attention": lambda ax: plot.attention(RNG.random((2, 3)), "abc", "de", ax),
    "eigenvalues": lambda ax: plot.eigenvalues(RNG.normal(size=(5, 5)), ax),
    "history": lambda ax: plot.history(
        mr.History([3, 2, 1], [4, 3, 3.5], [1, 1, 1], [1, 1, 1], best_epoch=1), ax
    ),
    "confusion": lambda ax: plot.confusion([[5, 1], [0, 0]], ["yes", "perhaps"], ax),
    "unrolled": lambda ax: plot.unrolled(MODEL, np.zeros((6, 4), int), ax),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn_on_the_axes_given_or_on_new_ones(name, tmp_path):
    _, given = plt.subplots()
    assert PICTURES[name](given) is given
    new = PICTURES[name](None)
    assert new is not given
    if name not in ("unrolled", "error_map"):  # which have no scales
        assert new.get_xlabel() and new.get_ylabel()
    plot.save(new, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 3000
    assert not plt.fignum_exists(new.figure.number)
    plt.close("all")


def test_the_unrolled_picture_has_the_model_s_own_shapes():
    ax = plot.unrolled(MODEL, np.zeros((6, 4), int))
    texts = [text.get_text().strip() for text in ax.texts]
    for expected in ("Embedding", "LSTM", "Last", "Linear", "t = 5", "h (4, 4)\nc (4, 4)"):
        assert expected in texts
    assert texts.count("(4, 3)") == 3 and texts.count("(4, 2)") == 1  # embedded; the one answer
    plt.close("all")


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: plot.heat(np.ones((3, 2)), "ab"), "tokens: expected 3, one a step, got 2"),
        (lambda: plot.heat(np.ones(3)), r"values: expected shape \(T, H\)"),
        (lambda: plot.attention(np.ones((2, 3)), "ab", "cd"), r"weights: expected shape \(2, 2\)"),
        (lambda: plot.eigenvalues(np.ones((2, 3))), "W_h: expected a square matrix"),
    ],
)
def test_wrong_calls(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_a_gate_has_its_colour_everywhere():
    traced = mr.trace(mr.LSTM(2, 3, rng=0), np.ones((4, 1, 2)))
    for names in ("ifgo", "of"):
        lines = plot.gates(traced, names).get_lines()
        assert [line.get_color() for line in lines] == [plot.GATES[name] for name in names]
    with pytest.raises(ValueError, match=r"names: expected letters of .*got 'r'"):
        plot.gates(traced, "ir")
    plt.close("all")


def test_the_error_map_is_black_where_the_gradient_is_wrong():
    image = plot.error_map({"a": [0, 1], "b": [1e-3, 5]}).get_images()[0]
    assert image.get_array().tolist() == [[-8, 0], [-3, 0]]
    plt.close("all")


def test_the_style_of_the_notebooks_is_the_colours_in_order():
    with plt.rc_context():
        plot.style()
        cycle = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    assert cycle == [style["color"] for style in plot.STYLES]
