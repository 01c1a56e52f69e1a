"""What an ONNX file computes is computed here, whoever wrote it, or refused by the operator."""

import tempfile

import numpy as np
import pytest

import minirnn as mr
from minirnn.exchange import from_onnx, to_onnx

onnx = pytest.importorskip("onnx", reason="onnx is not installed (extra 'exchange')")
runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed ('exchange')")

RNG = np.random.default_rng(0)
D, H, K = 3, 4, 2


def numbers(*shape):
    return (0.5 * RNG.normal(size=shape)).astype(np.float32)


X = numbers(6, 2, D)  # (T, B, D)
TOKENS = RNG.integers(0, 7, (6, 2))


class File:
    """A graph in the making: its constants by value, its nodes one after the other."""

    def __init__(self, shape=("T", "B", D), dtype=np.float32, opset=17):
        kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.inputs = [onnx.helper.make_tensor_value_info("x", kind, shape)]
        self.nodes, self.constants, self.opset, self.last = [], [], opset, "x"

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def also(self, name, shape, kind="FLOAT"):
        kind = getattr(onnx.TensorProto, kind)
        self.inputs.append(onnx.helper.make_tensor_value_info(name, kind, shape))
        return name

    def add(self, kind, *inputs, outputs=1, first=None, **attributes):
        """A node that reads the last result, or ``first``, and constants."""
        names = [self.last if first is None else first]
        names += [a if isinstance(a, str) else self.constant(a) for a in inputs]
        made = [f"{kind}_{len(self.nodes)}_{k}" for k in range(outputs)]
        name = f"node {len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(kind, names, made, name=name, **attributes))
        self.last = made[0]
        return made

    def model(self, *outputs):
        kind = onnx.TensorProto.FLOAT
        made = [onnx.helper.make_tensor_value_info(n, kind, None) for n in outputs or [self.last]]
        graph = onnx.helper.make_graph(self.nodes, "g", self.inputs, made, self.constants)
        opset = [onnx.helper.make_opsetid("", self.opset)]
        return onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)


def same(model, x, ours=None, found=None, state=None, **more):
    """The file computes in ONNX Runtime what is read from it computes here. Returns the latter."""
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    layer = from_onnx(model)
    expected = session.run(None, {"x": x} | more)[0]
    y = layer.forward(x if ours is None else ours, state)[0]
    y = y if found is None else found(y)
    np.testing.assert_allclose(y.reshape(expected.shape), expected, atol=2e-6, rtol=1e-5)
    return layer


def weights(kind, n=1, inputs=D):
    G = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    return numbers(n, G * H, inputs), numbers(n, G * H, H), numbers(n, 2 * G * H)


# ---- Cells ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_cells_in_one_direction_and_in_both(kind):
    file = File()
    file.add(kind, *weights(kind), hidden_size=H)
    file.add("Squeeze", [1])
    assert type(same(file.model(), X)) is getattr(mr, kind)
    file = File()
    file.add(kind, *weights(kind, 2), hidden_size=H, direction="bidirectional")
    file.add("Transpose", perm=[0, 2, 1, 3])
    file.add("Reshape", [0, 0, -1])
    file.add("MatMul", numbers(2 * H, K))
    assert type(same(file.model(), X).layers[0]) is mr.Bidirectional


def test_options_of_cells():
    for kind, options in [
        ("RNN", {"activations": ["Relu"]}),
        ("GRU", {"linear_before_reset": 1}),
        ("GRU", {"linear_before_reset": 0}),
    ]:
        file = File()
        file.add(kind, *weights(kind), hidden_size=H, **options)
        same(file.model(), X)
    file = File()  # peepholes
    file.add("LSTM", *weights("LSTM"), "", "", "", numbers(1, 3 * H), hidden_size=H)
    assert same(file.model(), X).peephole
    file = File()  # without biases
    file.add("GRU", *weights("GRU")[:2], hidden_size=H)
    assert not same(file.model(), X).params["b"].any()


