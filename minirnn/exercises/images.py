"""Images as sequences: rows as steps, and a layer that reads in both directions."""

from collections.abc import Callable

import numpy as np

import minirnn as mr
from minirnn.exercises.common import exercise, judge_against


@exercise(
    "Two things: which axis is time, and how large are the numbers? Look at x[0]: what should it "
    "hold?",
    "x[0] holds the first row of every image, (N, D). So axes 0 and 1 change places; then divide "
    "by the largest value that a pixel can have.",
    "return images.transpose(1, 0, 2) / 16",
)
def rows(student: Callable) -> str:
    """``rows(images)``: images (N, T, D) of whole numbers 0 to 16, as x (T, N, D) from 0 to 1."""

    def right(images, axes=(1, 0, 2), over=16.0):
        return images.transpose(axes) / over

    def reshaped(images):
        N, T, D = images.shape
        return images.reshape(T, N, D) / 16

    def columns(images):
        return right(images, (2, 0, 1))

    def integers(images):
        return right(images) // 1

    def each(images):
        return right(images / np.maximum(images.max(axis=(1, 2), keepdims=True), 1), over=1.0)

    def range_of_all(images):
        return right(images - images.min(), over=np.ptp(images))

    rng = np.random.default_rng(0)
    n, t, d = np.indices((2, 2, 2), dtype=np.uint8)
    return judge_against(
        student,
        right,
        {
            "one image of one row, 0, 8 and 16": (np.array([[[0, 8, 16]]], np.uint8),),
            "two images of 2 x 2 pixels; image n has 8 n + 2 t + d in row t, column d": (
                (8 * n + 2 * t + d).astype(np.uint8),
            ),
            "two images of three rows of four pixels": (
                np.array(rng.integers(0, 13, (2, 3, 4)), np.uint8),
            ),
            "five images of 8 x 8 pixels": (np.array(rng.integers(0, 17, (5, 8, 8)), np.uint8),),
        },
        {
            "the columns are the steps, not the rows": columns,
            "reshape. The shape is right, but the numbers keep their order, so that images and "
            "rows are mixed. Axes have to change places": reshaped,
            "not scaled: the pixels are still 0 to 16": lambda a: right(a, over=1),
            "divided by 255, as for images of bytes; these go up to 16": lambda a: right(
                a, over=255
            ),
            "a division of whole numbers (//): only 0 and 1 are left": integers,
            "divided by the largest value in the images at hand. Another set of images, the test "
            "part for instance, would be scaled by another number": lambda a: right(
                a, over=a.max()
            ),
            "the smallest value is subtracted and divided by the range of the images at hand; "
            "another set would be scaled by other numbers": range_of_all,
            "each image is divided by its own largest value": each,
            "batch first: x[0] is the first image, and not the first row of all": lambda a: a / 16,
            "rows are read from the bottom up": lambda a: right(a)[::-1],
            "the axes are rotated: (T, D, N)": lambda a: right(a, (1, 2, 0)),
            "not scaled, and batch first: nothing has changed": lambda a: a,
            "not scaled, and the columns are the steps": lambda a: right(a, (2, 0, 1), 1),
            "not scaled, and reshaped, which mixes images and rows": lambda a: 16 * reshaped(a),
            "mean and standard deviation; here the pixels are to be divided by 16": lambda a: right(
                a - a.mean(), over=a.std()
            ),
        },
        {"x": ("step t", "image", "pixel")},
    )


def as_it_is(x):
    return x


def tenfold(x):
    return 10 * x


def sum_so_far(x):
    return np.cumsum(x, axis=0)


def tenfold_sum_so_far(x):
    return 10 * np.cumsum(x, axis=0)


