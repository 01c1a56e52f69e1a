"""Wrong answers to the exercises of chapter 6."""

import numpy as np


def total(grads):
    return np.sqrt(sum(np.sum(g**2) for g in grads.values()))


def clipped(grads, scale):
    return {name: scale * g for name, g in grads.items()}


def each_alone(grads, max_norm):
    found = {}
    for name, g in grads.items():
        norm = np.sqrt(np.sum(g**2))
        found[name] = g * min(1.0, max_norm / norm) if norm else g
    return found, total(grads)


def by_value(grads, max_norm):
    return {name: np.clip(g, -max_norm, max_norm) for name, g in grads.items()}, total(grads)


def always(grads, max_norm):
    norm = total(grads)
    with np.errstate(all="ignore"):
        return clipped(grads, max_norm / norm), norm


def squared(grads, max_norm):
    norm = sum(np.sum(g**2) for g in grads.values())
    return clipped(grads, min(1.0, max_norm / norm) if norm else 1.0), norm


def sum_of_norms(grads, max_norm):
    norm = sum(np.sqrt(np.sum(g**2)) for g in grads.values())
    return clipped(grads, max_norm / norm if norm > max_norm else 1.0), norm


def norm_after(grads, max_norm):
    found = clipped(grads, min(1.0, max_norm / max(total(grads), 1e-300)))
    return found, total(found)


def in_place(grads, max_norm):
    norm = total(grads)
    for g in grads.values():
        g *= min(1.0, max_norm / norm)
    return grads, norm


def no_norm(grads, max_norm):
    return clipped(grads, min(1.0, max_norm / max(total(grads), 1e-300)))


def by_zero(grads, max_norm):
    with np.errstate(all="ignore"):
        return clipped(
            grads, np.minimum(1.0, max_norm / total(grads) * (total(grads) / total(grads)))
        ), total(grads)


def half(grads, max_norm):
    norm = total(grads)
    return clipped(grads, 0.5 * max_norm / norm if norm > max_norm else 1.0), norm


def nearly(grads, max_norm):
    norm = total(grads)
    return clipped(grads, max_norm / (norm + 1e-6) if norm > max_norm else 1.0), norm


def real_part(W, radius):
    with np.errstate(all="ignore"):
        return W * (radius / np.linalg.eigvals(W).real.max())


WRONG = {
    "clip_by_norm": [
        (each_alone, "each array is clipped alone"),
        (by_value, "clipping by value"),
        (always, "scaled up to it"),
        (squared, "square root"),
        (sum_of_norms, "added up"),
        (norm_after, "norm after clipping"),
        (in_place, "The .copy() of a dictionary"),
        (nearly, "yours 0.59999988"),
        (no_norm, "Expected two results"),
        (by_zero, "all zeros"),
        (half, "W alone"),
        (lambda grads, max_norm: (grads, total(grads)), "nothing is clipped"),
        (lambda grads, max_norm: (list(grads.values()), 1.0), "Expected a dictionary"),
    ],
    "spectral_scale": [
        (lambda W, radius: W * (radius / np.linalg.norm(W, 2)), "singular value"),
        (lambda W, radius: W * (radius / np.linalg.norm(W)), "Frobenius"),
        (lambda W, radius: W * (radius / np.abs(W).max()), "largest entry"),
        (lambda W, radius: radius * W, "without being divided"),
        (lambda W, radius: W / np.abs(np.linalg.eigvals(W)).max(), "is not used"),
        (lambda W, radius: (W * radius / np.linalg.eigvals(W).max()).real, "np.abs of all"),
        (lambda W, radius: W * radius / abs(np.linalg.eigvals(W))[0], "does not sort"),
        (lambda W, radius: W * min(1, radius / abs(np.linalg.eigvals(W)).max()), "scale it up"),
        (lambda W, radius: W * radius / np.linalg.eigvals(W).max(), "maybe a complex number"),
        (real_part, "largest real part of an eigenvalue"),
        (lambda W, radius: W * (radius / abs(np.linalg.eigvals(W)).min()), "diagonal 2, 1"),
        (lambda W, radius: radius / np.abs(np.linalg.eigvals(W)).max(), "the shape (2, 2)"),
    ],
}
