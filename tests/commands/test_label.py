"""``minirnn label``, as a person uses it on a file of one's own."""

import io
import json

import numpy as np
import pytest

import minirnn as mr
from minirnn import cli
from minirnn.commands import judging, label, labelling, training

ENDS = {"ish": "English", "ois": "Chinois", "isch": "Deutsch"}
RNG = np.random.default_rng(0)
NAMES = [
    ("".join(RNG.choice(list("abdeklmnort"), 4)) + end, kind)
    for end, kind in ENDS.items()
    for _ in range(60)
]
CONTENT = "name\tkind\n" + "".join(f"{t}\t{g}\n" for t, g in NAMES)


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """A command in a folder of its own: the exit code, what it prints, and its complaints."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.tsv").write_text(CONTENT, encoding="utf-8")

    def command(*argv):
        code = cli.main(["label", *argv])
        out, err = capsys.readouterr()
        return code, out, err

    return command


def test_from_a_file_to_labels_of_new_lines(run, tmp_path, monkeypatch):
    argv = ("names.tsv", "--out", "o", "--epochs", "3")
    code, out, _ = run(*argv, "--json", "f.json")
    assert code == 0
    for text in (
        "180 lines, separated by tabs", "line 1 is the head: name | kind", "3 different",
        "texts are read by characters", "epoch  3 of 3: loss ", "n-gram Bayes, n up to ",
        "always 'Chinois'", "recognized", "no mistakes", "use n-grams here", " to test",
        "so few lines that", "minirnn label --predict o/label.npz FILE",
    ):  # fmt: skip
        assert text in out, text
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["confusion.png", "label.npz"]
    figures = json.loads((tmp_path / "f.json").read_text())
    assert figures["network"] == {"right": 100.0, "macro recall": 100.0}
    assert np.sum(figures["confusion"]) == figures["lines"]["test"] in range(14, 23)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"mabanisch\n\nZanois")))
    code, out, err = run("--predict", "o/label.npz", "-")
    rows = [line.split("\t") for line in out.splitlines()]
    assert [(kind, text) for kind, _, text in rows] == [
        ("Deutsch", "mabanisch"), ("Chinois", "Zanois"),
    ]  # fmt: skip
    assert all(0.5 < float(p) <= 1 for _, p, _ in rows)
    assert "1 of 15 characters were not seen in training, or once: 'Z'" in err
    code, out, _ = run("--predict", "o/label.npz", "names.tsv", "--text", "name")
    answers = [line.split("\t")[0] for line in out.splitlines()]
    kinds = [kind for _, kind in NAMES]
    assert len(answers) == len(kinds)
    assert np.mean(np.array(answers) == kinds) > 0.95


def test_the_same_command_goes_on_after_ctrl_c_with_the_same_bits(run, tmp_path, monkeypatch):
    argv = ("names.tsv", "--epochs", "3", "--out")
    assert run(*argv, "whole")[0] == 0
    usual, calls = training.duration, []

    def press(seconds):
        calls.append(seconds)
        if len(calls) == 3:  # in the middle of the second line
            raise cli.Stopped
        return usual(seconds)

    monkeypatch.setattr(training, "duration", press)
    code, _, err = run(*argv, "cut")
    assert code == 130 and "the same command goes on" in err
    code, _, err = run("names.tsv", "--epochs", "4", "--out", "cut")
    assert code == 1 and "--out: in cut a training of other data, or with other options" in err
    code, out, _ = run(*argv, "cut")
    assert code == 0 and "going on after epoch 1 of 3" in out and "epoch  1" not in out
    whole, cut = (mr.load(tmp_path / f"{name}/label.npz") for name in ("whole", "cut"))
    for name, p in whole.params.items():
        np.testing.assert_array_equal(p, cut.params[name])
    assert not list((tmp_path / "cut").glob("unfinished*"))


@pytest.mark.parametrize("content, argv, message", [
    (b"a\tx\nb\xe9\ty\n", (), "names.tsv: line 2: not UTF-8 (byte e9 at offset 5)"),
    (b"", (), "names.tsv: expected lines with a text and a label, got an empty file"),
    (CONTENT.encode().replace(b"Deutsch", b"").replace(b"Chinois", b""), (), "expected a label"),
    ("".join(f"{t}\tx\n" for t, _ in NAMES).encode(), (), "two different labels, got only"),
    (CONTENT.encode() + b"a\tb\tc\n", (), "names.tsv: line 182: expected 2 columns"),
    (b"a\tx\nb\ty\nc\tx\n" * 20, ("--label", "last"), "expected more different texts, so that som"),
    (CONTENT.encode(), ("--label", "who"), "--label: expected first, last, a number in 1..2"),
    (CONTENT.encode(), ("--json", "names.tsv/a"), "--json: nothing can be written"),
    (CONTENT.encode(), ("--predict", "names.tsv"), "names.tsv"),
])  # fmt: skip
def test_files_with_mistakes_are_refused(content, argv, message, run, tmp_path):
    (tmp_path / "names.tsv").write_bytes(content)
    code, out, err = run("names.tsv", "--out", "o", *argv)
    assert code == 1 and err.startswith("minirnn: ") and message in err
    assert "epoch" not in out


def test_a_model_of_another_kind_is_refused(run, tmp_path):
    mr.save(mr.Linear(2, 2), tmp_path / "m.npz")
    code, _, err = run("--predict", "m.npz", "names.tsv")
    assert code == 1
    assert "--predict: expected a model that 'minirnn label' has written, got m.npz" in err


def test_sentences_are_read_by_words_and_rare_labels_can_count_as_much(run, tmp_path):
    rng = np.random.default_rng(1)
    words = [*(f"w{k}" for k in range(20))]
    rows = []
    for k in range(120):
        some = [*rng.choice(words, 5), "good" if k % 12 else "bad"]
        rows.append(f"{' '.join(rng.permutation(some))},{'yes' if k % 12 else 'no'}\n")
    (tmp_path / "s.csv").write_text("".join(rows))
    code, out, _ = run("s.csv", "--out", "o", "--epochs", "1", "--balance", "--alone")
    assert code == 0 and "texts are read by words, since most have more than three" in out
    assert "unbalanced: 'yes' has 110 lines, 'no' has 10; look at the macro recall" in out
    assert mr.about(tmp_path / "o/label.npz")["bayes"] is None
    assert run("--predict", "o/label.npz", "s.csv", "--text", "first")[0] == 0


def test_a_split_keeps_equal_texts_together_and_the_shares_of_labels():
    rng = np.random.default_rng(0)
    lines = [f"Text  {k % 700}" if k % 2 else f"text {k % 700}" for k in range(1000)]
    labels = (np.arange(1000) % 700 % 5 == 0).astype(int)
    parts = labelling.split(lines, labels, rng)
    assert sorted(np.concatenate(parts)) == list(range(1000))
    texts = [{labelling.same(lines[k]) for k in part} for part in parts]
    assert not (texts[0] & texts[1] or texts[0] & texts[2] or texts[1] & texts[2])
    for part, share in zip(texts, (0.8, 0.1, 0.1), strict=True):
        assert len(part) == pytest.approx(700 * share, abs=2)
    marked = {labelling.same(lines[k]) for k in np.flatnonzero(labels)}
    for part in texts:
        assert len(part & marked) == pytest.approx(0.2 * len(part), abs=2)
    other = labelling.split(lines, labels, rng)
    assert not np.array_equal(parts[2], other[2])


def test_every_label_is_in_the_training_part():
    labels = np.array([0] * 50 + [*range(1, 40)])
    for seed in range(5):
        train, _, _ = labelling.split(
            [str(k) for k in range(len(labels))], labels, np.random.default_rng(seed)
        )
        assert set(labels[train]) == set(range(40))


def test_two_texts_of_each_label_are_enough_to_test():
    labels = np.arange(40) // 2
    parts = labelling.split([str(k) for k in range(40)], labels, np.random.default_rng(0))
    assert [len(part) for part in parts] == [36, 2, 2]


def test_folds_keep_equal_texts_together():
    folds = labelling.folds([str(k % 50) for k in range(100)], np.random.default_rng(0))
    assert np.array_equal(folds[:50], folds[50:]) and len(set(folds)) == 10


def test_the_kind_of_text_decides_how_it_is_read():
    assert labelling.kind_of(["Rossi", "van der Berg", "O'Neill"]) == "characters"
    assert labelling.kind_of(["a film that I like", "no", "what a film it was"]) == "words"
    assert labelling.tokens_of("e\u0301 A ", "characters") == ["\u00e9", " ", "A"]
    assert labelling.tokens_of("A film, it's", "words") == ["a", "film", ",", "it's"]
    index = labelling.alphabet([["a", "b", "a"], ["b", "c"]])
    assert set(index) == {"<pad>", "<unk>", "a", "b"}
    assert labelling.encode([], index).tolist() == [1]


def test_logits_are_added_to_those_of_the_n_grams():
    y, start = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[0.5, 1.0], [1.0, -1.0]])
    labels, mask = np.array([0, 1]), np.array([2.0, 1.0])
    found = labelling.added_to(y, np.column_stack([labels, start]), mask)
    wanted = mr.softmax_cross_entropy(y + start, labels, mask)
    assert found[0] == wanted[0]
    np.testing.assert_array_equal(found[1], wanted[1])


def test_probabilities_are_in_the_order_of_the_lines():
    model = labelling.make(9, 3, "characters", np.random.default_rng(0))
    model.params["5.W"][...] = np.random.default_rng(1).normal(size=model.params["5.W"].shape)
    x = [np.arange(1, n) for n in (3, 9, 2, 5, 9)]
    p = labelling.probabilities(model, x, np.zeros((5, 3)), size=2)
    for own, one in zip(x, p, strict=True):
        np.testing.assert_allclose(
            labelling.probabilities(model, [own], np.zeros((1, 3)))[0], one, rtol=1e-5
        )
    before = labelling.probabilities(model, x[:1], np.log([[0.7, 0.2, 0.1]]))
    np.testing.assert_allclose(before[0] / p[0] / (before[0] / p[0])[0], [1, 2 / 7, 1 / 7], 1e-5)


@pytest.mark.parametrize("network, counting, message", [
    ([1] * 90 + [0] * 10, [1] * 60 + [0] * 40, "The network is better than counting n-grams (30.0"),
    ([1] * 60 + [0] * 40, [1] * 90 + [0] * 10, "is worse than counting n-grams (30.0 points, sta"),
    ([1] * 61 + [0] * 39, [0] + [1] * 59 + [0] * 40, "but not clearly so (2.0 points, standard er"),
    ([1] * 60 + [0] * 40, [1] * 60 + [0] * 40, "is not better than counting n-grams (0.0 points"),
])  # fmt: skip
def test_the_verdict(network, counting, message):
    found = judging.verdict(np.array(network, bool), np.array(counting, bool))
    assert message in found
    assert ("use n-grams here" in found) == ("is worse" in message or "not better" in message)


def test_the_worst_mistakes_of_many_labels(capsys):
    K = 14
    names = [f"k{k}" for k in range(K)]
    labels = np.arange(K)
    lines = labelling.Lines(
        [f"text {k}" for k in range(K)], [*range(1, K + 1)], names, labels, [], "words",
        (labels, labels, labels),
    )  # fmt: skip
    p = np.eye(K) * 0.9
    p[2] = np.eye(K)[5] * 0.8
    figures = judging.report(lines, p, labels, "n-grams")
    out = capsys.readouterr().out
    assert "line 3: 'text 2': 80 % k5, but it is k2" in out
    assert "most often mistaken:\n  k2 for k5: 1 of 1 lines\n" in out
    assert figures["network"]["right"] == pytest.approx(100 * 13 / 14)


def test_the_number_of_epochs_falls_with_the_size_of_the_file():
    found = [labelling.epochs_for([10] * n, 64) for n in (100, 9000, 10**6)]
    assert found == [15, 9, 2]
    assert found[0] > label.PATIENCE
