"""Every experiment, in a short run on its real data: baselines, pictures, the same for a seed."""

import functools
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

import minirnn as mr
from minirnn import cli
from minirnn.commands import experiments
from minirnn.commands.common import duration
from minirnn.datasets import files, images, speech, texts
from minirnn.datasets import stock as prices
from minirnn.experiments import Settings, char_lm, cook, polarity, sentiment, series_predictor

ON_REAL_DATA = {
    "stock", "mnist-rows", "mnist16", "cifar-rows", "pixel-mnist", "imdb", "polarity", "char-lm",
    "ptb", "translate", "spoken-digits", "speech",
}  # fmt: skip
TIMES = ("seconds", "ms a training step")


# Smaller numbers in the scripts, and fewer images or days: less to wait for, the same lines run.
SMALLER = {
    "adding": {"EPOCH": 3}, "reverse": {"BATCHES": 3}, "vanishing": {"T": 12, "LAG": 12},
    "reber": {"EVERY": 60}, "odyssey": {"T": 12}, "output-recurrence": {"T": 20},
    "spoken-digits": {"H": 8, "COPIES": 2}, "speech": {"H": 8},
    "dates": {"H": 16}, "mnist16": {"H": 16}, "ptb": {"V_H": 16}, "translate": {"E": 16, "H": 16},
}  # fmt: skip
FEWER = {"mnist-rows": 300, "mnist16": 500, "cifar-rows": 200, "pixel-mnist": 60}
READERS = (
    (texts, "imdb"), (texts, "polarity"), (texts, "shakespeare"), (texts, "penn_treebank"),
    (texts, "phrases"), (images, "mnist"), (images, "cifar10"), (prices, "load"),
    (speech, "digits"),
)  # fmt: skip


@pytest.fixture(scope="module")
def once():
    """What a reader of real data gives; it is read once for all tests of this file."""
    return functools.cache(lambda read: read(False))


@pytest.fixture
def short(once, monkeypatch):
    """Makes the short run of an experiment still shorter."""

    def shorten(name):
        for constant, value in SMALLER.get(name, {}).items():
            monkeypatch.setattr(experiments.module_of(name), constant, value)
        for module, reader in READERS:
            read = getattr(module, reader)
            monkeypatch.setattr(module, reader, lambda progress, read=read: fewer(once(read), name))

    return shorten


def fewer(found, name):
    if name == "stock":  # from the other 200 days the script takes its validation part
        return [part[-400:] for part in found]
    if name in FEWER:
        return [[a[: FEWER[name]] for a in part] for part in found]
    return found


def predictions_here(model):
    return model.forward(series_predictor.X_NEW)[0]


def without_times(result):
    return {k: {p: v for p, v in own.items() if p not in TIMES} for k, own in result.items()}


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_a_short_run(name, short, tmp_path, capsys, monkeypatch):
    """The command and the function come to the same figures for the same seed, not for another."""
    if name in ON_REAL_DATA and not os.environ.get("MINIRNN_DATA"):
        pytest.skip("MINIRNN_DATA does not name a folder with real data")
    short(name)
    experiment, run = experiments.find(name)
    file = tmp_path / "figures.json"
    argv = ["--quick", "--seed", "3", "--out", str(tmp_path), "--json", str(file)]
    assert cli.main([name, *argv]) == 0
    assert experiment.unit in capsys.readouterr().out and list(tmp_path.glob("*.png"))
    (found,) = json.loads(file.read_text())["seeds"].values()
    assert len(found) >= 2  # a model, and what it is compared with
    # The command let another process load the model and predict: this one predicts the same.
    monkeypatch.setattr(series_predictor, "elsewhere", predictions_here)
    for seed in (3, 4):
        again = json.loads(json.dumps(run(Settings(seed=seed, quick=True, progress=False))))
        assert (without_times(again) == without_times(found)) == (seed == 3)


