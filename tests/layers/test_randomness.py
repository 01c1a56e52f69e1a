"""What forward draws, backward uses again; and one mask stays one, however a sequence is cut."""

import numpy as np
import pytest

import minirnn as mr

X = np.random.default_rng(0).normal(size=(6, 3, 4))


def drawing_models():
    """Models that draw while training, of every kind of container."""
    o = {"rng": 0}
    for per_sequence in (False, True):
        drop = mr.Dropout(0.5, per_sequence)
        stack = mr.Sequential(mr.GRU(4, 4, **o), drop, mr.Linear(4, 2, **o))
        yield drop
        yield mr.Checkpoint(stack, 4)
        yield mr.Sequential(mr.Checkpoint(mr.Checkpoint(drop, 2), 4), stack)
        yield mr.Bidirectional(stack, mr.Checkpoint(stack, 1))
    yield mr.Checkpoint(mr.OutputRNN(4, 3, 2, 0.5, **o), 4)


@pytest.mark.parametrize("rng", [None, 0])
@pytest.mark.parametrize("model", list(drawing_models()), ids=repr)
def test_two_backward_passes_of_one_cache_are_equal(model, rng):
    y, _, cache = model.forward(X, training=True, rng=rng)
    dy = np.random.default_rng(1).normal(size=y.shape)
    dx, _, grads = model.backward(dy, cache)
    again, _, more = model.backward(dy, cache)
    assert np.array_equal(dx, again)
    assert all(np.array_equal(g, more[name]) for name, g in grads.items())


def test_a_checkpoint_without_a_seed_goes_back_with_the_masks_it_drew():
    """y = mask * x / (1 - p) tells the mask, and dx is the same mask times dy."""
    ones = np.ones((6, 3, 40))
    for model in (mr.Checkpoint(mr.Dropout(0.5), 2), mr.Checkpoint(mr.Dropout(0.5, True), 2)):
        y, _, cache = model.forward(ones, training=True)
        dx, _, _ = model.backward(ones, cache)
        assert np.array_equal(dx, y) and 0 < np.count_nonzero(y) < y.size


def masks(y):
    """Each sequence's output over time as text, to count how many differ."""
    return {row.tobytes() for row in y != 0}


def test_one_mask_for_a_sequence_that_is_cut():
    drop, ones = mr.Dropout(0.5, per_sequence=True), np.ones((6, 3, 40))
    assert len(masks(mr.Checkpoint(drop, 2).forward(ones, training=True)[0])) == 1
    y, mask, _ = drop.forward(ones[:2], training=True)
    later, same, _ = drop.forward(ones[2:], mask, training=True)
    assert len(masks(np.concatenate([y, later]))) == 1 and np.array_equal(mask, same)
    other, _, _ = drop.forward(ones, training=True)
    assert masks(other) != masks(y)


@pytest.mark.parametrize("attention", [mr.BahdanauAttention(3, 3, 2), mr.LuongAttention(3, 3)])
def test_one_mask_for_all_steps_of_a_decoder(attention):
    seen = []

    class Spy(mr.Activation):
        def forward(self, x, *rest):
            seen.append(x)
            return super().forward(x, *rest)

    o = {"rng": 0}
    E = 2 + 3 * attention.before_step
    decoder = mr.Sequential(mr.GRU(E, 3, **o), mr.Dropout(0.5, per_sequence=True), Spy("sigmoid"))
    model = mr.Seq2Seq(
        mr.GRU(4, 3, **o), mr.Embedding(5, 2, **o), decoder, mr.Linear(6, 5, **o), attention,
        mr.Linear(3, 3, **o),
    )  # fmt: skip
    tokens = np.random.default_rng(0).integers(0, 5, (4, 3))
    model.forward((X, tokens), training=True)
    x = np.concatenate(seen)
    assert len(x) == 4 and all(len({row.tobytes() for row in x[:, b] != 0}) == 1 for b in range(3))
    report = mr.gradcheck(model, (X[:3], tokens), training=True)
    assert report.ok, report


