"""What must hold for every legal model.

Each function takes a ``Case``, and raises where it does not hold. It returns "skipped" where the
property does not apply, and "refused" where the model is refused by an error that names the place.
"""

from __future__ import annotations

import re

import numpy as np
from models import Case
from outside import onnx_agrees, onnx_comes_back, resumed, saved_and_loaded, torch_agrees
from points import (
    FOREIGN,
    PLACED,
    SKIPPED,
    alone,
    close,
    equal,
    gradients_like,
    input_of,
    lengths_of,
    loss_of,
    model_of,
    refused,
    row,
    start_of,
    streams,
    valid_steps,
)  # fmt: skip
from sketches import OWN, build

import minirnn as mr
from minirnn.engine import threads
from minirnn.files.model import describe
from minirnn.protocol import leaves, map_tree, optional, without_step


def gradient(case: Case):
    """The written gradient is the measured one."""
    if "float32" in repr(case.model):
        return SKIPPED
    report = mr.gradcheck(
        model_of(case), input_of(case), start_of(case), lengths_of(case), method="directional",
        training=case.seed % 2 == 1 and "0.5" in repr(case.model), rng=case.seed,
    )  # fmt: skip
    assert report.ok, report


def backward_twice(case: Case):
    """Two backward passes of one cache give the same bits, also where nobody gave a seed."""
    model, x = model_of(case), input_of(case)
    y, state, cache = model.forward(x, start_of(case), lengths_of(case), True)
    dy, dstate = gradients_like(case, y, state)
    equal(model.backward(dy, cache, dstate), model.backward(dy, cache, dstate))


def forward_twice(case: Case):
    """In use nothing is drawn; in training the seed says all."""
    model, x, lengths = model_of(case), input_of(case), lengths_of(case)
    equal(
        model.forward(x, start_of(case), lengths)[:2], model.forward(x, start_of(case), lengths)[:2]
    )
    runs = [model.forward(x, start_of(case), lengths, True, 3) for _ in range(2)]
    dy, dstate = gradients_like(case, *runs[0][:2])
    equal(*((run[:2], model.backward(dy, run[2], dstate)) for run in runs))


def inputs_unchanged(case: Case):
    """Neither pass changes what it is given."""
    model, x, lengths = model_of(case), input_of(case), lengths_of(case)
    _, final, _ = model.forward(x, start_of(case), lengths)
    (state,) = gradients_like(case, final)
    before = [map_tree(np.copy, a) for a in (x, state, lengths)], dict_copy(model.params)
    y, final, cache = model.forward(x, state, lengths, True, 0)
    dy, dstate = gradients_like(case, y, final)
    given = map_tree(np.copy, dy), map_tree(np.copy, dstate)
    first = map_tree(np.copy, y), map_tree(np.copy, final)
    model.backward(dy, cache, dstate)
    equal(([x, state, lengths], dict_copy(model.params)), before, "forward")
    equal((dy, dstate), given, "backward")
    equal((y, final), first, "the result of forward")


def dict_copy(params):
    return {name: p.copy() for name, p in params.items()}


def padded_equals_alone(case: Case):
    """Each sequence of a padded batch gives what it gives by itself, and so do the gradients."""
    model, x = model_of(case), input_of(case)
    y, state, cache = model.forward(x, start_of(case), lengths_of(case))
    dy, dstate = gradients_like(case, y, state if start_of(case) is None else None)
    if y.ndim == 3 and case.reads != "queries":
        dy[np.arange(len(y))[:, None] >= valid_steps(case, y)] = 0
    _, _, grads = model.backward(dy, cache, dstate)
    total = {name: np.zeros_like(g) for name, g in grads.items()}
    whole = True
    for b in range(case.B):
        own = alone(case, x, b)
        if own is None:
            whole = False
            continue
        start = start_of(case)
        if start is not None:
            start = start[: None if case.lengths is None else case.lengths[b], b : b + 1]
        y_b, state_b, cache_b = model.forward(own[0], start, own[1])
        n = len(y_b)
        mine = y[:n, b : b + 1] if y.ndim == 3 else y[b : b + 1]
        close(case, mine, y_b, f"y of sequence {b}")
        if start is None:
            close(case, row(state, b), state_b, f"state of sequence {b}")
        dy_b = dy[:n, b : b + 1] if y.ndim == 3 else dy[b : b + 1]
        _, _, grads_b = model.backward(dy_b, cache_b, row(dstate, b))
        for name, g in grads_b.items():
            total[name] += g
    if y.ndim == 3 and case.reads != "queries":
        past = np.arange(len(y))[:, None] >= valid_steps(case, y)
        assert case.reads == "translation" or not y[past].any(), "y past the end"
    if whole:
        close(case, grads, total, "gradients")