def test_two_operators_are_two_directions():
    for merge in ("concat", "sum", "mean"):
        file = File()
        one = file.add("GRU", *weights("GRU"), hidden_size=H, direction="forward")[0]
        other = file.add("LSTM", *weights("LSTM"), first="x", hidden_size=H, direction="reverse")[0]
        if merge == "concat":  # another name stands first
            file.add("Concat", other, first=one, axis=3)
        else:
            file.add("Add", other, first=one)
        if merge == "mean":
            file.add("Div", np.float32(2))
        file.add("Squeeze", [1])
        layer = same(file.model(), X)
        assert (type(layer), layer.merge) == (mr.Bidirectional, merge)


def test_the_final_states_of_both_directions_are_the_last_step():
    file = File()
    final = file.add(
        "LSTM", *weights("LSTM", 2), outputs=2, hidden_size=H, direction="bidirectional"
    )[1]
    file.add("Transpose", first=final, perm=[1, 0, 2])
    file.add("Reshape", [0, -1])
    file.add("Gemm", numbers(K, 2 * H), numbers(K), transB=1)
    layer = same(file.model(), X)
    assert layer.layers[1].both
    file = File()
    file.add("LSTM", *weights("LSTM", 2), direction="bidirectional", hidden_size=H)
    file.add("Gather", np.array(-1), axis=0)  # the last step, of a backward direction the first
    file.add("Gather", np.array(1), axis=0)
    same(file.model(), X)


def test_a_layout_with_the_batch_first():
    file = File(("B", "T", D))
    made = weights("LSTM")
    file.add("LSTM", *made, hidden_size=H, layout=1)  # ONNX Runtime has no such layout
    other = File()
    other.add("LSTM", *made, hidden_size=H)
    one, other = from_onnx(file.model()), same(other.model(), X)
    assert all(np.array_equal(p, other.params[name]) for name, p in one.params.items())


def test_initial_states_are_constants_or_given():
    states = numbers(1, 1, H), numbers(1, 1, H)
    file = File()
    expanded = [file.add("Expand", [1, 2, 1], first=file.constant(s))[0] for s in states]
    file.add("LSTM", *weights("LSTM"), "", *expanded, first="x", hidden_size=H)
    file.inputs[0].type.tensor_type.shape.dim[1].dim_value = 2
    assert type(same(file.model(), X)) is mr.LearnedState
    file = File()
    given = [file.also(name, [1, "B", H]) for name in "hc"]
    file.add("LSTM", *weights("LSTM"), "", *given, hidden_size=H)
    h, c = numbers(2, H), numbers(2, H)
    assert type(same(file.model(), X, state=(h, c), h=h[None], c=c[None])) is mr.LSTM


def test_lengths_are_given_with_x():
    file = File()
    lengths = file.also("lengths", ["B"], "INT32")
    file.add("GRU", *weights("GRU", 2), lengths, hidden_size=H, direction="bidirectional")
    file.add("Transpose", perm=[0, 2, 1, 3])
    file.add("Reshape", [0, 0, -1])
    model = file.model()
    session = runtime.InferenceSession(model.SerializeToString())
    n = np.array([6, 4], np.int32)
    (expected,) = session.run(None, {"x": X, "lengths": n})
    y, _, _ = from_onnx(model).forward(X, lengths=n)
    np.testing.assert_allclose(y, expected, atol=2e-6)


# ---- The other layers ----------------------------------------------------------------------------


