"""CTC beside PyTorch's, loss and gradient with respect to the logits: ``python -m benchmarks.ctc``.

PyTorch's is log_softmax, ctc_loss and backward. Both run by turns, in one process; the ratio is
that of the medians.
"""

import sys

import numpy as np

import minirnn as mr
from benchmarks import work

SHAPES = [(200, 32, 30, 40), (1000, 16, 100, 150)]  # (T, B, V, S)


def pair(shape, dtype):
    """The functions by name, and how far their gradients are apart."""
    T, B, V, S = shape
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(T, B, V)).astype(dtype), rng.integers(1, V, (S, B))
    who = {"minirnn": lambda: mr.ctc(logits, target)}
    if not work.PEERS["torch"]:
        return who, np.nan
    import torch

    x, labels = torch.tensor(logits, requires_grad=True), torch.tensor(target.T.copy())
    steps, n = torch.full((B,), T), torch.full((B,), S)

    def theirs():
        x.grad = None
        y = x.log_softmax(-1)
        (torch.nn.functional.ctc_loss(y, labels, steps, n, reduction="sum") / B).backward()

    theirs()
    return who | {"torch": theirs}, abs(x.grad.numpy() - mr.ctc(logits, target)[1]).max()


def main(quick=False):
    print(
        f"{'(T, B, V, S)':<22}{'dtype':<9}{'threads':>7}{'minirnn ms':>12}{'torch ms':>10}", end=""
    )
    print(f"{'ratio':>7}{'gradients apart by':>20}")
    for shape in SHAPES[: 1 if quick else None]:
        for dtype in work.DTYPES:
            who, apart = pair(shape, dtype)
            for n in work.thread_counts(quick):
                work.set_threads(n)
                found = work.turn_times(who, 1 if quick else 5, 0.01 if quick else 0.5)
                ours, theirs = (
                    1e3 * float(np.median(found.get(f"{name} s", np.nan)))
                    for name in ("minirnn", "torch")
                )
                print(f"{shape!s:<22}{dtype:<9}{n:>7}{ours:>12.1f}{theirs:>10.1f}", end="")
                print(f"{theirs / ours:>7.2f}{apart:>20.1e}", flush=True)


if __name__ == "__main__":
    main("--quick" in sys.argv)
