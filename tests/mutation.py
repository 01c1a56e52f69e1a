"""Plant errors in the forward and backward passes, one at a time, and see whether a test fails.

    python tests/mutation.py                       # all, about an hour on 2 cores
    python tests/mutation.py cells/lstm.py --jobs 2

Each mutant is what people really write: a wrong sign, a term or a factor left out, the step before
or after, gates in another order, a range one too long, ``=`` for ``+=``, a forgotten transpose, a
statement forgotten. Kernels run as ordinary Python, so nothing is compiled. Prints how many were
planted and caught, and every survivor; a survivor is a gap in the tests, or changes nothing.
"""

import argparse
import ast
import collections
import concurrent.futures
import copy
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "minirnn"
CELLS = ["tests/cells/test_cells.py", "tests/checking/test_gradcheck.py"]
ATTENTION = "tests/layers/test_attention.py"
LAYERS = ["tests/layers/test_layers.py", "tests/checking/test_gradcheck.py"]
# File to the tests that it is for, with a choice of them by name ("-k").
TARGETS = {
    "cells/rnn.py": [*CELLS, "-k", "RNN or rnn"],
    "cells/lstm.py": [*CELLS, "-k", "LSTM or lstm"],
    "cells/gru.py": [*CELLS, "-k", "GRU or gru"],
    "cells/lstm_variants.py": [*CELLS, "-k", "LSTM or variant"],
    "cells/output_rnn.py": [*CELLS, "-k", "Output or output or forcing or forced or sampling"],
    "layers/linear.py": [*LAYERS, "-k", "Linear or linear"],
    "layers/embedding.py": [*LAYERS, "-k", "Embedding or embedding"],
    "layers/elementwise.py": [*LAYERS, "-k", "Dropout or dropout or ctivation"],
    "layers/last.py": [*LAYERS, "-k", "Last or last"],
    "layers/sequential.py": [*LAYERS, "-k", "Sequential or sequential or GRU or model"],
    "layers/bidirectional.py": [*LAYERS, "-k", "Bidirectional or bidirectional or directions"],
    "layers/conv.py": [ATTENTION, *LAYERS, "-k", "Conv or conv"],
    "layers/attention.py": [ATTENTION, *LAYERS, "-k", "ttention"],
    "layers/pooling.py": [ATTENTION, *LAYERS, "-k", "Pool or Hierarchical or pool"],
    "layers/seq2seq.py": [ATTENTION, *LAYERS, "-k", "Seq2Seq or seq2seq"],
    "layers/checkpoint.py": ["tests/layers/test_checkpoint.py", *LAYERS, "-k", "heckpoint"],
    "training/losses.py": ["tests/training/test_losses.py"],
    "training/uncertainty.py": [
        "tests/training/test_losses.py", "tests/training/test_uncertainty.py",
        "-k", "not pytorch and not constant",
    ],
    "metrics.py": ["tests/test_metrics.py"],
    "training/ctc.py": ["tests/training/test_ctc.py"],
    "training/bptt.py": ["tests/training/test_bptt.py", "tests/training/test_truncated.py"],
    "training/rtrl.py": ["tests/training/test_truncated.py"],
    "engine/products.py": ["tests/engine/test_products.py", "tests/cells/test_cells.py"],
}  # fmt: skip
NOT = ("__init__", "step_decay", "_kind", "_run", "_describe")  # functions without mathematics
TIMEOUT = 600