def test_the_list_says_which_need_data(tmp_path, monkeypatch):
    monkeypatch.delenv("MINIRNN_DATA", raising=False)
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path)
    found = {name: experiments.find(name) for name in experiments.EXPERIMENTS}
    assert {name for name, (experiment, _) in found.items() if experiment.data} == ON_REAL_DATA
    monkeypatch.setattr(files, "download", lambda address, *_: (_ for _ in ()).throw(OSError))
    for experiment, run in (found[name] for name in ON_REAL_DATA):
        by_hand = experiment.data == "by hand"  # or has an address to be downloaded from
        with pytest.raises(OSError, match="no download for it" if by_hand else "downloading"):
            run(Settings(quick=True, progress=False))


def test_all_of_them_make_one_table(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MINIRNN_DATA", str(tmp_path))
    monkeypatch.setattr("minirnn.datasets.files.cache_folder", lambda: tmp_path)
    argv = ["all", "--quick", "--seeds", "2", "--out", str(tmp_path), "--only", "cook", "stock"]
    assert cli.main(argv) == 1
    captured = capsys.readouterr()
    assert "not run: stock" in captured.out and "MSFT_2012_2017.csv: not found" in captured.err
    assert "'minirnn stock --help' says where the data are from" in captured.err
    text = (tmp_path / "results.md").read_text()
    assert "## cook" in text and "by hand" in text and "Reference: 100" in text


def test_the_cook_by_hand_is_exact_and_made_of_zeros_and_ones():
    model = cook.by_hand()
    for name in ("0.W_x", "0.W_h", "1.W"):
        assert set(np.unique(model.params[name])) == {0, 1}
    x, dishes = cook.diary(np.random.default_rng(0), 500, 20)
    y, _, _ = model.forward(x, cook.start(20))
    assert np.array_equal(y.argmax(axis=-1), dishes)
    assert np.array_equal(y, np.eye(3)[dishes])


def test_the_bag_of_words_has_the_right_gradient():
    bag = sentiment.BagOfWords(5, 3, rng=0)
    x = np.random.default_rng(0).integers(0, 5, (4, 2))
    assert mr.gradcheck(bag, x, lengths=np.array([4, 2])).ok
    y, _, _ = bag.forward(x, lengths=np.array([4, 2]))
    np.testing.assert_allclose(y[1], bag.params["W"][x[:2, 1]].sum(axis=0))


def test_a_bag_of_words_cannot_tell_negations_apart():
    sentences, labels = polarity.negation(np.random.default_rng(0), 2000)
    words = [tuple(sorted(s)) for s in sentences]
    by_bag = {}
    for bag, label in zip(words, labels, strict=True):
        by_bag.setdefault(bag, []).append(label)
    often = [found for found in by_bag.values() if len(found) > 20]
    assert len(often) > 20
    assert all(0 < np.mean(found) < 1 for found in often)
    whole = [" ".join(s) for s in sentences]
    assert [("not like" in text) for text in whole] == [label == 0 for label in labels]


def test_witten_bell_is_a_distribution_and_beats_counting_less():
    rng = np.random.default_rng(0)
    text = np.cumsum(rng.choice([1, 1, 1, 2], 3000)) % 5
    bits = [char_lm.witten_bell(text[:2500], text[2500:], 5, n) for n in (1, 2, 3)]
    assert bits[0] > 2.2 and bits[1] < 1 < bits[0]
    # The probabilities of all next characters add up to 1.
    context = text[:2500]
    p = [2 ** -(char_lm.witten_bell(context, np.array([k]), 5, 3)) for k in range(5)]
    assert sum(p) == pytest.approx(1)


def test_the_table_in_the_readme_has_every_experiment_with_its_script_and_its_time():
    folder = Path(__file__).parents[2] / "minirnn" / "experiments"
    text = (folder / "README.md").read_text(encoding="utf-8")
    row = r"^\| \[`minirnn ([\w-]+)(.*?)`\]\((\w+\.py)\) \|.*?\| (.*?) \|"
    rows = [found for found in re.findall(row, text, re.M) if "--protocol" not in found[1]]
    assert [name for name, *_ in rows] == list(experiments.EXPERIMENTS)
    for name, _, script, needs in rows:
        experiment, _ = experiments.find(name)
        assert script == Path(experiments.module_of(name).__file__).name, name
        assert needs == f"{duration(experiment.seconds)}, {experiment.data or '-'}", name
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (folder / link).exists(), link
