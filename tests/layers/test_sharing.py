"""One array is one parameter: layers at two places, and output layers tied to an embedding."""

import types

import numpy as np
import pytest

import minirnn as mr
from minirnn.files.model import tied


def shared_models():
    """Name to a function that makes a model with shared weights, and an input for it."""
    real = np.random.default_rng(0).normal(size=(4, 2, 3))
    tokens = np.random.default_rng(1).integers(0, 5, (4, 2))

    def twice():
        cell = mr.RNN(3, 3, rng=0)
        return mr.Sequential(cell, mr.Activation("tanh"), cell)

    def within():
        cell = mr.GRU(3, 3, rng=0)
        return mr.Sequential(mr.Sequential(cell), mr.Checkpoint(mr.Sequential(cell, cell), 3))

    def both_ways():
        cell = mr.LSTM(3, 2, rng=0)
        return mr.Bidirectional(cell, mr.Sequential(cell))

    def tied():
        words = mr.Embedding(5, 3, rng=0)
        return mr.Sequential(words, mr.LSTM(3, 3, rng=1), mr.Unembedding(words))

    def one_embedding():
        words = mr.Embedding(5, 3, rng=0)
        encoder = mr.Sequential(words, mr.GRU(3, 4, rng=1))
        return mr.Seq2Seq(encoder, words, mr.GRU(3, 4, rng=2), mr.Linear(4, 5, rng=3))

    def one_matrix():
        one, two = mr.RNN(3, 3, rng=0), mr.RNN(3, 3, rng=1)
        two.params["W_h"] = one.params["W_h"]
        return mr.Sequential(one, two)

    return {
        "a layer twice": (twice, real),
        "a layer within others": (within, real),
        "both directions": (both_ways, real),
        "a tied output": (tied, tokens),
        "one embedding for both languages": (one_embedding, (tokens, tokens[:3])),
        "one matrix of two layers": (one_matrix, real),
    }


SHARED = shared_models()
LAYERS_SHARED = [name for name in SHARED if name != "one matrix of two layers"]


@pytest.mark.parametrize("name", SHARED)
def test_a_shared_array_is_one_parameter_with_the_sum_of_the_gradients(name):
    make, x = SHARED[name]
    model = make()
    assert len({id(p) for p in model.params.values()}) == len(model.params)
    y, _, cache = model.forward(x)
    assert list(model.backward(np.ones_like(y), cache)[2]) == list(model.params)
    report = mr.gradcheck(model, x)
    assert report.ok, report


@pytest.mark.parametrize("name", ["a layer twice", "a tied output", "one matrix of two layers"])
def test_one_step_with_parameters_of_ones_own_knows_what_is_shared(name):
    make, x = SHARED[name]
    report = mr.gradcheck(make(), x, method="complex")
    assert report.ok, report


def test_an_optimizer_changes_a_shared_array_once():
    """By hand: Adam's first step is the learning rate in each entry, not twice that."""
    make, x = SHARED["a layer twice"]
    model = make()
    before = {name: p.copy() for name, p in model.params.items()}
    _, grads, _ = mr.bptt(model, mr.mse, x, x)
    mr.Adam(0.01).step(model.params, grads)
    for name, p in model.params.items():
        np.testing.assert_allclose(np.abs(p - before[name]), 0.01, rtol=1e-4)


def test_repr_and_table_show_what_is_shared():
    models = {name: SHARED[name][0]() for name in LAYERS_SHARED}
    assert repr(models["a layer twice"]) == "Sequential(a := RNN(3, 3), Activation('tanh'), a)"
    for name, model in models.items():
        again = eval(repr(model), vars(mr))
        assert list(again.params) == list(model.params), name
    lines = str(models["a tied output"]).splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["15", "84", "5", "104"]
    assert str(models["a layer twice"]).count("shared") == 1


def test_a_shared_array_is_found_under_all_of_its_names():
    params = SHARED["a tied output"][0]().params
    assert params["2.W"] is params["0.W"] and "2.W" not in params and len(params) == 5
    with pytest.raises(KeyError, match=r"2\.V"):
        params["2.V"]


def test_two_views_of_one_memory_are_refused():
    words, output = mr.Embedding(5, 3), mr.Linear(3, 5)
    output.params["W"] = words.params["W"].T
    with pytest.raises(ValueError, match=r"two views of the same memory, 0.W and 2.W; .*Unembed"):
        mr.Sequential(words, mr.GRU(3, 3), output)


def test_unembedding_wants_an_embedding():
    with pytest.raises(TypeError, match=r"embedding: expected an Embedding, got Linear\(3, 5\)"):
        mr.Unembedding(mr.Linear(3, 5))


def test_a_tied_output_layer_computes_with_the_rows_of_the_embedding():
    words = mr.Embedding(5, 3, rng=0, dtype="float32")
    output = mr.Unembedding(words)
    output.params["b"][...] = np.arange(5)
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    y, _, _ = output.forward(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, x @ words.params["W"].T + np.arange(5), rtol=1e-5)
    words.params["W"][...] *= 2  # in place, as an optimizer does it
    np.testing.assert_allclose(output.step(x[0])[0], 2 * y[0] - np.arange(5), rtol=1e-5)


@pytest.mark.parametrize("name", SHARED)
def test_what_is_shared_is_still_shared_after_save_and_load(name, tmp_path):
    make, x = SHARED[name]
    model, file = make(), tmp_path / "model.npz"
    mr.save(model, file)
    other = mr.load(file)
    assert list(other.params) == list(model.params) and repr(other) == repr(model)
    assert tied(other) == tied(model) != {}
    for p in (*model.params.values(), *other.params.values()):
        p += 0.1  # moves both places of a shared array, or the outputs differ
    assert np.array_equal(model.forward(x)[0], other.forward(x)[0])


def test_a_matrix_that_cannot_be_given_to_two_layers_again_is_not_saved(tmp_path):
    class Fixed(mr.RNN):
        """Its parameters cannot be replaced."""

        def __init__(self, input_size, hidden_size, rng=None):
            super().__init__(input_size, hidden_size, rng=rng)
            self.params = types.MappingProxyType(self.params)

    one, two = mr.RNN(3, 3), Fixed(3, 3)
    one.params["W_h"] = two.params["W_h"]
    with pytest.raises(ValueError, match=r"model: no model can be built of it .*mappingproxy"):
        mr.save(mr.Sequential(one, two), tmp_path / "model.npz")
    assert not list(tmp_path.iterdir())
