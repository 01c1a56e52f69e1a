"""bptt: forward, loss, backward of a whole model."""

import numpy as np
from cases import point, randomised, same

import minirnn as mr


def test_bptt_is_forward_loss_and_backward():
    model = randomised("GRU LSTM Linear")
    x, state, target, _ = point(model)
    loss, grads, final = mr.bptt(model, mr.mse, x, target, state)
    y, expected_final, cache = model.forward(x, state)
    expected_loss, dy = mr.mse(y, target)
    assert loss == expected_loss
    same(grads, model.backward(dy, cache)[2], 0)
    same(final, expected_final, 0)


def test_steps_past_the_end_do_not_count():
    model = randomised("GRU LSTM Linear")
    x, _, target, _ = point(model, T=4, B=2)
    loss, grads, _ = mr.bptt(model, mr.mse, x, target, lengths=[4, 2])
    spoiled = target.copy()
    spoiled[2:, 1] = np.nan
    again, grads_again, _ = mr.bptt(model, mr.mse, x, spoiled, lengths=[4, 2])
    assert loss == again
    same(grads, grads_again, 0)
    parts = [
        mr.mse(model.forward(x[:n, b : b + 1])[0], target[:n, b : b + 1])[0]
        for b, n in ((0, 4), (1, 2))
    ]
    np.testing.assert_allclose(loss, (4 * parts[0] + 2 * parts[1]) / 6)


def test_a_loss_without_a_mask_argument_will_do():
    def absolute(y, target):
        return float(np.abs(y - target).mean()), np.sign(y - target) / y.size

    model = randomised("LSTM Last Linear")
    x, _, target, _ = point(model)
    loss, _, _ = mr.bptt(model, absolute, x, target, lengths=[4, 2, 1])
    assert loss > 0