def mutants(tree):
    """Pairs (description, mutate), where mutate changes a copy of the tree."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name not in NOT:
            for place in (n for n in ast.walk(function) if hasattr(n, "lineno")):
                for what, new in alternatives(place):
                    yield f"{function.name}:{place.lineno}: {what}", place, new


def alternatives(node):
    """Wrong versions of a node: (what was done, the new node)."""
    text = ast.unparse(node)

    def told(new, what=""):
        return f"{what}{text}  ->  {ast.unparse(new)}", new

    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        new = copy.deepcopy(node)
        new.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
        yield told(new)
        yield told(node.left)
        if isinstance(node.op, ast.Add):
            yield told(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
        yield told(node.left)
        if isinstance(node.op, ast.Mult):
            yield told(node.right)
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield told(node.value)
    if isinstance(node, ast.AugAssign):
        new = copy.deepcopy(node)
        if isinstance(node.op, ast.Add):
            new.op = ast.Sub()
            yield told(new)
        target = copy.deepcopy(node.target)
        yield told(ast.copy_location(ast.Assign([target], node.value, lineno=node.lineno), node))
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        for k, part in enumerate(parts):
            if isinstance(part, ast.Name) and part.id in ("t", "row", "j", "k", "n", "b"):
                for op in (ast.Add(), ast.Sub()):
                    new = copy.deepcopy(node)
                    moved = ast.BinOp(ast.Name(part.id, ast.Load()), op, ast.Constant(1))
                    if isinstance(new.slice, ast.Tuple):
                        new.slice.elts[k] = moved
                    else:
                        new.slice = moved
                    yield told(new)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        swap = {ast.GtE: ast.Gt, ast.Gt: ast.GtE, ast.Lt: ast.LtE, ast.LtE: ast.Lt}
        if type(node.ops[0]) in swap:
            new = copy.deepcopy(node)
            new.ops = [swap[type(node.ops[0])]()]
            yield told(new)
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "range":
        for k in range(min(2, len(node.args))):
            new = copy.deepcopy(node)
            new.args[k] = ast.BinOp(new.args[k], ast.Sub(), ast.Constant(1))
            yield told(new)
    if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Store):
        for k in range(len(node.elts) - 1):
            new = copy.deepcopy(node)
            new.elts[k], new.elts[k + 1] = new.elts[k + 1], new.elts[k]
            yield told(new)
    if isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value in (1, 0):
        yield told(ast.Constant(node.value + 1))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield told(node.operand)
    wrote = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript)
    if wrote or isinstance(node, ast.AugAssign):
        yield f"left out: {text}", ast.Pass()


def planted(source, number):
    """The text of a file with error ``number`` in it, and what the error is."""
    tree = ast.parse(source)
    what, place, new = list(mutants(tree))[number]

    class Plant(ast.NodeTransformer):
        def visit(self, node):
            return ast.copy_location(new, node) if node is place else super().visit(node)

    return ast.unparse(ast.fix_missing_locations(Plant().visit(tree))), what


def count(file):
    return len(list(mutants(ast.parse((PACKAGE / file).read_text(encoding="utf-8")))))


CHILD = """
import importlib.abc, importlib.util, sys
sys.path[:0] = [{root!r}, {root!r} + "/tests"]
sys.dont_write_bytecode = True
import mutation
name, path = {name!r}, {path!r}

class Finder(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    def find_spec(self, fullname, *_):
        if fullname == name:
            return importlib.util.spec_from_file_location(fullname, path, loader=self)
    def get_filename(self, fullname):
        return path
    def get_data(self, path):
        return mutation.planted(open(path, encoding="utf-8").read(), {number})[0].encode()
    def path_stats(self, path):
        raise OSError

sys.meta_path.insert(0, Finder())
import pytest
code = pytest.main(["-x", "-q", "--no-header", "-p", "no:cacheprovider", "--tb=no", *{tests!r}])
sys.exit(int(code))
"""


def survives(file, number, tests):
    """Whether all tests pass with the error in place (or, with number -1, without any)."""
    name = "minirnn." + file.removesuffix(".py").replace("/", ".")
    values = {"root": str(HERE.parent), "name": name if number >= 0 else "", "number": number,
              "path": str(PACKAGE / file), "tests": tests}  # fmt: skip
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", CHILD.format(**values)], cwd=HERE.parent,
            env=environment, capture_output=True, text=True, timeout=TIMEOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return False
    if done.returncode == 5:
        raise RuntimeError(f"{file}: no tests chosen by {tests}")
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("files", nargs="*", default=list(TARGETS), help="of the package")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take each Nth only")
    given = parser.parse_args()
    totals, caught = collections.Counter(), collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        for file in given.files:
            if not survives(file, -1, TARGETS[file]):
                raise RuntimeError(f"{file}: its tests fail before any error is planted")
            numbers = range(0, count(file), given.every)
            source = (PACKAGE / file).read_text(encoding="utf-8")
            alive = pool.map(lambda n, file=file: survives(file, n, TARGETS[file]), numbers)
            for number, lives in zip(numbers, alive, strict=True):
                totals[file] += 1
                caught[file] += not lives
                if lives:
                    print(f"  SURVIVED {file} {planted(source, number)[1]}", flush=True)
            print(f"{file:<26} {totals[file]:4d} planted, {caught[file]:4d} caught", flush=True)
    planted_, found = sum(totals.values()), sum(caught.values())
    print(f"{planted_} planted, {found} caught, {planted_ - found} survived")
    return 0


if __name__ == "__main__":
    sys.exit(main())
