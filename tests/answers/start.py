"""Wrong answers to the exercises of chapter 0."""

import numpy as np


def first_axis_only(x):
    return np.array([sequence[0] for sequence in x])


def in_place(x):
    x *= 2
    return x.transpose(1, 0, 2)


WRONG = {
    "time_first": [
        (lambda x: x.reshape(x.shape[1], x.shape[0], x.shape[2]), "reshape"),
        (lambda x: x.T, "axes 0 and 2 change places"),
        (lambda x: np.swapaxes(x, 1, 2), "axes 1 and 2"),
        (lambda x: x.transpose(1, 2, 0), "(T, D, B)"),
        (lambda x: x.transpose(2, 0, 1), "(D, B, T)"),
        (lambda x: x, "x as it is"),
        (lambda x: x.transpose(1, 0, 2)[::-1], "time runs backwards"),
        (first_axis_only, "expected the shape (1, 1, 3), got (1, 3)"),
        (in_place, "changes its argument 'x'"),
    ],
    "lstm_size": [
        (lambda D, H: D * H + H * H + H, "one gate only"),
        (lambda D, H: 4 * (D * H + H * H), "the bias b is missing"),
        (lambda D, H: 4 * (D * H + H * H + 2 * H), "two biases"),
        (lambda D, H: 3 * (D * H + H * H + H), "three gates"),
        (lambda D, H: 4 * (D * H + H), "W_h, from the state"),
        (lambda D, H: 4 * (D * H + H * H) + H, "counted once"),
        (lambda D, H: 4 * (D * H + D * D + D), "exchanged"),
        (lambda D, H: 4 * (D * H + H * H + H) + 1, "there is no constant"),
        (lambda D, H: (D + H) ** 2 * 4, "no matrix goes from the inputs"),
    ],
}
