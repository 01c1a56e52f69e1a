"""Vanishing and exploding gradients: a matrix of a given spectral radius, clipping by norm."""

from collections.abc import Callable

import numpy as np

from minirnn.exercises.common import Wrong, exercise, judge_against


def _radius(W):
    return np.abs(np.linalg.eigvals(W)).max()


@exercise(
    "What happens to the eigenvalues of W when W is multiplied by a number?",
    "Find the largest size of an eigenvalue. They may be complex: the size is np.abs of them.",
    "return W * (radius / np.abs(np.linalg.eigvals(W)).max())",
)
def spectral_scale(student: Callable) -> str:
    """``spectral_scale(W, radius)``: W times the number that makes its spectral radius this."""
    rng = np.random.default_rng(0)

    def scaled(size):
        def slip(W, radius):
            with np.errstate(all="ignore"):
                return W * (radius / size(W))

        return slip

    def times_radius(W, radius):
        return radius * W

    def eigenvalue_not_size(W, radius):
        return (W * radius / np.linalg.eigvals(W).max()).real

    return judge_against(
        student,
        lambda W, radius: W * (radius / _radius(W)),
        {
            "diagonal 2, 1; radius 1": (np.diag([2.0, 1.0]), 1.0),
            "diagonal 2, 1; radius 0.5": (np.diag([2.0, 1.0]), 0.5),
            "diagonal -3, 1, whose largest eigenvalue in size is negative": (
                np.diag([-3.0, 1.0]),
                1.0,
            ),
            "a rotation by 90 degrees times 2, whose eigenvalues are 2i and -2i": (
                np.array([[0.0, -2.0], [2.0, 0.0]]),
                1.0,
            ),
            "1 5 / 0 0.5, whose eigenvalues 1, 0.5 are not its singular values": (
                np.array([[1.0, 5.0], [0.0, 0.5]]),
                1.0,
            ),
            "diagonal 1, 2; radius 4: the largest is not the first, and must grow": (
                np.diag([1.0, 2.0]),
                4.0,
            ),
            "random numbers (6, 6), radius 1.2": (rng.normal(size=(6, 6)), 1.2),
        },
        {
            "the largest singular value (the spectral norm) is made the radius, not the largest "
            "eigenvalue": scaled(lambda W: np.linalg.norm(W, 2)),
            "the Frobenius norm is made the radius (np.linalg.norm of a matrix, without 2)": scaled(
                np.linalg.norm
            ),
            "the first eigenvalue is used as the largest: eigvals does not sort them": scaled(
                lambda W: np.abs(np.linalg.eigvals(W))[0]
            ),
            "a matrix whose radius is below the new one is left as it is: scale it up": (
                lambda W, radius: W * min(1.0, radius / _radius(W))
            ),
            "the largest entry is made the radius": scaled(lambda W: np.abs(W).max()),
            "the largest eigenvalue, not the largest in size: take np.abs of all before max": (
                eigenvalue_not_size
            ),
            "the largest eigenvalue, maybe a complex number: take np.abs of all before max": scaled(
                lambda W: np.linalg.eigvals(W).max()
            ),
            "the largest real part is used as the size of a complex eigenvalue": scaled(
                lambda W: np.abs(np.linalg.eigvals(W).real).max()
            ),
            "the largest real part of an eigenvalue is used as its size": scaled(
                lambda W: np.linalg.eigvals(W).real.max()
            ),
            "W is multiplied by radius without being divided by the radius that it has": (
                times_radius
            ),
            "W is divided by its radius, and the new radius is not used": lambda W, radius: (
                W / _radius(W)
            ),
        },
        {"the matrix": ("row", "column")},
    )


def _clipped(grads, max_norm, norm=None, always=False, after=False):
    size = np.sqrt(sum(np.sum(g**2) for g in grads.values())) if norm is None else norm(grads)
    scale = max_norm / size if always or size > max_norm else 1.0
    return {name: scale * g for name, g in grads.items()}, scale * size if after else size


