"""Against PyTorch, where it is installed (extra ``bench``): outputs, states, and all gradients."""

import numpy as np
import pytest
from cases import point, randomised, tree

import minirnn as mr

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra 'bench')")

CELLS = {
    "RNN": "RNN", "RNN relu": "RNN", "LSTM": "LSTM", "GRU after": "GRU", "ProjectedLSTM": "LSTM",
}  # fmt: skip


def twin(name, layer):
    """The same layer in PyTorch, with the same weights; the second bias holds b_hn."""
    D, H, p = layer.input_size, layer.hidden_size, layer.params
    options = {"nonlinearity": "relu"} if name == "RNN relu" else {}
    if name == "ProjectedLSTM":
        options = {"proj_size": layer.proj_size}
    module = getattr(torch.nn, CELLS[name])(D, H, dtype=torch.float64, **options)
    with torch.no_grad():
        module.weight_ih_l0[:] = torch.tensor(p["W_x"].T.copy())
        module.weight_hh_l0[:] = torch.tensor(p["W_h"].T.copy())
        module.bias_ih_l0[:] = torch.tensor(p["b"])
        module.bias_hh_l0.zero_()
        if "W_r" in p:
            module.weight_hr_l0[:] = torch.tensor(p["W_r"].T.copy())
        if "b_hn" in p:
            module.bias_hh_l0[2 * H :] = torch.tensor(p["b_hn"])
    return module


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("lengths", [None, [6, 2, 5, 6]])
@pytest.mark.parametrize("T, B, D, H", [(6, 4, 3, 5), (6, 4, 1, 17)])
def test_outputs_states_and_all_gradients_agree_to_1e_12(name, lengths, T, B, D, H):
    layer = randomised(name, D=D, H=H, scale=0.4)
    x, state, dy, dstate = point(layer, T, B, D)
    y, final, cache = layer.forward(x, state, lengths)
    dx, dstate0, grads = layer.backward(dy, cache, dstate)

    module = twin(name, layer)
    tx = torch.tensor(x, requires_grad=True)
    ts = tree(lambda s: torch.tensor(s[None], requires_grad=True), state)
    if lengths is None:
        ty, tfinal = module(tx, ts)
    else:
        packed = torch.nn.utils.rnn.pack_padded_sequence(tx, lengths, enforce_sorted=False)
        ty, tfinal = module(packed, ts)
        ty, _ = torch.nn.utils.rnn.pad_packed_sequence(ty, total_length=T)
    pairs = [(ty, dy)]
    pairs += zip(
        tfinal if isinstance(tfinal, tuple) else [tfinal],
        dstate if isinstance(dstate, tuple) else [dstate], strict=True,
    )  # fmt: skip
    sum((t * torch.tensor(g)).sum() for t, g in pairs).backward()

    def close(ours, theirs):
        np.testing.assert_allclose(
            ours, theirs.detach().numpy().reshape(ours.shape), atol=1e-12, rtol=1e-12
        )

    close(y, ty)
    tree(close, final, tfinal)
    close(dx, tx.grad)
    tree(lambda d, s: close(d, s.grad), dstate0, ts)
    close(grads["W_x"].T, module.weight_ih_l0.grad)
    close(grads["W_h"].T, module.weight_hh_l0.grad)
    close(grads["b"], module.bias_ih_l0.grad)
    if "W_r" in grads:
        close(grads["W_r"].T, module.weight_hr_l0.grad)
    if "b_hn" in grads:
        close(grads["b_hn"], module.bias_hh_l0.grad[2 * H :])


def test_layer_norm_agrees_to_1e_12():
    layer, rng = randomised("LayerNorm", D=5), np.random.default_rng(0)
    module = torch.nn.LayerNorm(5, eps=layer.eps, dtype=torch.float64)
    module.load_state_dict(
        {"weight": torch.tensor(layer.params["g"]), "bias": torch.tensor(layer.params["b"])}
    )
    x, dy = rng.normal(size=(2, 4, 3, 5))
    y, _, cache = layer.forward(x)
    dx, _, grads = layer.backward(dy, cache)
    tx = torch.tensor(x, requires_grad=True)
    ty = module(tx)
    (ty * torch.tensor(dy)).sum().backward()
    for ours, theirs in [
        (y, ty), (dx, tx.grad), (grads["g"], module.weight.grad), (grads["b"], module.bias.grad),
    ]:  # fmt: skip
        np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=1e-12, rtol=1e-12)