def in_pieces(case: Case):
    """Pieces with the state carried on, and single steps, equal the whole sequence. So do pieces
    in training, where all that is drawn is one mask for the whole sequence."""
    if not streams(case) or case.reads == "queries":
        return SKIPPED
    model, x, lengths = model_of(case), input_of(case), lengths_of(case)
    text = repr(case.model)
    drawn = re.findall(r"Dropout\(0.5, per_sequence=(\w+)|(Recurrent)Dropout|(Zoneout)", text)
    one_mask = drawn in ([("True", "", "")], [("", "Recurrent", "")])
    one_mask &= text.count("Checkpoint") == text.startswith("Checkpoint")  # it draws seeds, too
    how = (True, 3) if one_mask else (False, None)
    y, final, _ = model.forward(x, None, lengths, *how)
    cut = case.seed % case.T
    state, parts = None, []
    for first, last in ((0, cut), (cut, case.T)):
        if first < last:
            rest = None if lengths is None else np.clip(lengths - first, 0, last - first)
            part, state, _ = model.forward(x[first:last], state, rest, *how)
            parts.append(part)
    close(case, (np.concatenate(parts), state), (y, final), "pieces")
    if without_step(model) or lengths is not None:
        return None
    y, final, _ = model.forward(x)
    state, parts = None, []
    for t in range(case.T):
        part, state = model.step(x[t], state)
        parts.append(part)
    close(case, (np.array(parts), state), (y, final), "steps")
    return None


def truncated_is_whole(case: Case):
    """Truncated BPTT with k1 = k2 = T is BPTT."""
    model, x, lengths = model_of(case), input_of(case), lengths_of(case)
    y, _, _ = model.forward(x, start_of(case), lengths)
    if case.reads == "queries" or not valid_steps(case, y).any():
        return SKIPPED
    target = loss_of(case, y)
    if not streams(case):
        try:
            list(mr.truncated_bptt(model, mr.mse, x, target, case.T, case.T, None, lengths))
        except (ValueError, TypeError) as error:
            return refused(error)
        raise AssertionError("truncated BPTT of a model that needs the whole sequence")
    one = mr.bptt(model, mr.mse, x, target, None, lengths, rng=1)
    (other,) = mr.truncated_bptt(model, mr.mse, x, target, case.T, case.T, None, lengths, rng=1)
    close(case, one, other)
    return None


def loss_by_batches(case: Case):
    """The loss and the gradient of a batch are the mean over its targets, however it is cut."""
    if case.reads == "queries":
        return SKIPPED
    model, x, lengths = model_of(case), input_of(case), lengths_of(case)
    y, _, _ = model.forward(x, start_of(case), lengths)
    counts, target = valid_steps(case, y), loss_of(case, y)
    if not counts.any():
        return SKIPPED

    def sequence(b, tree, axis):
        return map_tree(lambda a: a.take([b], axis=axis), tree)

    batches = []
    for b in range(case.B):
        # Of a document's lengths the first are (S, B).
        n = map_tree(lambda a: a[..., b : b + 1], lengths)
        x_b = sequence(b, x, 2 if case.reads == "documents" else 1)
        batches.append((x_b, sequence(b, target, y.ndim - 2), n))
    whole, grads, _ = mr.bptt(model, mr.mse, x, target, None, lengths, training=False)
    one, total = 0.0, dict.fromkeys(grads, 0.0)
    for (x_b, t, n), count in zip(batches, counts, strict=True):
        if count:
            loss, own, _ = mr.bptt(model, mr.mse, x_b, t, None, n, training=False)
            one += loss * count / counts.sum()
            total = {name: total[name] + g * (count / counts.sum()) for name, g in own.items()}
    close(case, (whole, grads), (one, total), "batches")
    losses = []
    for data in ([(x, target, lengths)], batches):
        history = mr.fit(
            model_of(case), mr.mse, data, mr.SGD(0.0), 1, validation=data, progress=False, rng=0
        )
        losses.append(history.val_loss)
    close(case, losses[0], losses[1], "val_loss")
    return None


def predicted(case: Case):
    """A prediction is the output, whatever the size of the batches."""
    if case.reads == "queries":
        return SKIPPED
    model, x, lengths = model_of(case), input_of(case), lengths_of(case)
    y, _, _ = model.forward(x, None, lengths)
    equal(mr.predict(model, x, lengths), y)
    for size in (1, 2):
        found = mr.predict(model, x, lengths, size)
        assert found.dtype == y.dtype and found.shape == y.shape
        close(case, found, y, f"batches of {size}")
    return None


def repr_is_the_model(case: Case):
    """The repr is an expression that makes such a model."""
    model = model_of(case)
    if type(model).__name__ in OWN:
        return SKIPPED
    other = eval(repr(model), vars(mr) | OWN)
    assert describe(other) == describe(model)
    shapes = [{n: (p.shape, p.dtype) for n, p in m.params.items()} for m in (model, other)]
    assert shapes[0] == shapes[1], shapes
    assert str(model) and repr(other) == repr(model)
    return None


