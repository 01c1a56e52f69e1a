"""Wrong answers to the exercises of chapter 16."""

import numpy as np


def taps(place, W_of=lambda W, k: W[k], first=0):
    """A convolution whose tap k looks at the step that place(t, k, dilation, T) says."""

    def causal_conv(x, W, dilation):
        T, B, _ = x.shape
        y = np.zeros((T, B, W.shape[2]))
        for t in range(T):
            for k in range(first, len(W)):
                s = place(t, k, dilation, T)
                if 0 <= s < T:
                    y[t] += x[s] @ W_of(W, k)
        return y

    return causal_conv


def cut(x, W, dilation):
    T, reach = len(x), (len(W) - 1) * dilation
    return np.array([
        sum(x[t - k * dilation] @ W[k] for k in range(len(W))) for t in range(reach, T)
    ])  # fmt: skip


def ones(T):
    return np.tril(np.ones((T, T)), -1).astype(bool)


WRONG = {
    "causal_conv": [
        (taps(lambda t, k, d, T: t + k * d), "sees the future"),
        (taps(lambda t, k, d, T: t - k * d, lambda W, k: W[-1 - k]), "taps are in reverse order"),
        (taps(lambda t, k, d, T: t - k), "dilation is not used"),
        (taps(lambda t, k, d, T: max(t - k * d, 0)), "not the first input"),
        (taps(lambda t, k, d, T: (t - k * d) % T), "as a ring"),
        (taps(lambda t, k, d, T: t - k * d, first=1), "to the step itself, is left out"),
        (cut, "dilation"),
        (taps(lambda t, k, d, T: t - k - d + 1), "taps 1 and 10, dilation 2"),
    ],
    "receptive_field": [
        (lambda K, d: (K - 1) * sum(d), "present step is not counted"),
        (lambda K, d: 1 + K * sum(d), "not K times"),
        (lambda K, d: 1 + sum(d), "not once"),
        (lambda K, d: len(d) + (K - 1) * sum(d), "once for each layer"),
        (lambda K, d: 1 + (K - 1) * len(d), "dilations are not used"),
        (lambda K, d: K ** len(d), "holds for dilations 1, K"),
        (lambda K, d: K * sum(d), "is not what a layer adds"),
    ],
    "causal_mask": [
        (ones, "itself is left out"),
        (lambda T: np.arange(T)[:, None] <= np.arange(T), "swapped"),
        (lambda T: np.arange(T)[:, None] < np.arange(T), "True where it must be False"),
        (lambda T: np.ones((T, T), bool), "nothing is masked"),
        (lambda T: np.arange(T) >= 0, "shape"),
        (lambda T: np.tri(T), "not True and False"),
        (lambda T: np.eye(T, dtype=bool), "only at itself"),
    ],
}