@exercise(
    "The second function must see the last step first. And in which order do its answers come?",
    "x[::-1] reverses time. Reverse what `backward` returns once more, so that its answer to step "
    "t is at t. Then put both side by side, along the last axis.",
    "return np.concatenate([forward(x), backward(x[::-1])[::-1]], axis=-1)",
)
def bidirectional(student: Callable) -> str:
    """``bidirectional(forward, backward, x)``: (T, B, 2H), two functions' answers side by side."""

    def both(before=slice(None, None, -1), after=slice(None, None, -1), join=None):
        def slip(forward, backward, x):
            u, v = forward(x), backward(x[before])[after]
            return np.concatenate([u, v], axis=-1) if join is None else join(u, v)

        return slip

    same = slice(None)

    def flipped(axis):
        def slip(forward, backward, x):
            v = np.flip(backward(np.flip(x, axis)), axis)
            return np.concatenate([forward(x), v], axis=-1)

        return slip

    def both_reversed(forward, backward, x):
        return np.concatenate([forward(x[::-1])[::-1], backward(x[::-1])[::-1]], axis=-1)

    def exchanged(forward, backward, x):
        return np.concatenate([forward(x[::-1])[::-1], backward(x)], axis=-1)

    def same_function(forward, backward, x):
        return np.concatenate([forward(x), forward(x[::-1])[::-1]], axis=-1)

    def of_u(forward, backward, x):
        u = forward(x)
        return np.concatenate([u, u[::-1]], axis=-1)

    def in_line(forward, backward, x):
        u = forward(x)
        return np.concatenate([u, backward(u[::-1])[::-1]], axis=-1)

    def step_by_step(forward, backward, x):
        each = [np.concatenate([forward(s[None]), backward(s[None])], axis=-1)[0] for s in x]
        return np.array(each)

    def ends(forward, backward, x):
        return np.concatenate([forward(x)[-1], backward(x[::-1])[-1]], axis=-1)

    rng = np.random.default_rng(0)
    down, up = mr.GRU(3, 3, rng=rng), mr.GRU(3, 3, rng=rng)

    def read_down(x):
        return down.forward(np.ascontiguousarray(x))[0]

    def read_up(x):
        return up.forward(np.ascontiguousarray(x))[0]

    return judge_against(
        student,
        both(),
        {
            "one step; forward returns x, backward 10 x": (as_it_is, tenfold, np.array([[[3.0]]])),
            "three steps 1, 2, 4; forward returns x, backward 10 x": (
                as_it_is, tenfold, np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1),
            ),
            "three steps 1, 2, 4; forward returns the sum so far, backward 10 times that": (
                sum_so_far, tenfold_sum_so_far, np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1),
            ),
            "two GRUs, T = 4, B = 2, D = 3, H = 3": (
                read_down, read_up, rng.normal(size=(4, 2, 3)),
            ),
        },
        {
            "the input of `backward` is reversed, but its answers are not reversed again: at step "
            "t is its answer to step T - 1 - t": both(after=same),
            "`backward` reads in the same direction as `forward`: x is not reversed, or along "
            "another axis than time": both(same, same),
            "`backward` gets x unreversed, and only its answers are reversed": (
                both(before=same)
            ),
            "the two halves are added; they must be side by side": both(join=np.add),
            "the mean of the two halves; they must be side by side": (
                both(join=lambda u, v: (u + v) / 2)
            ),
            "the halves are in the wrong order: `forward`'s comes first": (
                both(join=lambda u, v: np.concatenate([v, u], axis=-1))
            ),
            "joined along the time axis; it is the last axis that becomes 2H": (
                both(join=lambda u, v: np.concatenate([u, v]))
            ),
            "joined along the batch axis; it is the last axis that becomes 2H": (
                both(join=lambda u, v: np.concatenate([u, v], axis=1))
            ),
            "stacked along a new axis; expected (T, B, 2H)": (
                both(join=lambda u, v: np.stack([u, v]))
            ),
            "all of the joined outputs are reversed, `forward`'s half too": (
                both(after=same, join=lambda u, v: np.concatenate([u, v], axis=-1)[::-1])
            ),
            "the batch is reversed, not time: time is axis 0": (
                both((same, slice(None, None, -1)), same)
            ),
            "the features are reversed, not time: time is axis 0": flipped(2),
            "all axes are reversed (np.flip without axis), not only time, axis 0": flipped(None),
            "`forward` reads backwards, too": both_reversed,
            "the directions are exchanged: `forward` reads from the end, `backward` from the "
            "beginning": exchanged,
            "`forward` is used for both directions; `backward` has its own weights": same_function,
            "the second half is the first one reversed; nothing was read from the end": of_u,
            "`backward` reads what `forward` has answered; both have to read x": in_line,
            "the functions are called for each step on its own, and so start from the beginning "
            "each time": (
                step_by_step
            ),
            "the two halves are interleaved, unit by unit; one has to come after the other": (
                both(join=lambda u, v: np.stack([u, v], axis=-1).reshape(*u.shape[:2], -1))
            ),
            "only the ends are returned; return an answer for every step": ends,
        },
        {"y": ("step t", "row", "unit")},
    )  # fmt: skip