@exercise(
    "All arrays together are one long row of numbers. What is its length? By which one number must "
    "the row be multiplied to be at most max_norm long?",
    "norm = sqrt of the sum over all arrays of np.sum(g**2). If it is above max_norm, multiply "
    "every array by max_norm / norm, otherwise leave them as they are.",
    "norm = np.sqrt(sum(np.sum(g**2) for g in grads.values())); scale = max_norm / norm if norm > "
    "max_norm else 1.0; return {name: scale * g for name, g in grads.items()}, norm",
)
def clip_by_norm(student: Callable) -> str:
    """``clip_by_norm(grads, max_norm)``: the clipped gradients, and the norm before."""

    def case(W, b, max_norm):
        return {"W": np.array(W, float), "b": np.array(b, float)}, max_norm

    def flat(function):
        def run(grads, max_norm):
            found = function(grads, max_norm)
            if not isinstance(found, (tuple, list)) or len(found) != 2:
                raise Wrong("Expected two results: the dictionary of clipped gradients, the norm.")
            clipped, norm = found
            if not isinstance(clipped, dict) or set(clipped) != {"W", "b"}:
                got = list(clipped) if isinstance(clipped, dict) else type(clipped).__name__
                raise Wrong(f"Expected a dictionary with the names W, b, got {got}.")
            return clipped["W"], clipped["b"], norm

        return run

    def each(grads, max_norm):
        alone = {name: _clipped({name: g}, max_norm)[0][name] for name, g in grads.items()}
        return alone, _clipped(grads, max_norm)[1]

    def by_value(grads, max_norm):
        cut = {name: np.clip(g, -max_norm, max_norm) for name, g in grads.items()}
        return cut, _clipped(grads, max_norm)[1]

    def with_options(**options):
        return flat(lambda grads, max_norm: _clipped(grads, max_norm, **options))

    def largest(grads):
        return max(np.linalg.norm(g) for g in grads.values())

    rng = np.random.default_rng(0)
    return judge_against(
        flat(student),
        flat(_clipped),
        {
            "W = 0.3, b = 0.4, max_norm 1: nothing to clip": case([[0.3]], [0.4], 1.0),
            "W = 3 4, b = 0, max_norm 1: W alone": case([[3.0, 4.0]], [0.0], 1.0),
            "W = 3, b = 4, max_norm 2: both": case([[3.0]], [4.0], 2.0),
            "W = 0.8, b = 0.8, max_norm 1: too long only together": case([[0.8]], [0.8], 1.0),
            "random numbers, max_norm 0.5": case(rng.normal(size=(2, 3)), rng.normal(size=3), 0.5),
            "all zeros, max_norm 1": case(np.zeros((2, 2)), [0.0], 1.0),
        },
        {
            "each array is clipped alone. Then they are not scaled by the same number, and "
            "the direction changes": flat(each),
            "every entry is clipped to +-max_norm. That is clipping by value, and changes the "
            "direction": flat(by_value),
            "gradients below max_norm are scaled up to it: leave them as they are": with_options(
                always=True
            ),
            "the square root of the sum of squares is missing": with_options(
                norm=lambda grads: sum(np.sum(g**2) for g in grads.values())
            ),
            "the norms of the arrays are added up. Add their squares, then take the root": (
                with_options(norm=lambda grads: sum(np.linalg.norm(g) for g in grads.values()))
            ),
            "the norm is that of the largest array, not of all together": with_options(
                norm=largest
            ),
            "the second result is the norm after clipping: return the one before": with_options(
                after=True
            ),
            "the gradients are returned unchanged: nothing is clipped": flat(
                lambda grads, max_norm: (grads, _clipped(grads, 1.0)[1])
            ),
        },
        {"W": ("row", "column"), "b": ("entry",), "the norm": ()},
    )
