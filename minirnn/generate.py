"""The use of trained models: predictions for any number of sequences; and, one step at a time, text
from a language model, forecasts from a forecaster, sequences from an encoder and decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from minirnn import checks
from minirnn.engine.threads import OneBlasThread
from minirnn.layers.pooling import Hierarchical
from minirnn.layers.seq2seq import Memory, Seq2Seq
from minirnn.padding import is_pair
from minirnn.protocol import (
    Array,
    Layer,
    Numbers,
    Seed,
    State,
    check_layer,
    check_logits,
    check_streams,
    leaves,
    map_tree,
    no_cache,
    optional,
    output_shape,
    without_step,
)


def predict(model: Layer, x: Any, lengths: Any = None, batch_size: int = 128) -> Array:
    """The model's output for all N sequences x, computed ``batch_size`` sequences at a time.

    x: as ``model.forward`` takes it, time first: (T, N, D), tokens (T, N), documents (T, S, N,
        ...), rows (N, D), or a pair of arrays for a model with two inputs.
    lengths: as ``model.forward`` takes them: (N,), a pair, or None.

    Returns the y of ``model.forward(x, lengths=lengths)``, (T, N, K) or (N, K), whatever the size
    of the batches, up to the rounding of sums. No cache is kept: beside x and y, memory is that of
    one batch. For sequences in a list see ``datasets.batches.pad``. For data that do not fit into
    memory call it for one part after the other; for very many steps, with a ``Checkpoint(model,
    every)``. Raises TypeError or ValueError for what does not fit.
    """
    check_layer(model)
    size = checks.size(batch_size, "batch_size")
    inputs = _inputs(model, x)
    N = inputs[0][0].shape[inputs[0][1]]
    ends = _ends(lengths, N, inputs[0][0].shape)
    whole: Any = None
    for k in range(0, max(N, 1), size):
        rows = slice(k, min(k + size, N))
        with no_cache():
            y, _, _ = model.forward(_rows_of(inputs, rows), None, _rows_of(ends, rows))
        axis, n = int(y.ndim > 2), rows.stop - k
        if y.ndim < 2 or y.shape[axis] != n:
            got = checks.shape_text(y.shape)
            raise ValueError(f"model: expected y (T, {n}, K) or ({n}, K) for {n} rows, got {got}")
        if whole is None:
            whole = np.empty((*y.shape[:axis], N, *y.shape[axis + 1 :]), y.dtype)
        whole[(slice(None),) * axis + (rows,)] = y
    result: Array = whole
    return result


# An array, and its axis along which the sequences of a batch lie.
_Part: TypeAlias = tuple[Any, int]


def _rows_of(parts: list[_Part], rows: slice) -> Any:
    own = [None if a is None else a[(slice(None),) * axis + (rows,)] for a, axis in parts]
    return tuple(own) if len(own) > 1 else own[0]


def _inputs(model: Layer, x: Any) -> list[_Part]:
    """One array, or two, of as many sequences."""
    if isinstance(x, list) and any(isinstance(sequence, np.ndarray) for sequence in x):
        raise TypeError(
            f"x: expected an array (T, N, ...), time first, got a list of {len(x)} arrays; for "
            "sequences in a list see minirnn.datasets.batches.pad"
        )
    if not isinstance(x, tuple):
        a = checks.numbers(x, "x")
        if a.ndim == 0:
            raise ValueError("x: expected sequences (T, N, ...) or rows (N, D), got one number")
        return [(a, _batch_axis(model, a))]
    arrays = [checks.numbers(a, f"x[{k}]") for k, a in enumerate(checks.pair(x, "x"))]
    shapes = [a.shape for a in arrays]
    if min(map(len, shapes)) < 2 or shapes[0][1] != shapes[1][1]:
        raise ValueError(f"x: expected a pair (T, N, ...) and (S, N, ...), got {shapes}")
    return [(a, 1) for a in arrays]


def _batch_axis(model: Any, x: Array) -> int:
    """Along which axis the sequences of a batch lie, in an x that this model takes."""
    first = model
    while optional(first, "parts") and not isinstance(first, Hierarchical):
        first = next(iter(optional(first, "parts").values()))
    if isinstance(first, Hierarchical):
        return min(2, x.ndim - 1)
    if x.ndim != 2:
        return int(x.ndim > 2)
    try:  # rows (N, D), or tokens (T, N)?
        y = output_shape(model, ("B", x.shape[1]))
    except ValueError:
        return 1
    return int(y is None and x.dtype.kind in "iu")


def _ends(lengths: Any, N: int, shape: tuple[int, ...]) -> list[_Part]:
    """The lengths of N sequences, whose last axis is that of the batch."""
    if lengths is None:
        return [(None, 0)]
    parts = lengths if is_pair(lengths) else (lengths,)
    ends: list[_Part] = []
    for part in parts:
        n = None if part is None else checks.numbers(part, "lengths", "iu")
        if n is not None and n.shape[-1:] != (N,):
            hint = "; is x batch first? Time comes first" if n.shape == shape[:1] else ""
            raise ValueError(
                f"lengths: expected one for each of {N} sequences, got shape {n.shape}{hint}"
            )
        ends.append((n, 0 if n is None else n.ndim - 1))
    return ends


# ---- One step at a time -------------------------------------------------------------------------


def sample(
    model: Layer,
    prompt: Numbers,
    temperature: float = 1.0,
    top_k: int | None = None,
    state: State = None,
    rng: Seed = None,
) -> Iterator[tuple[int, State]]:
    """Yield one token after another, without end, each with the state to go on from.

    model: from tokens (T, 1) to logits (T, 1, V). prompt: tokens (T,) to begin with, at least one.
    Each token is drawn from softmax(logits / temperature); with temperature 0 it is the likeliest.
    top_k: draw only among the k likeliest. To go on later, pass the last token as the prompt,
    together with the state that came with it.

    Raises ValueError or TypeError for wrong arguments, and ValueError for logits that are NaN or
    +inf, or all -inf.
    """
    prompt = checks.array(prompt, "prompt", ("T",), None, "iu")
    temperature = checks.number(temperature, "temperature", 0)
    top_k = None if top_k is None else checks.size(top_k, "top_k")
    check_streams(model, prompt[:, None], prompt[:, None])
    check_logits(model, "softmax", "sample")
    rng = checks.generator(rng)
    by_step = not without_step(model)
    stepping: Any = model
    while True:
        if by_step and len(prompt) == 1:
            with OneBlasThread():  # so that the bits do not depend on the number of threads
                y, state = stepping.step(prompt, state)
        else:
            with no_cache():
                y, state, _ = model.forward(prompt[:, None], state)
            y = y[-1]
        logits = _checked_logits(y)[0]
        if temperature == 0:
            token = int(np.argmax(logits))
        else:
            if top_k is not None:
                logits[np.argsort(-logits, kind="stable")[top_k:]] = -np.inf
            p = np.exp((logits - logits.max()) / temperature)
            token = int(rng.choice(len(p), p=p / p.sum()))
        yield token, state
        prompt = np.array([token])


def _checked_logits(y: Array) -> Array:
    """Logits (B, V), which may be -inf for tokens that are impossible, but not for all."""
    logits: Array = y.astype(np.float64)
    for row in np.flatnonzero(~np.isfinite(logits.max(axis=1))):
        got = logits[row].max()
        raise ValueError(f"model: expected finite logits or -inf, got {got} in sequence {row}")
    return logits


def free_run(
    model: Layer,
    x: Numbers,
    steps: int,
    state: State = None,
    next_x: Callable[[Array, int], Numbers] | None = None,
) -> Array:
    """Forecast ``steps`` steps after the sequence x (T, B, D), each from the forecast before it.

    model: from (T, B, D) to (T, B, K), the forecast of the next step at each step. next_x: a
    function from a forecast (B, K) and its number (from 0) to the next input (B, D); without it the
    forecast is the next input. Returns the forecasts (steps, B, K).
    """
    x, steps = checks.floats(x, "x"), checks.size(steps, "steps")
    check_streams(model, x, x)
    forecasts: list[Array] = []
    for k in range(steps):
        with no_cache():
            y, state, _ = model.forward(x, state)
        forecasts.append(y[-1])
        x = (y[-1] if next_x is None else np.asarray(next_x(y[-1], k)))[None]
    return np.array(forecasts)


class Decoded(NamedTuple):
    """What ``decode`` has written."""

    tokens: Array  # (S, B); after its end a sequence holds end tokens
    lengths: Array  # (B,): the number of tokens before the end token; S if there is none
    log_probability: Array  # (B,): natural logarithm, of all tokens including the end token
    weights: Array | None  # (S, B, T): attention


def decode(
    model: Seq2Seq,
    source: Numbers,
    start: int,
    end: int,
    max_length: int,
    lengths: Numbers | None = None,
    beam: int = 1,
) -> Decoded:
    """Let a ``Seq2Seq`` write the likeliest target that it finds for each source.

    start, end: the tokens before the first and after the last. beam: how many beginnings of a
    target are kept at each step; 1 is greedy, more finds likelier targets (Graves 2012).
    lengths: (B,), of the sources.

    Raises ValueError or TypeError for wrong arguments, and ValueError for logits that are NaN or
    +inf, or all -inf.
    """
    start, end = checks.size(start, "start", 0), checks.size(end, "end", 0)
    K, max_length = checks.size(beam, "beam"), checks.size(max_length, "max_length")
    if not isinstance(model, Seq2Seq):
        raise TypeError(f"model: expected a Seq2Seq, got {model!r:.80}")
    check_logits(model, "softmax", "decode")
    with no_cache():
        memory, state, _ = model.read(source, lengths)
    B = memory.m.shape[1]
    # Row b * K + k is the k-th likeliest beginning for source b. At the start there is only one.
    repeated: list[Any] = [None if a is None else np.repeat(a, K, axis=1) for a in memory]
    memory = Memory(*repeated)
    state = map_tree(lambda s: np.repeat(s, K, axis=0), state)
    total = np.where(np.arange(B * K) % K, -np.inf, 0.0)
    tokens = np.full((1, B * K), start)
    weights: list[Array] = []
    done = np.zeros(B * K, bool)
    while not done.all() and len(tokens) <= max_length:
        e = _one_step(model, "embedding", tokens[-1:])
        with no_cache():
            features, state, run_cache = model.run(e, state, memory)
        log_p = _log_softmax(_checked_logits(_one_step(model, "output", features)[0]))
        V = log_p.shape[1]
        if end >= V:
            raise ValueError(f"end: expected a token in 0..{V - 1}, got {end}")
        # After its end a target goes on with end tokens, which cost nothing.
        log_p[done] = np.where(np.arange(V) == end, 0, -np.inf)
        row, token, total = _likeliest(total[:, None] + log_p, K)
        state = map_tree(lambda s: s[row], state)  # noqa: B023
        tokens = np.vstack([tokens[:, row], token])
        if run_cache.look is not None:
            weights = [w[row] for w in (*weights, run_cache.look.weights[0])]
        done = done[row] | (token == end)
    tokens, likeliest = tokens[1:, ::K], np.array(weights)[:, ::K] if weights else None
    n = np.where((tokens == end).any(axis=0), np.argmax(tokens == end, axis=0), len(tokens))
    return Decoded(tokens, n, total[::K], likeliest)


def _likeliest(log_p: Array, K: int) -> tuple[Array, Array, Array]:
    """Of all continuations of a source's K beginnings the K likeliest, in their order.

    log_p: (B K, V), of each beginning with each next token. Returns for each of the B K that are
    kept the row of its beginning, its next token, and its log_p.
    """
    V = log_p.shape[1]
    of_source = log_p.reshape(-1, K * V)
    best = np.argsort(-of_source, axis=1, kind="stable")[:, :K]
    row = K * np.arange(len(best))[:, None] + best // V
    return row.ravel(), best.ravel() % V, np.take_along_axis(of_source, best, axis=1).ravel()


def _log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _one_step(model: Seq2Seq, name: str, x: Array) -> Array:
    with model.at(name) as part, no_cache():
        y, state, _ = part.forward(x)
        if leaves(state):
            raise ValueError("expected a layer without a state, for each step by itself")
    result: Array = y
    return result
