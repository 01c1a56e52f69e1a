"""Why gradients vanish or explode: the norm of the gradient back through time, and what is behind.

tanh RNNs whose W_h is a random orthogonal matrix times a factor, so that all its eigenvalues lie on
a circle of that radius, and an LSTM with forget bias 1 and with 5. Each gets 100 steps of noise and
a gradient of norm 1 at the last step; the figure is the norm of what is left of it at the first. To
compare with: the bound of Pascanu et al. (2013), radius^99.

``relu RNN``: the largest gradient while a relu RNN learns the adding problem, with and without
clipping, and its test error.
"""

import numpy as np

import minirnn as mr
from minirnn import measure
from minirnn.cells.initializers import identity
from minirnn.datasets.synthetic import adding
from minirnn.experiments import Experiment, Result, Settings

EXPERIMENT = Experiment(
    title="vanishing and exploding gradients: norms through time, eigenvalues, clipping",
    unit="norm, or error",
    digits=".3g",
    seconds=20,
    reference="radius^99",
)
T, H, B = 100, 64, 20
LAG, SCALE = 60, 1.03  # of the relu RNN's task, of the identity that its W_h starts as


def networks(rng):
    """The networks by name, and the radius of their eigenvalues."""
    found = {}
    for radius in (0.8, 1.0, 1.2):
        layer = mr.RNN(1, H, rng=rng)
        layer.params["W_h"][...] *= radius
        found[f"tanh RNN, radius {radius}"] = (layer, radius)
    for bias in (1, 5):
        found[f"LSTM, forget bias {bias}"] = (mr.LSTM(1, H, forget_bias=bias, rng=rng), np.nan)
    return found


def run(settings: Settings) -> Result:
    """Measure all, draw ``gradient-norms.png``, ``eigenvalues.png`` and ``clipping.png`` into
    ``out``; returns the figures by network."""
    seed, _, epochs, quick, progress = settings
    rng = np.random.default_rng(seed)
    x = 0.3 * rng.normal(size=(T, B, 1))
    dy = np.zeros((T, B, H))
    dy[-1] = rng.normal(size=(B, H))
    dy /= np.linalg.norm(dy)
    layers, norms, result = networks(rng), {}, {}
    for name, (layer, radius) in layers.items():
        norms[name] = measure.gradient_norms(
            measure.trace(layer, x, lambda y, target: (0.0, target), dy)
        )
        result[name] = {"gradient at the first step": float(norms[name][0])}
        if np.isfinite(radius):
            result[name]["bound"] = float(radius ** (T - 1))
    curves = {}
    for name, max_norm in (("not clipped", None), ("clipped to norm 1", 1.0)):
        history, error = explode(seed, max_norm, 2 if quick else epochs or 100, progress)
        curves[name] = history
        result[f"relu RNN, {name}"] = {"largest gradient": max(history), "test error": error}
    _, target = adding(np.random.default_rng([seed, 1]), LAG, 1000)
    result["always answer 1"] = {"test error": float(np.mean((target - 1) ** 2))}
    settings.draw(draw, layers, norms, curves)
    return result


def explode(seed, max_norm, epochs, progress):
    """Gradient norms of each batch of a relu RNN, and its test error."""
    rng, norms = np.random.default_rng(seed), []
    model = mr.Sequential(mr.RNN(2, H, "relu", rng=rng), mr.Last(), mr.Linear(H, 1, rng=rng))
    model.params["0.W_h"][...] = identity(H, SCALE)
    optimizer = mr.SGD(0.01)
    for _ in range(10 * epochs):
        x, target = adding(rng, LAG, 32)
        _, grads, _ = mr.bptt(model, mr.mse, x, target)
        norm = mr.clip_grad_norm(grads, np.inf if max_norm is None else max_norm)
        norms.append(norm)
        if not np.isfinite(norm):
            break
        optimizer.step(model.params, grads)
    x, target = adding(np.random.default_rng([seed, 1]), LAG, 1000)
    return norms, mr.mse(model.forward(x)[0], target)[0]


def draw(out, layers, norms, curves):
    import matplotlib.pyplot as plt

    from minirnn import plot

    ax = plot.gradient_norms(norms)
    plot.save(ax, out / "gradient-norms.png")
    figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    for ax, (name, (layer, _)) in zip(axes, list(layers.items())[:3], strict=True):
        plot.eigenvalues(layer.params["W_h"], ax=ax)
        ax.set_title(name)
    plot.save(figure, out / "eigenvalues.png")
    ax = plot.curves(curves, "batch", "gradient norm before clipping")
    plot.save(ax, out / "clipping.png")
