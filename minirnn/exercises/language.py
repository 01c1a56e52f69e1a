"""Language: perplexity, softmax with a temperature, and a table of pairs of characters."""

from collections.abc import Callable

import numpy as np

from minirnn.exercises.common import exercise, judge_against


@exercise(
    "Perplexity is exp of something: of what, and with which sign?",
    "Take the mean over all characters first; it is negative. Perplexity is at least 1.",
    "One line: np.exp(-np.mean(log_probs)). The logarithms are natural ones already.",
)
def perplexity(student: Callable) -> str:
    """``perplexity(log_probs)``: of natural log probabilities (N,), one for each character."""

    def right(log_probs):
        return np.exp(-np.mean(log_probs))

    return judge_against(
        student,
        right,
        {
            "one character, predicted with certainty (p = 1)": (np.zeros(1),),
            "one character of p = 1/8: as unsure as among 8": (np.log([1 / 8]),),
            "three characters, each of p = 1/4: as unsure as among 4": (np.log([0.25] * 3),),
            "two characters, p = 1/2 and p = 1/8: 1 bit and 3 bits, 2 on average": (
                np.log([1 / 2, 1 / 8]),
            ),
            "four characters, p = 0.9, 0.01, 0.3, 0.2": (np.log([0.9, 0.01, 0.3, 0.2]),),
            "5000 characters of p = 1/8, whose product is too small for a number": (
                np.full(5000, np.log(1 / 8)),
            ),
        },
        {
            "the sign: logarithms of probabilities are negative, and exp of their mean is "
            "below 1. Perplexity is at least 1": lambda a: np.exp(np.mean(a)),
            "the sum instead of the mean; it grows with the length of the text": lambda a: np.exp(
                -np.sum(a)
            ),
            "2 to the power of *nats*. 2 goes with log2, exp with natural logarithms": lambda a: (
                2 ** -np.mean(a)
            ),
            "exp of *bits*. exp goes with the natural logarithm, 2 with bits": lambda a: np.exp(
                -np.mean(a) / np.log(2)
            ),
            "these are nats, the mean surprise. Perplexity is exp of them": lambda a: -np.mean(a),
            "these are bits per character. Perplexity is 2 to their power": lambda a: (
                -np.mean(a) / np.log(2)
            ),
            "the mean of 1/p. The mean has to be taken of the logarithms, before exp": lambda a: (
                np.mean(np.exp(-a))
            ),
            "1 over the mean of p. Take the mean of the logarithms, before exp": lambda a: (
                1 / np.mean(np.exp(a))
            ),
            "a perplexity for each character; return one number for the text": lambda a: np.exp(-a),
            "only the last character counts": lambda a: np.exp(-a[-1]),
            "10 to the power of nats. exp goes with the natural logarithm": lambda a: (
                10 ** -np.mean(a)
            ),
            "exp of the sum of -p log p, as for an entropy. In a text each character already "
            "counts as often as it occurs: take the plain mean": lambda a: np.exp(
                -np.sum(np.exp(a) * a)
            ),
            "the median instead of the mean": lambda a: np.exp(-np.median(a)),
            "divided by N - 1, not by N": lambda a: np.exp(-np.sum(a) / (len(a) - 1)),
            "the probabilities are multiplied before the root is taken; a long product is 0. Add "
            "logarithms": lambda a: np.prod(np.exp(a)) ** (-1 / len(a)),
        },
        {"perplexity": ()},
    )


def _softmax(z, axis=-1):
    p = np.exp(z - z.max(axis=axis, keepdims=True))
    return p / p.sum(axis=axis, keepdims=True)


def _plain(z):
    p = np.exp(z)
    return p / p.sum(axis=-1, keepdims=True)


def _first_axis(a, T):
    return _softmax(a / T, 0)


def _everything(a, T):
    p = np.exp(a / T - np.max(a / T))
    return p / p.sum()


def _without_division(a, T):
    return np.exp((a - a.max(axis=-1, keepdims=True)) / T)


def _highest_of_all(a, T):
    """Stable for the highest row, 0 / 0 in a row far below it."""
    return _plain((a - a.max()) / T)


def _highest_unheated(a, T):
    return _plain(a / T - a.max(axis=-1, keepdims=True))