def any_threads(case: Case):
    """The same bits for 1, 2 and 5 threads."""
    model, x, lengths, results = model_of(case), input_of(case), lengths_of(case), []
    before, enough, fewest = mr.get_num_threads(), threads.ENOUGH, threads.FEWEST_ROWS
    threads.ENOUGH, threads.FEWEST_ROWS = 1, 1  # share out even the smallest work
    try:
        for n in (1, 2, 5):
            mr.set_num_threads(n)
            y, state, cache = model.forward(x, start_of(case), lengths, True, 0)
            dy, dstate = gradients_like(case, y, state)
            results.append((y, state, model.backward(dy, cache, dstate)))
    finally:
        threads.ENOUGH, threads.FEWEST_ROWS = enough, fewest
        mr.set_num_threads(before)
    equal(results[0], results[1])
    equal(results[0], results[2])


def traced(case: Case):
    """``trace`` has every state and gate of every part, as ``forward`` computes them."""
    model, x, lengths = model_of(case), input_of(case), lengths_of(case)
    expected = set(names_inside(model))
    if not expected:
        return SKIPPED
    y, _, _ = model.forward(x, start_of(case), lengths)
    try:
        found = mr.trace(model, x, mr.mse, loss_of(case, y), lengths=lengths)
    except (ValueError, TypeError) as error:
        return refused(error)
    assert expected <= set(found), f"missing: {sorted(expected - set(found))}"
    plain = [name for name in found if not re.match(r"(.*\.)?d\w+$", name)]
    assert all(np.isfinite(found[name]).all() for name in plain)
    return None


def names_inside(layer, place=""):
    parts = optional(layer, "parts")
    for name, part in parts.items():
        yield from names_inside(part, f"{place}{name}.")
    if not parts and optional(layer, "state_names") and optional(layer, "zero_state"):
        gates = optional(layer, "gates") if optional(layer, "gate_values") else ()
        for name in (*layer.state_names, *gates, *(f"d{s}" for s in layer.state_names)):
            yield f"{place}{name}"


def final_states_own_their_memory(case: Case):
    """A final state does not keep a whole sequence alive."""
    model, x, lengths = model_of(case), input_of(case), lengths_of(case)
    for state in leaves(model.forward(x, start_of(case), lengths)[1]):
        owner = state
        while isinstance(getattr(owner, "base", None), np.ndarray):
            owner = owner.base
        assert owner.size <= state.size, f"a state {state.shape} is a view of {owner.shape}"


def writes_as_it_reads(case: Case):
    """A translator that writes gives the likelihoods that it gives to a text that it reads."""
    if type(build(case.model)) is not mr.Seq2Seq:
        return SKIPPED
    model, (source, _) = model_of(case), input_of(case)
    lengths = None if case.lengths is None else np.array(case.lengths[0])
    written = mr.decode(model, source, 0, 1, 4, lengths)
    read = np.vstack([np.zeros((1, case.B), int), written.tokens[:-1]])
    of_target = None if lengths is None else (lengths, np.full(case.B, len(read)))
    logits, _, _ = model.forward((source, read), None, of_target)
    logits = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    own = np.take_along_axis(logits, written.tokens[..., None], axis=-1)[..., 0]
    counts = np.arange(len(read))[:, None] <= written.lengths  # the end token counts too
    close(case, written.log_probability, np.where(counts, own, 0).sum(axis=0))
    return None


def must_be_refused(misfit):
    """A model that does not fit together, refused where it is made or at the first call. Returns
    where."""
    case, where = misfit.case, "made"
    try:
        build(case.model)
        where = "called"
        model = build(case.model)
        model.forward(input_of(case), start_of(case), lengths_of(case))
    except (ValueError, TypeError) as error:
        text = str(error)
        assert PLACED.match(text) and not FOREIGN.search(text), f"{type(error).__name__}: {text}"
        return where
    raise AssertionError("nobody refused it")


def refused_or(case: Case):
    """Whether a model that may be anything is refused, where it is made or at the first call."""
    try:
        model_of(case).forward(input_of(case), start_of(case), lengths_of(case))
    except (ValueError, TypeError) as error:
        text = str(error)
        own = re.match(r"layer [\w.]+, (MyCell|Scale)", text)  # may say what it likes
        placed = PLACED.match(text) and (own or not FOREIGN.search(text))
        assert placed, f"{type(error).__name__}: {text}"
        return True
    return False


PROPERTIES = [
    gradient, backward_twice, forward_twice, inputs_unchanged, padded_equals_alone, in_pieces,
    truncated_is_whole, saved_and_loaded, resumed, loss_by_batches, predicted, repr_is_the_model,
    any_threads, traced, final_states_own_their_memory, writes_as_it_reads, onnx_agrees,
    onnx_comes_back, torch_agrees,
]  # fmt: skip