def test_tokens_products_and_functions():
    file = File(("B", "T"), np.int64)  # the batch first
    table = file.constant(numbers(7, D))
    file.nodes.append(onnx.helper.make_node("Gather", [table, "x"], ["e"]))
    file.last = "e"
    file.add("Dropout")
    file.add("Transpose", perm=[1, 0, 2])
    file.add("RNN", *weights("RNN"), hidden_size=H)
    file.add("Squeeze", [1])
    file.add("MatMul", numbers(H, K))
    file.add("Add", numbers(K))
    file.add("Tanh")
    file.add("Mul", np.float32(3))
    file.add("Sub", numbers(1, K))
    file.add("Softmax", axis=-1)
    layer = same(file.model(), np.ascontiguousarray(TOKENS.T), ours=TOKENS)
    assert [type(part).__name__ for part in layer.layers] == [
        "Embedding", "RNN", "Linear", "Activation", "Linear", "Activation",
    ]  # fmt: skip


def test_a_table_that_is_used_twice_is_tied():
    words, cell = (kind(*n, rng=0, dtype="float32") for kind, n in
                   ((mr.Embedding, (7, D)), (mr.RNN, (D, D))))  # fmt: skip
    model = mr.Sequential(words, cell, mr.Unembedding(words))
    layer = from_onnx(exported(model))
    assert layer.layers[0].params["W"] is layer.layers[2].params["W"]


def test_one_hot_rows_are_an_embedding():
    file = File(("T", "B"), np.int64)
    file.add("OneHot", np.array(7), np.array([0, 1], np.float32))
    file.add("GRU", *weights("GRU", inputs=7), hidden_size=H)
    same(file.model(), TOKENS)


@pytest.mark.parametrize("opset", [13, 17])
def test_normalisations(opset):
    file = File(opset=opset)
    file.add("RNN", *weights("RNN"), hidden_size=H)
    y = file.add("Squeeze", [1])[0]
    if opset == 17:
        file.add("LayerNormalization", numbers(H), numbers(H), epsilon=0.01)
    else:  # the steps of one
        mean = file.add("ReduceMean", axes=[-1])[0]
        centred = file.add("Sub", mean, first=y)[0]
        file.add("Pow", np.float32(2))
        file.add("ReduceMean", axes=[-1])
        file.add("Add", np.float32(0.01))
        deviation = file.add("Sqrt")[0]
        file.add("Div", deviation, first=centred)
        file.add("Mul", numbers(H))
        file.add("Add", numbers(H))
    file.add("Transpose", perm=[1, 2, 0])  # (B, H, T)
    file.add("BatchNormalization", *numbers(3, H), 1 + numbers(H) ** 2)
    file.add("Conv", numbers(K, H, 1), numbers(K))
    layer = same(file.model(), X, found=lambda y: y.transpose(1, 2, 0))
    assert type(layer.layers[1]) is mr.LayerNorm


def test_rows_without_steps():
    file = File(("B", D))
    file.add("Gemm", numbers(D, H), numbers(H), alpha=0.5, beta=2.0)
    file.add("Mul", numbers(H))
    file.add("Relu")
    file.add("MatMul", numbers(H, K))
    file.add("Sigmoid")
    same(file.model(), X[0])


def test_a_residual_connection():
    for x_first in (True, False):
        file = File()
        file.add("RNN", *[w[:, :D, :D] for w in weights("RNN")[:2]], hidden_size=D)
        y = file.add("Squeeze", [1])[0]
        file.add("Add", *([y] if x_first else ["x"]), first="x" if x_first else y)
        file.add("MatMul", numbers(D, K))
        assert same(file.model(), X).layers[0].merge == "sum"


def exported(model, **options):
    with tempfile.TemporaryDirectory() as folder:
        to_onnx(model, f"{folder}/m.onnx", **options)
        with open(f"{folder}/m.onnx", "rb") as f:
            return f.read()


def test_half_precision_and_double():
    for dtype, ours in ((np.float16, np.float32), (np.float64, np.float64)):
        file = File(dtype=dtype)
        file.add("GRU", *(w.astype(dtype) for w in weights("GRU")), hidden_size=H)
        assert from_onnx(file.model()).dtype == ours