OPTIMIZERS = {
    "SGD": (lambda: mr.SGD(0.1), lambda p: torch.optim.SGD(p, 0.1)),
    "momentum": (
        lambda: mr.SGD(0.1, momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
    ),
    "Nesterov": (
        lambda: mr.SGD(0.1, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
    ),
    "RMSProp": (
        lambda: mr.RMSProp(0.01, decay=0.95, eps=1e-6),
        lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.95, eps=1e-6),
    ),
    "weight decay": (
        lambda: mr.SGD(0.1, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, 0.1, weight_decay=0.1),
    ),
    "AdamW": (
        lambda: mr.Adam(0.01, weight_decay=0.1),
        lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1),
    ),
    "Adagrad": (lambda: mr.Adagrad(0.1), lambda p: torch.optim.Adagrad(p, 0.1)),
    "Adam": (lambda: mr.Adam(0.01, 0.8, 0.99), lambda p: torch.optim.Adam(p, 0.01, (0.8, 0.99))),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_take_the_same_steps(name):
    rng = np.random.default_rng(0)
    w = rng.normal(size=(3, 4))
    t = torch.tensor(w.copy(), requires_grad=True)
    ours, theirs = (
        make(arg) if arg else make()
        for make, arg in zip(OPTIMIZERS[name], (None, [t]), strict=True)
    )
    for _ in range(20):
        g = rng.normal(size=w.shape)
        t.grad = torch.tensor(g)
        ours.step({"w": w}, {"w": g})
        theirs.step()
        np.testing.assert_allclose(w, t.detach().numpy(), rtol=1e-11)


@pytest.mark.parametrize("max_norm", [None, 0.05])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_shared_layer_and_a_tied_output_take_the_same_steps(name, max_norm):
    """Tokens to logits through one table, and through one network twice."""
    tokens = np.random.default_rng(0).integers(0, 5, (4, 2))
    words, cell = mr.Embedding(5, 3, rng=0), mr.RNN(3, 3, rng=1)
    model = mr.Sequential(words, cell, mr.Activation("tanh"), cell, mr.Unembedding(words))
    table = torch.tensor(words.params["W"].copy(), requires_grad=True)
    b = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    module = twin("RNN", cell)
    module.bias_hh_l0.requires_grad = False  # ours has one bias
    parameters = [table, b, *(p for p in module.parameters() if p.requires_grad)]
    matrices, biases = ([p for p in parameters if (p.ndim > 1) == big] for big in (True, False))
    groups = [{"params": matrices}, {"params": biases, "weight_decay": 0}]
    ours, theirs = OPTIMIZERS[name][0](), OPTIMIZERS[name][1](groups)
    for _ in range(5):
        loss, grads, _ = mr.bptt(model, mr.softmax_cross_entropy, tokens, tokens)
        h, _ = module(table[torch.tensor(tokens)])
        h, _ = module(torch.tanh(h))
        logits = h @ table.T + b
        expected = torch.nn.functional.cross_entropy(
            logits.reshape(-1, 5), torch.tensor(tokens.ravel())
        )
        assert loss == pytest.approx(expected.item(), rel=1e-9)
        theirs.zero_grad()
        expected.backward()
        if max_norm:
            norm = torch.sqrt(sum((p.grad**2).sum() for p in parameters)).item()
            assert norm > max_norm
            assert mr.clip_grad_norm(grads, max_norm) == pytest.approx(norm, rel=1e-9)
            for p in parameters:  # PyTorch's own function divides by norm + 1e-6
                p.grad *= max_norm / norm
        ours.step(model.params, grads)
        theirs.step()
    for p, t in (("0.W", table), ("4.b", b), ("1.W_h", module.weight_hh_l0.T)):
        np.testing.assert_allclose(model.params[p], t.detach().numpy(), rtol=1e-9, atol=1e-10)


def test_losses_agree():
    rng = np.random.default_rng(0)
    logits, classes = 5 * rng.normal(size=(6, 4)), rng.integers(0, 4, 6)
    targets = rng.uniform(size=(6, 4))
    F = torch.nn.functional
    for ours, theirs, target in (
        (mr.softmax_cross_entropy, F.cross_entropy, classes),
        (mr.binary_cross_entropy, F.binary_cross_entropy_with_logits, targets),
        (mr.mse, F.mse_loss, targets),
    ):
        t = torch.tensor(logits, requires_grad=True)
        expected = theirs(t, torch.tensor(target))
        expected.backward()
        loss, d = ours(logits, target)
        assert loss == pytest.approx(expected.item(), rel=1e-13)
        np.testing.assert_allclose(d, t.grad.numpy(), rtol=1e-11, atol=1e-15)
