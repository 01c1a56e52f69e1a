"""Use of trained models, one step at a time: text from a language model, forecasts from a
forecaster, sequences from an encoder and decoder.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from minirnn import checks
from minirnn.engine.threads import OneBlasThread
from minirnn.protocol import Layer, State, check_streams, map_tree, no_cache, without_step


def sample(
    model: Any, prompt: ArrayLike, temperature: float = 1.0, top_k: int | None = None,
    state: State = None, rng: Any = None,
) -> Iterator[tuple[int, State]]:  # fmt: skip
    """Yield one token after the other, without end, each with the state that the model was left in.

    model: from tokens (T, 1) to logits (T, 1, V). prompt: tokens (T,) to begin with, at least one.
    A token is drawn from softmax(logits / temperature), for temperature 0 it is the likeliest;
    top_k: only among the k likeliest. To go on later, pass the last token as the prompt and the
    state that came with it.
    """
    prompt = checks.array(prompt, "prompt", ("T",), None, "iu")
    temperature = checks.number(temperature, "temperature", 0)
    top_k = None if top_k is None else checks.size(top_k, "top_k")
    check_streams(model, prompt[:, None], prompt[:, None])
    rng = checks.generator(rng)
    by_step = not without_step(model)
    while True:
        if by_step and len(prompt) == 1:
            with OneBlasThread():  # for the same bits whatever its number of threads
                y, state = model.step(prompt, state)
        else:
            with no_cache():
                y, state, _ = model.forward(prompt[:, None], state)
            y = y[-1]
        logits = y[0].astype(np.float64)
        if not logits.max() < np.inf:
            raise ValueError(f"model: expected finite logits or -inf, got {logits.max()}")
        if temperature == 0:
            token = int(np.argmax(logits))
        else:
            if top_k is not None:
                logits[np.argsort(-logits, kind="stable")[top_k:]] = -np.inf
            p = np.exp((logits - logits.max()) / temperature)
            token = int(rng.choice(len(p), p=p / p.sum()))
        yield token, state
        prompt = np.array([token])


def free_run(
    model: Layer, x: ArrayLike, steps: int, state: State = None, next_x: Callable | None = None
) -> np.ndarray:
    """Forecast ``steps`` steps after the sequence x (T, B, D), each from the forecast before it.

    model: from (T, B, D) to (T, B, K), what comes after each step. next_x: makes the next input
    (B, D) of a forecast (B, K) and the number of its step; without it the forecast is the input.
    Returns (steps, B, K).
    """
    x, steps = checks.floats(x, "x"), checks.size(steps, "steps")
    check_streams(model, x, x)
    forecasts: list[np.ndarray] = []
    for k in range(steps):
        with no_cache():
            y, state, _ = model.forward(x, state)
        forecasts.append(y[-1])
        x = (y[-1] if next_x is None else np.asarray(next_x(y[-1], k)))[None]
    return np.array(forecasts)


class Decoded(NamedTuple):
    """What ``decode`` has written."""

    tokens: np.ndarray  # (S, B); after its end a sequence holds end tokens
    lengths: np.ndarray  # (B,): tokens before the end token; S if there is none
    log_probability: np.ndarray  # (B,): natural, of the tokens, the end token among them
    weights: np.ndarray | None  # (S, B, T): attention


def decode(
    model: Any, source: Any, start: int, end: int, max_length: int, lengths: Any = None,
    beam: int = 1,
) -> Decoded:  # fmt: skip
    """Let a ``Seq2Seq`` write the likeliest target that it finds for each source.

    start, end: the tokens before the first and after the last. beam: how many beginnings of a
    target are kept at each step; 1 is greedy, more finds likelier ones (Graves 2012).
    lengths: (B,), of the sources.
    """
    start, end = checks.size(start, "start", 0), checks.size(end, "end", 0)
    K, max_length = checks.size(beam, "beam"), checks.size(max_length, "max_length")
    with no_cache():
        memory, state, _ = model.read(source, lengths)
    B = memory.m.shape[1]
    # Row b * K + k is the k-th likeliest beginning for source b. At first there is only one.
    memory = type(memory)(*(None if a is None else np.repeat(a, K, axis=1) for a in memory))
    state = map_tree(lambda s: np.repeat(s, K, axis=0), state)
    total = np.where(np.arange(B * K) % K, -np.inf, 0.0)
    tokens = np.full((1, B * K), start)
    weights: list[np.ndarray] = []
    done = np.zeros(B * K, bool)
    for _ in range(max_length):
        e, _, _ = model.parts["embedding"].forward(tokens[-1:])
        with no_cache():
            features, state, (_, _, look_cache) = model.run(e, state, memory)
        logits = model.parts["output"].forward(features)[0][0].astype(np.float64)
        log_p = logits - logits.max(axis=1, keepdims=True)
        log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
        V = log_p.shape[1]
        log_p[done] = np.where(np.arange(V) == end, 0, -np.inf)
        candidates = (total[:, None] + log_p).reshape(B, K * V)
        best = np.argsort(-candidates, axis=1, kind="stable")[:, :K]
        total = np.take_along_axis(candidates, best, axis=1).ravel()
        row = (np.arange(B)[:, None] * K + best // V).ravel()
        state = map_tree(lambda s: s[row], state)  # noqa: B023
        tokens = np.vstack([tokens[:, row], best.ravel() % V])
        if look_cache is not None:
            weights = [w[row] for w in (*weights, look_cache.weights[0])]
        done = done[row] | (tokens[-1] == end)
        if done.all():
            break
    tokens, likeliest = tokens[1:, ::K], np.array(weights)[:, ::K] if weights else None
    n = np.where((tokens == end).any(axis=0), np.argmax(tokens == end, axis=0), len(tokens))
    return Decoded(tokens, n, total[::K], likeliest)