def test_files_bytes_and_parts(tmp_path):
    small = {"rng": 0, "dtype": "float32"}
    model = mr.Sequential(mr.LSTM(D, H, **small), mr.GRU(H, H, **small))
    to_onnx(model, tmp_path / "m.onnx")
    for given in (tmp_path / "m.onnx", str(tmp_path / "m.onnx"), exported(model)):
        assert repr(from_onnx(given)) == repr(from_onnx(exported(model)))
    graph = onnx.load(tmp_path / "m.onnx").graph
    between = next(n.input[0] for n in graph.node if n.op_type == "GRU")
    assert type(from_onnx(tmp_path / "m.onnx", output=between)) is mr.LSTM
    assert type(from_onnx(tmp_path / "m.onnx", input=between)) is mr.GRU
    with pytest.raises(ValueError, match=r"output: expected 'x' or .* got 'z'"):
        from_onnx(tmp_path / "m.onnx", output="z")
    with pytest.raises(ValueError, match=r"input: expected 'x' or .* got 3"):
        from_onnx(tmp_path / "m.onnx", input=3)


# ---- What is refused -----------------------------------------------------------------------------


def lstm(file, *more, **options):
    file.add("LSTM", *weights("LSTM"), *more, hidden_size=H, **options)


def reads_cells(file):
    _, _, c = file.add("LSTM", *weights("LSTM"), outputs=3, hidden_size=H)
    file.add("Tanh", first=c)


def state_by_an_input(file):
    """A table of initial states, of which an input chooses one."""
    file.inputs[0].type.tensor_type.shape.dim[1].dim_value = 1
    file.also("who", [1], "INT64")
    file.add("Gather", "who", first=file.constant(numbers(9, H)))
    state = file.add("Unsqueeze", [0])[0]
    file.add("RNN", *weights("RNN"), "", state, first="x", hidden_size=H)


def table_as_an_input(file):
    kind = onnx.TensorProto.INT64
    file.inputs[0] = onnx.helper.make_tensor_value_info("x", kind, ["T", "B"])
    file.add("Gather", "x", first=file.also("table", [9, H]))


