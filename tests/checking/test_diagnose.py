"""A wrong backward pass is not only refused: the check says what is wrong with it."""

import numpy as np
import pytest

import minirnn as mr
from minirnn.exercises.broken import ADD_UP, HAND_ON, TextbookLSTM, planted

# name: (line of the right backward pass, what the student wrote, what the verdict must say)
BUGS = {
    "forget gate's derivative": (
        "da_f = df * f * (1 - f)",
        "da_f = df * f",
        "forget gate, derivative: first seen at T = 1 with a non-zero state",
    ),
    "candidate with the derivative of a sigmoid": (
        "da_g = dg * (1 - g**2)",
        "da_g = dg * g * (1 - g)",
        "candidate g, derivative: first seen at T = 1",
    ),
    "output gate before tanh": (
        "do = dh * tanh_c",
        "do = dh * c",
        "output gate, derivative: first seen at T = 1",
    ),
    "input gate off by one per cent": (
        "da_i = di * i * (1 - i)",
        "da_i = 1.01 * di * i * (1 - i)",
        "input gate, derivative: first seen at T = 1",
    ),
    "bias gradient copied from another gate": (
        "db = da.sum(axis=0)",
        "db = np.hstack([da_i, da_i, da_g, da_o]).sum(axis=0)",
        "db of the forget gate: first seen at T = 1",
    ),
    "tanh of what is squashed already": (
        "dc = dc + dtanh_c * (1 - tanh_c**2)",
        "dc = dc + dtanh_c * (1 - np.tanh(tanh_c) ** 2)",
        "dc, the path from the hidden state to the cell: first seen at T = 1",
    ),
    "dh never handed on": (
        HAND_ON,
        "before = dh_next; " + HAND_ON + "; dh_next = before if t else dh_next",
        "dh handed from step t+1 to step t: first seen at T = 2",
    ),
    "dc never handed on": (
        HAND_ON,
        "before = dc_next; " + HAND_ON + "; dc_next = before if t else dc_next",
        "dc handed from step t+1 to step t: first seen at T = 2",
    ),
    "dc handed on without the forget gate": (
        "dc_prev = dc * f",
        "dc_prev = dc",
        "dc0: first seen at T = 1",
    ),
    "state of the wrong step": (
        "dW_h = h_prev.T @ da",
        "dW_h = h.T @ da",
        "dW_h of the input gate, forget gate, candidate g, output gate: first seen at T = 1",
    ),
    "not summed over time": (
        ADD_UP,
        'grads[name] = step_grads[name] + (0 if name == "W_x" else grads[name])',
        "dW_x, sum over time: first seen at T = 2",
    ),
    "gradient of the final state forgotten": (
        "dh_next, dc_next = dstate",
        "dh_next, dc_next = np.zeros_like(dstate)",
        "gradient of the final state (dh and dc): first seen at T = 1",
    ),
    "dh kept from the step after": (
        HAND_ON,
        "before = dh_next; " + HAND_ON + "; dh_next = before + dh_next",
        "dh0: first seen at T = 1",
    ),
    "steps of dx the wrong way round": (
        "dx[t], ",
        "dx[-1 - t], ",
        "dx, the order of its steps: first seen at T = 2",
    ),
    "one gate left out of dx": (
        'dx = da @ params["W_x"].T',
        'dx = np.hstack([0 * da_i, da_f, da_g, da_o]) @ params["W_x"].T',
        "dx: first seen at T = 1",
    ),
}


def student(bug):
    """The textbook's LSTM with one line of its backward pass replaced."""
    right, wrong, verdict = BUGS[bug]
    return TextbookLSTM(2, 3, 0, planted(right, wrong)), verdict


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(4, 2, 2))


def test_a_right_backward_pass_is_accepted(x):
    report = mr.gradcheck(TextbookLSTM(2, 3, 0), x)
    assert report.ok, str(report)


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_named(bug, x):
    layer, verdict = student(bug)
    report = mr.gradcheck(layer, x)
    assert not report.ok
    assert report.verdict == verdict
    assert report.hint


def test_all_bugs_have_verdicts_of_their_own():
    assert len({verdict for _, _, verdict in BUGS.values()}) == len(BUGS)
