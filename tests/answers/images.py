"""Wrong answers to the exercises of chapter 10."""

import numpy as np


def reshaped(images):
    N, T, D = images.shape
    return images.reshape(T, N, D) / 16


def own_maximum(images):
    return images.transpose(1, 0, 2) / images.max(axis=(1, 2))[None, :, None]


def flattened(images):
    return images.reshape(len(images), -1).T / 16


def one_after_the_other(forward, backward, x):
    u = forward(x)
    return side_by_side(u, backward(u[::-1])[::-1])


def joined(function):
    def bidirectional(forward, backward, x):
        return function(forward(x), backward(x[::-1])[::-1])

    return bidirectional


def side_by_side(u, v):
    return np.concatenate([u, v], axis=-1)


WRONG = {
    "rows": [
        (lambda a: a.transpose(2, 0, 1) / 16, "the columns are the steps"),
        (reshaped, "images and rows are mixed"),
        (lambda a: a.transpose(1, 0, 2), "not scaled"),
        (lambda a: a.transpose(1, 0, 2) / 255, "255"),
        (lambda a: a.transpose(1, 0, 2) // 16, "whole numbers"),
        (lambda a: a.transpose(1, 0, 2) / a.max(), "the images at hand"),
        (own_maximum, "its own largest"),
        (lambda a: a / 16, "batch first"),
        (flattened, "x: expected the shape"),
    ],
    "bidirectional": [
        (lambda f, b, x: side_by_side(f(x), b(x[::-1])), "not reversed again"),
        (lambda f, b, x: side_by_side(f(x), b(x)), "same direction"),
        (lambda f, b, x: side_by_side(f(x), b(x)[::-1]), "only its answers"),
        (joined(np.add), "added"),
        (joined(lambda u, v: side_by_side(v, u)), "wrong order"),
        (joined(lambda u, v: np.concatenate([u, v])), "time axis"),
        (lambda f, b, x: side_by_side(f(x), b(x[:, ::-1])), "the batch is reversed"),
        (lambda f, b, x: side_by_side(f(x), np.flip(b(np.flip(x)))), "all axes"),
        (lambda f, b, x: side_by_side(f(x), f(x[::-1])[::-1]), "used for both directions"),
        (one_after_the_other, "both have to read x"),
        (lambda f, b, x: side_by_side(f(x)[-1], b(x[::-1])[-1]), "only the ends"),
    ],
}