REFUSED = {
    "a state that an input chooses": (state_by_an_input, "initial_h depends on an input that is"),
    "a table that is an input": (table_as_an_input, "expected a constant table, got one that dep"),
    "another operator": (lambda f: (lstm(f), f.add("Erf")), "Erf 'node 1': no layer"),
    "a part of several steps": (
        lambda f: (f.add("Transpose", perm=[1, 0, 2]), f.add("Reshape", [0, -1]), f.add("Tanh"),
                   f.add("MatMul", numbers(5 * D, K))),
        "MatMul 'node 3': mixes the numbers of several steps",
    ),
    "one direction backwards": (
        lambda f: lstm(f, direction="reverse"), "the output .*, which runs backwards",
    ),
    "the first step": (
        lambda f: (lstm(f), f.add("Gather", np.array(0)), f.add("Tanh")), "which reads neither all",
    ),
    "the sequences in another order": (
        lambda f: (f.add("Slice", [-1], [-99], [1], [-1]), f.add("Tanh")), "in another order",
    ),
    "a step more": (
        lambda f: (f.add("Pad", [1, 0, 0, 0, 0, 0]), f.add("MatMul", numbers(D, K))),
        "the output .*, which has its steps in another order",
    ),
    "the second of several steps": (
        lambda f: (f.add("Slice", [1], [99], [0]), f.add("MatMul", numbers(D, K))),
        "MatMul 'node 1': reads neither all steps nor the last",
    ),
    "some sequences": (
        lambda f: (f.add("RNN", *weights("RNN")), f.add("Slice", [-1], [99], [0]),
                   f.add("Slice", [0], [2], [2])), "reads some of the sequences only",
    ),
    "a number for each sequence": (
        lambda f: f.add("Add", f.also("n", ["B", 1, 1], "FLOAT")), "an input that is neither",
    ),
    "an input of one number": (
        lambda f: f.add("Gather", f.also("at", [1], "INT64"), axis=0), "needs the input 'at'",
    ),
    "the cells": (reads_cells, "Tanh 'node 1': reads the cells of an LSTM"),
    "clipped": (lambda f: lstm(f, clip=1.0), r"LSTM 'node 0': expected no clip, got 1\.0"),
    "coupled": (lambda f: lstm(f, input_forget=1), "expected no input_forget, got 1"),
    "other activations": (
        lambda f: lstm(f, activations=["HardSigmoid", "Tanh", "Tanh"]),
        r"expected activations \['sigmoid', 'tanh', 'tanh'\], got \['hardsigmoid'",
    ),
    "another size": (
        lambda f: f.add("LSTM", *weights("LSTM"), hidden_size=5), "hidden_size 4, .* got 5",
    ),
    "other weights": (
        lambda f: f.add("LSTM", *weights("GRU"), hidden_size=H), r"weights \(1, 16, 3\), got",
    ),
    "not finite": (
        lambda f: f.add("MatMul", np.full((D, K), np.nan, "f")), "expected finite constants",
    ),
    "lengths of their own": (
        lambda f: lstm(f, np.array([2, 1, 1, 3, 2, 2], np.int32)), "lengths that are given with x",
    ),
    "weights that depend on x": (
        lambda f: (f.add("RNN", *weights("RNN")[:2]), f.add("Squeeze", [1]), f.add("MatMul", "x")),
        "MatMul 'node 2': expected a constant matrix",
    ),
    "an input that is no state": (
        lambda f: f.add("Add", f.also("speaker", ["B", D])), "Add 'node 0': computes with an input",
    ),
    "numbers for each step": (
        lambda f: f.add("Add", numbers(5, 3, 1)), "(cannot be|one constant for each feature)",
    ),
    "two branches in one direction": (
        lambda f: f.add("Concat", f.add("RNN", *weights("RNN"))[0], axis=3,
                        first=f.add("GRU", *weights("GRU"), first="x")[0]),
        "same direction",
    ),
    "random numbers": (
        lambda f: (f.nodes.append(onnx.helper.make_node("RandomNormal", [], ["r"], shape=[D])),
                   f.add("Add", "r")),
        "RandomNormal 'r': draws random numbers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_layer_computes_is_refused_by_its_operator(name):
    make, words = REFUSED[name]
    file = File()
    make(file)
    with pytest.raises(TypeError, match=f"model: expected what layers here .*{words}"):
        from_onnx(file.model())


def test_all_that_is_unknown_is_listed():
    file = File()
    file.add("Erf")
    file.add("MatMul", numbers(D, K))
    file.add("Sin")
    with pytest.raises(TypeError, match=r"got Erf 'node 0': no layer .*; Sin 'node 2': no layer"):
        from_onnx(file.model())


def test_what_is_no_model_is_refused_by_name(tmp_path):
    (tmp_path / "no.onnx").write_bytes(b"no")
    for given in (tmp_path / "no.onnx", b"no", b""):
        with pytest.raises(ValueError, match="model: expected "):
            from_onnx(given)
    with pytest.raises(FileNotFoundError):
        from_onnx(tmp_path / "none.onnx")
    with pytest.raises(TypeError, match="model: expected the name of a file, got None"):
        from_onnx(None)
    file = File(opset=6)
    file.add("Tanh")
    with pytest.raises(ValueError, match="model: expected a graph of opset 7 or newer, got 6"):
        from_onnx(file.model())
    file = File()
    names = file.add("Tanh") + file.add("Tanh")
    with pytest.raises(ValueError, match="output: expected one of 'Tanh_0_0', 'Tanh_1_0'"):
        from_onnx(file.model(*names))
    assert type(from_onnx(file.model(*names), output=names[0])) is mr.Activation