@pytest.mark.parametrize("k1, k2", [(1, 1), (2, 2), (2, 3), (1, 6), (2, 6), (3, 5)])
def test_one_mask_for_all_windows_of_truncated_bptt(k1, k2):
    seen = []

    class Spy(mr.Activation):
        def forward(self, x, *rest):
            seen.append(x)
            return super().forward(x, *rest)

    drop = mr.Dropout(0.5, per_sequence=True)
    model = mr.Checkpoint(mr.Sequential(drop, mr.Checkpoint(Spy("relu"), 1)), 2)
    ones = np.ones((6, 3, 40))
    for _ in mr.truncated_bptt(model, mr.mse, ones, ones, k1, k2):
        pass
    assert len({row.tobytes() for piece in seen for row in piece != 0}) == 1


def test_a_mask_in_an_encoder_is_not_handed_to_the_decoder():
    tokens = np.random.default_rng(0).integers(0, 5, (3, 2))
    encoder = mr.Sequential(
        mr.Embedding(5, 2, rng=0), mr.Dropout(0.5, True), mr.GRU(2, 3, rng=1), mr.Dropout(0.5, True)
    )
    embedding, decoder = mr.Embedding(5, 2, rng=2), mr.GRU(2, 3, rng=3)
    model = mr.Seq2Seq(encoder, embedding, decoder, mr.Linear(3, 5, rng=4))
    report = mr.gradcheck(model, (tokens, tokens), training=True)
    assert report.ok, report


def test_a_mask_that_is_handed_on_has_a_gradient():
    model = mr.Sequential(mr.RNN(4, 3, rng=0), mr.Dropout(0.5, per_sequence=True))
    for lengths in (None, [6, 0, 3]):
        report = mr.gradcheck(model, X, lengths=lengths, training=True)
        assert report.ok, report
        assert "d1.mask0" in [row.name for row in report.rows]


def test_a_mask_is_handed_on_in_use_without_being_applied():
    drop, mask = mr.Dropout(0.5, per_sequence=True), np.zeros((3, 4))
    y, state, cache = drop.forward(X, mask)
    assert np.array_equal(y, X) and np.array_equal(state, mask)
    dx, dmask, _ = drop.backward(X, cache, mask + 2)
    assert np.array_equal(dx, X) and np.array_equal(dmask, mask + 2)


def test_a_mask_of_another_batch_is_refused():
    with pytest.raises(ValueError, match=r"state: expected shape \(3, 4\), got \(2, 4\)"):
        mr.Dropout(0.5, per_sequence=True).forward(X, np.ones((2, 4)), training=True)
    with pytest.raises(TypeError, match="state: expected None, since Dropout has no state"):
        mr.Dropout(0.5).forward(X, np.ones((3, 4)), training=True)


def test_output_recurrence_draws_only_while_training():
    x = np.random.default_rng(2).normal(size=(40, 3, 4))
    outputs = np.random.default_rng(3).normal(size=(40, 3, 2))
    model = mr.OutputRNN(4, 3, 2, teacher_forcing=0.5, rng=0)
    in_use, _, _ = model.forward((x, outputs))
    assert np.array_equal(in_use, model.forward((x, outputs))[0])
    assert np.array_equal(in_use, model.forward(x)[0])  # by itself
    sampled = {model.forward((x, outputs), training=True)[0].tobytes() for _ in range(3)}
    assert len(sampled) == 3
    model.teacher_forcing = 1
    assert not np.allclose(model.forward((x, outputs))[0], in_use)


def test_probabilities_that_are_lowered_step_by_step_stay_probabilities():
    model, drop = mr.OutputRNN(4, 3, 2), mr.Dropout(0.5)
    for _ in range(20):
        model.teacher_forcing -= 0.05
    assert model.teacher_forcing == 0
    for wrong in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="teacher_forcing: expected a finite number in"):
            model.teacher_forcing = wrong
        with pytest.raises(ValueError, match="p: expected a finite number in"):
            drop.p = wrong
    drop.p = np.float32(0.25)
    assert drop.p == 0.25 and type(drop.p) is float
