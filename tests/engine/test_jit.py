"""What is said while kernels are compiled."""

import sys
from types import SimpleNamespace

import numba
import pytest

from minirnn.engine.jit import _Notice


def compiling(module):
    def kernel():
        pass

    kernel.__module__ = module
    return SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=kernel)})


@pytest.mark.parametrize("terminal", [True, False])
def test_in_a_terminal_the_wait_is_explained_once(terminal, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    notice = _Notice()
    for module in (
        None,
        "numpy",
        "my_minirnn.cells",
        "minirnn.cells.lstm",
        "minirnn.engine.products",
    ):
        notice.on_start(compiling(module))
    assert capsys.readouterr().err.count("compiling") == terminal


def test_code_of_others_that_belongs_to_no_module_compiles():
    names = {}
    exec("def f(x): return x + 1", names)
    assert numba.njit(names["f"])(1) == 2
