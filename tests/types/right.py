"""An ordinary program: a model with a layer of one's own is trained, traced, saved and streamed."""

import numpy as np
from numpy.typing import NDArray

import minirnn as mr
from minirnn.datasets import batches

Floats = NDArray[np.float64]


class Scale:
    """y = a x, with one number a for each feature."""

    def __init__(self, size: int) -> None:
        self.params = {"a": np.ones(size)}

    def forward(
        self, x: Floats, state: None = None, lengths: object = None, training: bool = False,
        rng: object = None,
    ) -> tuple[Floats, None, Floats]:  # fmt: skip
        return x * self.params["a"], None, x

    def backward(
        self, dy: Floats, cache: Floats, dstate: None = None
    ) -> tuple[Floats, None, dict[str, Floats]]:
        return dy * self.params["a"], None, {"a": np.sum(dy * cache, axis=(0, 1))}


def absolute(y: Floats, target: Floats) -> tuple[float, Floats]:
    return float(np.abs(y - target).mean()), np.sign(y - target) / y.size


x = np.random.default_rng(0).normal(size=(5, 8, 2))
target = x[-1, :, :1]
model = mr.Sequential(
    Scale(2),
    mr.LSTM(2, 4, peephole=True, rng=0, dtype=np.float64),
    mr.GRU(4, 4, reset="before"),
    mr.Dropout(0.1),
    mr.Last(),
    mr.Linear(4, 1, rng=np.random.default_rng(1)),
)
history = mr.fit(
    model, mr.mse, lambda rng: batches.shuffled(x, target, 4, rng), mr.Adam(0.01), 3,
    validation=(x, target), patience=2, schedule=mr.cosine(0.01, 3), max_norm=1.0,
)  # fmt: skip
mr.fit(model, absolute, [(x, target), (x, target)], mr.SGD(lr=0.1, momentum=0.9), epochs=1)
losses: list[float] = history.loss
y = mr.predict(model, x, batch_size=4)
error: float = mr.metrics.rmse(y, target, mask=np.ones(8))
measured = mr.fit(
    model, mr.mse, batches.buckets([x[:3, 0], x[:, 1]], [target[0], target[1]], 2, masks=[1, 0.5]),
    mr.Adam(), 2, validation=(x, target, None, np.full(8, 0.5)),
    metrics={"mae": mr.metrics.mae, "own": lambda y, t, mask=None: float(np.max(np.abs(y - t)))},
    on_epoch=lambda history: "stop" if history.loss[-1] < 1e-3 else None,
)  # fmt: skip
series: dict[str, list[float]] = measured.metrics
wide = mr.Linear(2, 2)
nll, dy = mr.gaussian_nll(wide.forward(x)[0], x[..., :1])
low, high = mr.gaussian_interval(wide.forward(x)[0], 0.8)
loss, grads, state = mr.bptt(model, mr.mse, x, target)
norm: float = mr.clip_grad_norm(grads, 1.0)
inside: dict[str, NDArray[np.float64]] = mr.trace(mr.RNN(2, 3, "relu", rng=0), x)
report = mr.gradcheck(mr.LSTM(2, 3, rng=0), x, method="complex", tol=1e-9)
assert report.ok, report.verdict

cell = mr.LSTM(2, 3, rng=0)
h, (_, c) = cell.step(x[0])
h, (_, c) = cell.step(x[1], (h, c))

simple = mr.Sequential(mr.Embedding(5, 3), mr.RNN(3, 4), mr.Linear(4, 5))
mr.save(simple, "simple.npz")
again: mr.Layer = mr.load("simple.npz")
tokens = np.array([[1, 2], [3, 4]])
logits, _, _ = again.forward(tokens)
nats, dlogits = mr.softmax_cross_entropy(logits, [[1, 2], [3, 4]], mask=[[1, 1], [0, 1]])
for nats, grads, _ in mr.truncated_bptt(again, mr.softmax_cross_entropy, tokens, tokens, 1, 2):
    mr.SGD(0.1 / nats).step(again.params, grads)