@exercise(
    "Divide the logits by T first; then it is an ordinary softmax. Along which axis?",
    "softmax(z) does not change if the same number is subtracted from all z of a row. Which number "
    "makes the largest exponent 0?",
    "z = (logits - logits.max(axis=-1, keepdims=True)) / T; p = np.exp(z); divide by its sum over "
    "the last axis, with keepdims=True.",
)
def temperature(student: Callable) -> str:
    """``temperature(logits, T)``: softmax of logits / T over the last axis of logits (..., V)."""

    def right(a, T):
        return _softmax(a / T)

    two = np.array([0.0, np.log(3.0)])  # probabilities 1/4 and 3/4 at T = 1
    rng = np.random.default_rng(0)
    many = rng.normal(size=(3, 2, 4))
    rows = np.array([[0.0, 1.0, -2.0], [5.0, 4.0, 4.5]])
    far = np.array([[1000.0, 999.0, 0.0], [-1000.0, -1001.0, -1000.0]])
    return judge_against(
        student,
        right,
        {
            "two equal logits, T = 1": (np.zeros(2), 1.0),
            "logits 0 and log 3, T = 1: an ordinary softmax, 1/4 and 3/4": (two, 1.0),
            "the same, T = 0.5: 1/10 and 9/10": (two, 0.5),
            "the same, T = 2": (two, 2.0),
            "two rows of three logits (2, 3), T = 0.7": (rows, 0.7),
            "steps and batch, (T, B, V) = (3, 2, 4), T = 1.5": (many, 1.5),
            "large logits, 1000 and 999, T = 1": (np.array([1000.0, 999.0]), 1.0),
            "small logits, -1000 and -999, T = 1": (np.array([-1000.0, -999.0]), 1.0),
            "logits 10 and 9, T = 0.01: divided by T they are large": (np.array([10.0, 9.0]), 0.01),
            "a row of large logits above a row of small ones": (far, 1.0),
        },
        {
            "np.exp overflows. Subtract the largest logit of each row first: the "
            "probabilities stay the same": lambda a, T: _plain(a / T),
            "multiplied by T. A high temperature has to flatten: divide": lambda a, T: _softmax(
                a * T
            ),
            "multiplied by T, and np.exp overflows": lambda a, T: _plain(a * T),
            "the probabilities are divided by T, not the logits; they no longer sum to "
            "1": lambda a, T: _softmax(a) / T,
            "the probabilities are divided by T, not the logits; np.exp overflows": lambda a, T: (
                _plain(a) / T
            ),
            "the softmax of probabilities divided by T: it is taken twice": lambda a, T: _softmax(
                _softmax(a) / T
            ),
            "T comes in after the softmax, as a power, not divided by the new sum": lambda a, T: (
                _softmax(a) ** (1 / T)
            ),
            "T comes in after the softmax, as the power T": lambda a, T: (
                _softmax(a) ** T / (_softmax(a) ** T).sum(axis=-1, keepdims=True)
            ),
            "T is not used": lambda a, T: _softmax(a),
            "T is not used, and np.exp overflows": lambda a, T: _plain(a),
            "the softmax is over the first axis; the classes are on the last one": _first_axis,
            "the softmax is over the first axis, and np.exp overflows": lambda a, T: (
                np.exp(a / T) / np.exp(a / T).sum(axis=0, keepdims=True)
            ),
            "the sum is over all axes; each row has to sum to 1 by itself": _everything,
            "the sum is over all axes, and np.exp overflows": lambda a, T: (
                np.exp(a / T) / np.exp(a / T).sum()
            ),
            "not divided by the sum": _without_division,
            "not divided by the sum, and np.exp overflows": lambda a, T: np.exp(a / T),
            "the logarithm of the probabilities": lambda a, T: np.log(_softmax(a / T)),
            "the largest logit of *all* rows is subtracted; a row far below it becomes 0 / 0. "
            "Subtract the largest of each row": _highest_of_all,
            "the largest *absolute* logit is subtracted. If all are far below 0, every exponent "
            "underflows": lambda a, T: _plain((a - abs(a).max(axis=-1, keepdims=True)) / T),
            "what is subtracted is not divided by T, so that the largest exponent is not 0 and may "
            "overflow": _highest_unheated,
        },
        {"probabilities": ()},
    )


def _pairs(tokens, V, step=1, last=0, once=False):
    n = np.zeros((V, V))
    a, b = tokens[: len(tokens) - step - last], tokens[step : len(tokens) - last]
    if once:
        n[a, b] += 1
    else:
        np.add.at(n, (a, b), 1)
    return n


def _table(n, s, axis=1, kinds=None):
    return (n + s) / (n.sum(axis=axis, keepdims=True) + s * (len(n) if kinds is None else kinds))


def _all_tokens(tokens, V, s):
    """Divided by how often the character occurs, the last one too, which nothing follows."""
    total = np.bincount(tokens, minlength=V)[:, None]
    return (_pairs(tokens, V) + s) / (total + s * V)


def _round_the_end(tokens, V, s):
    return _table(_pairs(np.append(tokens, tokens[0]), V), s)


def _afterwards(tokens, V, s):
    n = _pairs(tokens, V)
    return n / n.sum(axis=1, keepdims=True) + s


def _joint(tokens, V, s):
    n = _pairs(tokens, V) + s
    return n / n.sum()


