"""Read a whole model from an ONNX file, whoever wrote it.

The graph is run twice, for two numbers of steps and sequences. What does not depend on x is
computed, by the package onnx itself; what does is followed by its addresses, see ``addresses.py``.
Both times the same layers must come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn.exchange.reading.graph import for_one_sequence, layouts, loaded, read_graph
from minirnn.exchange.reading.run import place, run

SIZES = {"T": 5, "B": 3}, {"T": 4, "B": 6}  # of the two runs


def from_onnx(model: Any, input: str | None = None, output: str | None = None) -> Any:
    """The layer, or the ``Sequential``, that computes what an ONNX model does.

    model: the name of a file, its bytes, or what ``onnx.load`` returns.
    input, output: the name of x and of y in the graph, by default its first input and its output.
        Any numbers between two operators have a name, so a part of a graph can be taken, too.

    x is (T, B, D) here, or (T, B) of tokens, also where there the batch comes first. y is (T, B, K)
    or (B, K), whatever axes are moved or dropped at the end there. Initial states that are inputs
    there are given to ``forward`` here, and so are ``lengths``; what y holds past the end of a
    sequence is zero here. Numbers are float32, or float64 if the weights are.

    Known are RNN, LSTM (with peepholes) and GRU, in both directions, Gather, OneHot, MatMul, Gemm,
    Conv with windows of one step, Add, Sub, Mul and Div by constants, BatchNormalization,
    Tanh, Sigmoid, Relu, Softmax, LogSoftmax, Dropout, and all that moves numbers. Features that are
    chosen or scaled with no Linear beside them become a ``Linear`` of ones, zeros and the scales.
    All else, such as attention, is refused by the operator's name, and so are initial states that
    are computed, cells with other options, and a backward direction by itself.

    Raises TypeError for a model that has not all of its layers here, ValueError for what is no ONNX
    file and for names that are not in it, ImportError without onnx, and OSError.
    """
    try:
        import onnx.reference
    except ImportError as error:
        raise ImportError("from_onnx needs the package onnx: pip install onnx") from error
    graph = read_graph(loaded(onnx, model), onnx, input, output)
    tried: list[list[str]] = []
    one, other = ({**size, "B": 1} if for_one_sequence(graph) else size for size in SIZES)
    for layout, D in layouts(graph):
        found, wrong = run(graph, layout, D, one)
        if not wrong:
            again, wrong = run(graph, layout, D, other)
            if not wrong and same(again, found):
                return found
            wrong = wrong or ["other layers for another number of steps or sequences"]
        tried.append(wrong)
    # Of the ways in which x may stand there, the one that came furthest says most.
    places = {place(node): k for k, node in enumerate(graph.nodes)}
    tried.sort(key=lambda wrong: -places.get(wrong[0].split(":")[0], len(places)))
    raise TypeError(_refusal(tried[0] if tried else [f"an x of shape {graph.inputs[graph.x][1]}"]))


def _refusal(wrong: Sequence[str]) -> str:
    more = f" and {len(wrong) - 8} more" if len(wrong) > 8 else ""
    return (
        f"model: expected what layers here compute (a part can be taken with input= and output=), "
        f"got {'; '.join(wrong[:8])}{more}"
    )


def same(one: Any, other: Any) -> bool:
    """Whether two models have equal layers and equal numbers."""
    pairs = zip(one.params.values(), other.params.values(), strict=False)
    return repr(one) == repr(other) and all(np.array_equal(p, q) for p, q in pairs)
