"""A wrong backward pass is not only refused: the check says what is wrong with it."""

import inspect
import textwrap

import numpy as np
import pytest
from naive import StudentLSTM

import minirnn as mr

# name: (line of the right backward pass, what the student wrote, what the verdict must say)
BUGS = {
    "forget gate's derivative": (
        "da_f = dc * c_prev * f * (1 - f)",
        "da_f = dc * c_prev * f",
        "forget gate, derivative: first seen at T = 1 with a non-zero state",
    ),
    "candidate with the derivative of a sigmoid": (
        "da_g = dc * i * (1 - g**2)",
        "da_g = dc * i * g * (1 - g)",
        "candidate g, derivative: first seen at T = 1",
    ),
    "output gate before tanh": (
        "da_o = dh * tanh_c * o * (1 - o)",
        "da_o = dh * c * o * (1 - o)",
        "output gate, derivative: first seen at T = 1",
    ),
    "input gate off by one per cent": (
        "da_i = dc * g * i * (1 - i)",
        "da_i = 1.01 * dc * g * i * (1 - i)",
        "input gate, derivative: first seen at T = 1",
    ),
    "bias gradient copied from another gate": (
        "db += da.sum(axis=0)",
        "db += np.hstack([da_i, da_i, da_g, da_o]).sum(axis=0)",
        "db of the forget gate: first seen at T = 1",
    ),
    "tanh of what is squashed already": (
        "dc = dc_next + dh * o * (1 - tanh_c**2)",
        "dc = dc_next + dh * o * (1 - np.tanh(tanh_c) ** 2)",
        "dc, the path from the hidden state to the cell: first seen at T = 1",
    ),
    "dh never handed on": (
        "dh_next = da @ W_h.T",
        "dh_next = dh_next if t else da @ W_h.T",
        "dh handed from step t+1 to step t: first seen at T = 2",
    ),
    "dc never handed on": (
        "dc_next = dc * f",
        "dc_next = dc_next if t else dc * f",
        "dc handed from step t+1 to step t: first seen at T = 2",
    ),
    "dc handed on without the forget gate": (
        "dc_next = dc * f",
        "dc_next = dc",
        "dc0: first seen at T = 1",
    ),
    "state of the wrong step": (
        "dW_h += h_prev.T @ da",
        "dW_h += h.T @ da",
        "dW_h of the input gate, forget gate, candidate g, output gate: first seen at T = 1",
    ),
    "not summed over time": (
        "dW_x += x.T @ da",
        "dW_x = x.T @ da",
        "dW_x, sum over time: first seen at T = 2",
    ),
    "gradient of the final state forgotten": (
        "dh_next, dc_next = dstate if dstate is not None else",
        "dh_next, dc_next = dstate if dstate is None else",
        "gradient of the final state (dh and dc): first seen at T = 1",
    ),
    "dh kept from the step after": (
        "dh_next = da @ W_h.T",
        "dh_next = dh_next + da @ W_h.T",
        "dh0: first seen at T = 1",
    ),
    "steps of dx the wrong way round": (
        "dx.insert(0, da @ W_x.T)",
        "dx.append(da @ W_x.T)",
        "dx, the order of its steps: first seen at T = 2",
    ),
    "one gate left out of dx": (
        "dx.insert(0, da @ W_x.T)",
        "dx.insert(0, (da * (np.arange(da.shape[1]) >= len(W_h))) @ W_x.T)",
        "dx: first seen at T = 1",
    ),
}


def student(bug):
    """StudentLSTM with one line of ``backward`` replaced."""
    right, wrong, verdict = BUGS[bug]
    text = textwrap.dedent(inspect.getsource(StudentLSTM.backward))
    assert text.count(right) == 1
    scope = {"np": np}
    exec(text.replace(right, wrong), scope)
    layer = StudentLSTM(2, 3)
    layer.backward = scope["backward"].__get__(layer)
    return layer, verdict


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(4, 2, 2))


def test_a_right_backward_pass_is_accepted(x):
    report = mr.gradcheck(StudentLSTM(2, 3), x)
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