def _seen_only(tokens, V, s):
    n = _pairs(tokens, V)
    kinds = (n > 0).sum(axis=1, keepdims=True)
    return np.where(n > 0, (n + s) / np.maximum(n.sum(axis=1, keepdims=True) + s * kinds, s), 0)


@exercise(
    "Go through the pairs (token, next token) and count each in a table (V, V): row the first, "
    "column the second.",
    "N tokens have N - 1 pairs. Add the smoothing to every cell of the table before you divide "
    "each row by its sum: then V times the smoothing is in the sum by itself.",
    "n = np.zeros((V, V)); np.add.at(n, (text_tokens[:-1], text_tokens[1:]), 1); n += smoothing; "
    "return n / n.sum(axis=1, keepdims=True).",
)
def bigram(student: Callable) -> str:
    """``bigram(text_tokens, V, smoothing)``: P (V, V), row a: what comes after a."""

    def right(tokens, V, s):
        return _table(_pairs(tokens, V), s)

    rng = np.random.default_rng(0)
    a = np.array
    return judge_against(
        student,
        right,
        {
            "one token, so no pair: all equally likely (V = 2, s = 1)": (a([1]), 2, 1.0),
            "tokens 0 1, the one pair 0 1 (V = 2, s = 1)": (a([0, 1]), 2, 1.0),
            "tokens 0 0 0, the pair 0 0 twice (V = 2, s = 1)": (a([0, 0, 0]), 2, 1.0),
            "tokens 0 1 2 0 1 1, s = 1": (a([0, 1, 2, 0, 1, 1]), 3, 1.0),
            "the same, s = 0.25": (a([0, 1, 2, 0, 1, 1]), 3, 0.25),
            "the same, V = 5: tokens 3 and 4 never occur": (a([0, 1, 2, 0, 1, 1]), 5, 0.25),
            "200 tokens, V = 6, s = 0.5": (rng.integers(0, 6, 200), 6, 0.5),
        },
        {
            "the table is transposed: row a must say what comes *after* a, and sum to "
            "1": lambda t, V, s: right(t, V, s).T,
            "the pairs are reversed: these are what came *before*": lambda t, V, s: _table(
                _pairs(t, V).T, s
            ),
            "each pair counts once, however often it occurs. n[a, b] += 1 with arrays does that; "
            "np.add.at adds them all": lambda t, V, s: _table(_pairs(t, V, once=True), s),
            "the last pair is left out": lambda t, V, s: _table(_pairs(t, V, last=1), s),
            "the first pair is left out": lambda t, V, s: _table(_pairs(t[1:], V), s),
            "the pairs are two steps apart": lambda t, V, s: _table(_pairs(t, V, step=2), s),
            "the columns are divided by their sums, not the rows": lambda t, V, s: _table(
                _pairs(t, V), s, axis=0
            ),
            "divided by the sum of the whole table: these are the probabilities of pairs. Divide "
            "each row by its own sum": _joint,
            "s is added to the counts but is missing below: each row has V cells, so s V has "
            "to be added": lambda t, V, s: _table(_pairs(t, V), s, kinds=0),
            "below, s is added once; each row has V cells, so it has to be s V": lambda t, V, s: (
                _table(_pairs(t, V), s, kinds=1)
            ),
            "below, V is added instead of s V": lambda t, V, s: (
                (_pairs(t, V) + s) / (_pairs(t, V).sum(axis=1, keepdims=True) + V)
            ),
            "the smoothing is added after dividing; rows then sum to more than 1": _afterwards,
            "the smoothing is always 1": lambda t, V, s: _table(_pairs(t, V), 1.0),
            "only pairs that occur are smoothed. What was never seen has to get s, too": _seen_only,
            "there is no smoothing": lambda t, V, s: _table(_pairs(t, V), 0.0),
            "the counts, not divided": lambda t, V, s: _pairs(t, V) + s,
            "the counts, without smoothing and not divided": lambda t, V, s: _pairs(t, V),
            "rows are divided by how often the character occurs in the text. The last one has no "
            "successor; divide by the sum of the row": _all_tokens,
            "the end of the text is joined to its beginning, which makes one pair too many": (
                _round_the_end
            ),
            "each pair is counted in both directions": lambda t, V, s: _table(
                _pairs(t, V) + _pairs(t, V).T, s
            ),
            "the sums of the rows divide the columns: column b is divided by the sum of row b. "
            "keepdims=True keeps them upright": lambda t, V, s: (
                (_pairs(t, V) + s) / (_pairs(t, V).sum(axis=1) + s * V)
            ),
            "the logarithm of the probabilities": lambda t, V, s: np.log(right(t, V, s)),
        },
        {"P": ("after token", "next token")},
    )
