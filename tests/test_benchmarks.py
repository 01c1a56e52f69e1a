"""The benchmarks' report: tables, pictures, and what has become slower."""

import sys

import numpy as np
import pytest

from benchmarks import processes, report, work


def found(ours=0.002, torch=0.004):
    results = [
        {"section": section, "cell": "LSTM", "dtype": "float32", "shape": [1, 2, 3, 4],
         "threads": n, "figures": {"minirnn s": ours, "torch s": torch},
         "ratios": {"torch": torch / ours}}
        for section in report.GRIDS for n in (1, 2)
    ]  # fmt: skip
    results.append({"section": "first use", "cell": "LSTM", "figures": {"cold s": 4.0}})
    threads = {"minirnn, 1 s": ours, "minirnn, 2 s": ours / 1.6}
    names = {"cell": "LSTM", "dtype": "float32", "shape": [1, 2, 3, 4]}
    results.append({"section": "threads", **names, "figures": threads})
    return {"machine": {"python": "3"}, "quick": False, "minutes": 1, "results": results}


def test_tables_and_pictures(tmp_path):
    text = report.markdown(found())
    assert "| LSTM float32 | 2.00 | 2.00 |" in text and "Geometric mean 2.00, worst 2.00" in text
    assert "## first use" in text and "| LSTM | 4 |" in text
    files = [file.name for file in report.figures(found(), tmp_path)]
    assert files == ["ratios.png", "threads.png"]
    assert "| minirnn float32 | (1, 2, 3, 4) | 1.00 | 0.80 |" in text
    ours, limit = report.scaling(found()).axes[0].lines
    assert list(ours.get_ydata()) == [2, 1.25] and list(limit.get_ydata()) == [2, 1]


def test_threads_up_to_the_cores(monkeypatch):
    for cores, counts in ((1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (16, [1, 2, 4, 8, 16])):
        monkeypatch.setattr(work, "CORES", cores)
        assert work.thread_counts(False) == counts and work.thread_counts(True) == [cores]


def test_a_peer_that_is_missing():
    data = found()
    for r in data["results"]:
        r["figures"].pop("torch s", None)
        r.pop("ratios", None)
    assert "time / ours" not in report.markdown(data) and "4" in report.markdown(data)


def test_a_ratio_is_that_of_most_turns():
    turns = {"minirnn s": [1, 2, 1], "torch s": [3, 6, 9], "jax s": [4, 4]}  # of jax one is missing
    assert report.ratios_of_turns(turns) == {"torch": 3.0}


@pytest.mark.parametrize("ours, torch, slower", [
    (0.002, 0.004, 0), (0.0024, 0.004, 6), (0.0024, 0.0048, 0), (0.001, 0.004, 0),
])  # fmt: skip
def test_what_has_become_slower(ours, torch, slower, capsys):
    assert report.compare(found(), found(ours, torch)) == slower
    assert f"{slower} of 6 cases slower" in capsys.readouterr().out


def test_the_number_of_threads_changes_with_the_function_only(monkeypatch):
    asked = [0]
    monkeypatch.setattr(work, "set_threads", asked.append)
    monkeypatch.setattr(work.mr, "get_num_threads", lambda: asked[-1])
    monkeypatch.setattr(work, "CORES", 2)
    one, two, *_ = work.scaling("LSTM", "float64", (3, 4, 2, 5)).values()
    for function in (one, one, two, two, one):
        function()
    assert asked == [0, 1, 2, 1]


@pytest.mark.parametrize("cell", work.CELLS)
def test_both_do_the_same_work(cell):
    """The functions run; our output is that of the loop that is timed beside it."""
    for make in (work.forward_backward, work.lengths, work.forward, work.products, work.streaming):
        for function in make(cell, "float64", (3, 4, 2, 5)).values():
            function()
    layer, x, _, _ = work.draw(cell, "float64", (3, 4, 2, 5))
    loop = work.numpy_loop(cell, "float64", (3, 4, 2, 5))["numpy loop"]
    np.testing.assert_allclose(loop(), layer.forward(x)[0], atol=1e-12)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_process_of_its_own():
    figures = next(f() for section, _, f in processes.cases(True, 1, 0.01) if section == "import")
    assert 0 < figures["minirnn s"] < 10
