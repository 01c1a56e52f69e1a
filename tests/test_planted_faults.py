"""Faults planted in containers, one at a time: do the properties of random models find each?"""

import inspect
import sys
import textwrap

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from models import cases
from properties import backward_twice, gradient, in_pieces, padded_equals_alone

import minirnn as mr
from minirnn.layers.container import Container

# What is wrong, the class and the method, what stands there, and what is put in its place.
FAULTS = [
    ("states handed to the wrong direction", mr.Bidirectional, "forward",
     's_u, s_v = self.split(state, "state")', 's_v, s_u = self.split(state, "state")'),
    ("final states in the wrong order", mr.Bidirectional, "forward",
     "return y, [s_u, s_v],", "return y, [s_v, s_u],"),
    ("the batch reversed in place of time", mr.Bidirectional, "forward",
     "v = reverse(v, lengths)", "v = reverse(v, lengths)[:, ::-1]"),
    ("padding reversed with the sequence", mr.Bidirectional, "forward",
     "layer.forward(reverse(x, lengths),", "layer.forward(x[::-1],"),
    ("a direction without lengths", mr.Bidirectional, "forward",
     "layer.forward(x, s_u, lengths,", "layer.forward(x, s_u, None,"),
    ("the gradient not reversed", mr.Bidirectional, "backward",
     "layer.backward(reverse(dv, lengths),", "layer.backward(dv,"),
    ("dx not reversed back", mr.Bidirectional, "backward",
     "dx + reverse(dRx, lengths)", "dx + dRx"),
    ("one direction's dx left out", mr.Bidirectional, "backward",
     "dx = dx + reverse(dRx, lengths)", "pass"),
    ("the gradient of a mean not halved", mr.Bidirectional, "split_gradient",
     "(dy / 2, dy / 2)", "(dy, dy)"),
    ("a state that is not carried on", mr.Checkpoint, "forward",
     "self._run(x, piece, states[-1],", "self._run(x, piece, states[0],"),
    ("another mask in backward", mr.Checkpoint, "backward",
     "training, seeds[k])", "training, seeds[k] + 1)"),
    ("lengths that are not counted down", mr.Checkpoint, "_run",
     "np.clip(lengths - piece.start, 0,", "np.clip(lengths, 0,"),
    ("the gradient of the last piece only", mr.Checkpoint, "backward",
     'total[f"model.{name}"] += g', 'total[f"model.{name}"] = g'),
    ("pieces of dx in the wrong order", mr.Checkpoint, "backward",
     "np.concatenate(dxs[::-1])", "np.concatenate(dxs)"),
    ("the final state's gradient lost", mr.Checkpoint, "backward",
     '(dstate,) = self.split(dstate, "dstate")', "dstate = None"),
    ("a piece run again from the wrong state", mr.Checkpoint, "backward",
     "pieces[k], states[k],", "pieces[k], states[max(k - 1, 0)],"),
    ("gradients of a shared layer not summed", Container, "join_grads",
     "total[first] + grads[name] if first in total else grads[name]", "grads[name]"),
    ("a shared array twice in params", Container, "params",
     "EachOnce(self._all_params())", "self._all_params()"),
    ("states of the wrong layers", mr.Sequential, "forward",
     'self.split(state, "state")', 'self.split(state, "state")[::-1]'),
    ("lengths dropped", mr.Sequential, "forward",
     "layer.forward(y, s, lengths,", "layer.forward(y, s, None,"),
    ("a step from another layer's state", mr.Sequential, "step",
     "step(y, states[k],", "step(y, states[0],"),
    ("the gradient of a state lost", mr.Sequential, "backward",
     "caches[k], dstates[k])", "caches[k], None)"),
    ("a new mask for each piece", mr.Dropout, "forward",
     "self._draw(x, rng) if state is None else state", "self._draw(x, rng)"),
    ("a mask redrawn in backward", mr.Dropout, "backward",
     "dy * mask", "dy * self._draw(dy, None)"),
    ("a mask for each step", mr.Dropout, "_draw",
     "x.shape[-2:] if self.per_sequence else x.shape", "x.shape"),
    ("sentences and documents mixed up", mr.Hierarchical, "forward",
     "y.reshape(S, B, -1)", "y.reshape(B, S, -1).swapaxes(0, 1)"),
    ("lengths of the sentences dropped", mr.Hierarchical, "forward",
     "None, of_sentences,", "None, None,"),
    ("lengths of the words dropped", mr.Hierarchical, "forward",
     "words.forward(x_words, None, of_words,", "words.forward(x_words, None, None,"),
    ("the encoder's state not handed on", mr.Seq2Seq, "read",
     "state = map_tree(lambda _: next(parts), like)", "state = like"),
    ("padding of the source attended to", mr.Seq2Seq, "read",
     "None if lengths is None else padding(np.asarray(lengths), len(m))", "None"),
    ("gradients of the steps not summed", mr.Seq2Seq, "backward",
     "before[name] + g for name", "g for name"),
    ("the query of the wrong step", mr.Seq2Seq, "run_backward",
     "d + dq[0] if d is dtop", "d if d is dtop"),
    ("a decoder's state that is not carried on", mr.Seq2Seq, "forward",
     "f, s, cache = self.run(", "f, _, cache = self.run("),
    ("the derivative of the bridge's tanh forgotten", mr.Seq2Seq, "read_backward",
     "np.hstack(dstart) * (1 - np.hstack(start) ** 2)", "np.hstack(dstart)"),
    ("a state's gradient lost between runs", mr.Seq2Seq, "run_backward",
     "decoder.backward(dh, cache, ds)", "decoder.backward(dh, cache, None)"),
]  # fmt: skip


def plant(monkeypatch, kind, method, old, new):
    """Compile a method once more, with other words in one place."""
    attribute = inspect.getattr_static(kind, method)
    function = getattr(attribute, "fget", attribute)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old) == 1, f"{method} has no longer {old!r}"
    names = dict(vars(sys.modules[kind.__module__]))
    exec("from __future__ import annotations\n" + source.replace(old, new), names)
    monkeypatch.setattr(kind, method, names[method])


@pytest.fixture(scope="module")
def drawn():
    """Models as they are drawn, the same each time."""
    found = []

    @settings(max_examples=500, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(cases(least=2))
    def draw(case):
        found.append(case)

    draw()
    return list(dict.fromkeys(found))


def caught(case):
    """The first of the sharpest properties that does not hold."""
    for holds in (padded_equals_alone, in_pieces, backward_twice, gradient):
        try:
            holds(case)
        except Exception:
            return holds.__name__
    return None


@pytest.mark.parametrize("what, kind, method, old, new", FAULTS, ids=[row[0] for row in FAULTS])
def test_it_is_found(monkeypatch, drawn, what, kind, method, old, new):
    plant(monkeypatch, kind, method, old, new)
    words = [{Container: ":=", mr.Dropout: "0.5, per_sequence=True"}.get(kind, kind.__name__)]
    words += ["Dropout(0.5"] * ("mask" in what) + ["lengths=("] * ("lengths" in what)
    fit = (case for case in drawn if all(word in repr(case) for word in words))
    shown = next(filter(caught, fit), None)
    assert shown, f"no model of {len(drawn)} shows it"
    monkeypatch.undo()
    assert caught(shown) is None
