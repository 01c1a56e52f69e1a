"""What must hold for every legal model in files, after a break, and in other libraries."""

from __future__ import annotations

import re
import tempfile
import warnings
from pathlib import Path

import numpy as np
from models import Case
from points import (
    SKIPPED,
    close,
    equal,
    gradients_like,
    input_of,
    lengths_of,
    loss_of,
    model_of,
    refused,
    start_of,
    valid_steps,
)  # fmt: skip
from sketches import OWN, kinds

import minirnn as mr
from minirnn.exchange import from_onnx, from_torch, to_onnx, to_torch
from minirnn.files.model import describe
from minirnn.protocol import named_leaves


def saved_and_loaded(case: Case):
    """A file gives back the same model, bit for bit."""
    model, x, lengths = model_of(case), input_of(case), lengths_of(case)
    with tempfile.TemporaryDirectory() as folder:
        mr.save(model, Path(folder) / "model.npz")
        loaded = mr.load(Path(folder) / "model.npz", layers=list(OWN.values()))
    assert describe(loaded) == describe(model)
    assert list(loaded.params) == list(model.params)
    equal(dict(loaded.params), dict(model.params))
    equal(
        loaded.forward(x, start_of(case), lengths)[:2],
        model.forward(x, start_of(case), lengths)[:2],
    )


def resumed(case: Case):
    """A training that is stopped and resumed ends where one ends that was never stopped."""
    x, lengths = input_of(case), lengths_of(case)
    y, _, _ = model_of(case).forward(x, start_of(case), lengths)
    if case.reads == "queries" or not valid_steps(case, y).any():
        return SKIPPED
    data, results = [(x, loss_of(case, y), lengths)], []
    for epochs in ((2,), (1, 2)):
        model = model_of(case)
        with tempfile.TemporaryDirectory() as folder:
            for n in epochs:
                options = {"rng": 5, "progress": False, "checkpoint": Path(folder) / "progress"}
                optimizer = mr.Adam(0.01)
                history = mr.fit(
                    model, mr.mse, data, optimizer, n, resume=True, validation=data, **options
                )
        results.append((dict(model.params), history.loss, history.val_loss))
    equal(*results)
    return None


def onnx_agrees(case: Case):
    """What ``to_onnx`` writes computes the same, or it is refused."""
    try:
        import onnxruntime
    except ImportError:
        return SKIPPED
    model, x, lengths = model_of(case), input_of(case), lengths_of(case)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            to_onnx(model, path, lengths is not None, states=case.seed % 2 == 0)
        except TypeError as error:
            return refused(error)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    x = x if x.dtype.kind == "i" else x.astype(np.float32)
    y, final, _ = model.forward(x, start_of(case), lengths)
    feed = {"x": x} | ({} if lengths is None else {"lengths": lengths.astype(np.int32)})
    states = list(named_leaves(model, final))
    if case.seed % 2 == 0:
        (start,) = gradients_like(case, final)
        y, final, _ = model.forward(x, start, lengths)
        feed |= {f"{n}_in": s.astype(np.float32) for n, s in named_leaves(model, start)}
        states = list(named_leaves(model, final))
    found = dict(zip((o.name for o in session.get_outputs()), session.run(None, feed), strict=True))
    np.testing.assert_allclose(found["y"], y, atol=1e-4, rtol=1e-4)
    for name, s in states if case.seed % 2 == 0 else ():
        np.testing.assert_allclose(found[f"{name}_out"], s, atol=1e-4, rtol=1e-4, err_msg=name)
    return None


def onnx_comes_back(case: Case):
    """What ``to_onnx`` writes, ``from_onnx`` reads as a model that computes the same."""
    try:
        import onnx  # noqa: F401
    except ImportError:
        return SKIPPED
    model, x, lengths = model_of(case), input_of(case), lengths_of(case)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        try:
            to_onnx(model, path, lengths is not None, states=case.seed % 4 == 0)
        except TypeError as error:
            return refused(error)
        again = from_onnx(path)
    if case.seed % 4 == 0 and "LearnedState" in kinds(case.model):
        return SKIPPED  # the learned states are inputs there
    y, _, _ = model.forward(x, start_of(case), lengths)
    np.testing.assert_allclose(again.forward(x, None, lengths)[0], y, atol=1e-4, rtol=1e-4)
    return None


def torch_agrees(case: Case):
    """What ``to_torch`` writes computes the same, or it is refused; and it comes back the same."""
    model, x, lengths = model_of(case), input_of(case), lengths_of(case)
    try:
        weights = to_torch(model)
    except (TypeError, ValueError) as error:
        return refused(error)
    if "weight" in weights:  # a Linear or an Embedding by itself
        again = from_torch(weights, type(model).__name__)
        equal(dict(again.params), dict(model.params))
        return None
    kind = next(k for k in ("LSTM", "GRU", "RNN") if k in kinds(case.model))
    nonlinearity = "relu" if "relu" in repr(case.model) else "tanh"
    y, _, _ = model.forward(x, start_of(case), lengths)
    again = from_torch(weights, kind, nonlinearity)
    close(case, again.forward(x, None, lengths)[0], y, "from_torch")
    try:
        import torch
    except ImportError:
        return None
    H = weights["weight_hh_l0"].shape[1]
    more = {"nonlinearity": nonlinearity} if kind == "RNN" else {}
    if "weight_hr_l0" in weights:
        more["proj_size"], H = weights["weight_hr_l0"].shape
    D = weights["weight_ih_l0"].shape[1]
    both = "weight_ih_l0_reverse" in weights
    n = sum(bool(re.fullmatch(r"weight_ih_l\d+", name)) for name in weights)
    module = getattr(torch.nn, kind)(
        D, H, n, bidirectional=both, dtype=getattr(torch, str(y.dtype)), **more
    )
    module.load_state_dict({name: torch.tensor(w) for name, w in weights.items()})
    if lengths is None:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "LSTM with projections")  # that they are slow
            close(case, module(torch.tensor(x.astype(y.dtype)))[0].numpy(), y, "PyTorch")
    return None
