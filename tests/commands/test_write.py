"""A language model of one's own text: ``char-lm --text`` trains it, ``write`` lets it write."""

import io

import numpy as np
import pytest

import minirnn as mr
from minirnn import cli
from minirnn.commands import training
from minirnn.experiments import Settings, char_lm, own_text

LINE = "to be or not to be, that is the question\n"


@pytest.fixture
def run(tmp_path, capsys, monkeypatch):
    """A command in a folder of its own: the exit code, what it prints, and its complaints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own_text, "STREAMS", 4)
    (tmp_path / "a.txt").write_text(LINE * 30 + "\u00a3", encoding="utf-8")
    (tmp_path / "b.txt").write_bytes((LINE.upper() * 30).replace("\n", "\r\n").encode("utf-16"))

    def command(*argv):
        code = cli.main(list(argv))
        out, err = capsys.readouterr()
        return code, out, err

    return command


LEARN = ("char-lm", "--text", "a.txt", "b.txt", "--units", "8", "--epochs", "2", "--out")


def test_from_texts_to_a_model_that_writes(run, tmp_path, monkeypatch):
    code, out, _ = run(*LEARN, "o")
    assert code == 0
    for text in (
        "a.txt: 1231 characters, 16 different", "b.txt: 1230 characters", "a GRU of 8 units",
        "the same again: --units 8 --epochs 2", "part 18 of 18: ", "minirnn write o/char-lm.npz",
        "5-grams are better here, by", "--- temperature 0.8",
    ):  # fmt: skip
        assert text in out, text
    assert "PyTorch" not in out and "takes about" not in out
    names = ["char-lm.npz", "char-lm.png", "samples.txt"]
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == names
    assert "<unk>" not in (tmp_path / "o/samples.txt").read_text()
    argv = ("write", "o/char-lm.npz", "--prompt", "to be", "--length", "40")
    code, out, err = run(*argv)
    assert code == 0 and out.startswith("to be") and len(out) == 5 + 40 + 1 and err == ""
    assert run(*argv)[1] == out and run(*argv, "--seed", "1")[1] != out
    assert run(*argv, "--temperature", "0")[1] == run(*argv, "--temperature", "0", "--seed", "9")[1]
    code, out, err = run("write", "o/char-lm.npz", "--prompt", "\u00fcbe", "--length", "3")
    assert code == 0 and out.startswith("\u00fcbe") and len(out) == 7
    assert err == "minirnn: the model has not seen '\u00fc', or once; it reads <unk> instead\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"to be\r\n")))
    assert run("write", "o/char-lm.npz", "--prompt", "-", "--length", "1")[1][:6] == "to be\n"


def test_the_same_command_goes_on_after_ctrl_c_with_the_same_bits(run, tmp_path, monkeypatch):
    assert run(*LEARN, "whole")[0] == 0
    usual, calls = training.duration, []

    def press(seconds):
        calls.append(seconds)
        if len(calls) == 7:
            raise cli.Stopped
        return usual(seconds)

    monkeypatch.setattr(training, "duration", press)
    code, _, err = run(*LEARN, "cut")
    assert code == 130 and "the same command goes on" in err
    assert run(*LEARN, "cut", "--seed", "1")[0] == 1
    code, out, _ = run(*LEARN, "cut")
    assert code == 0 and "going on after part 3 of 18" in out
    whole, cut = (mr.load(tmp_path / f"{name}/char-lm.npz") for name in ("whole", "cut"))
    for name, p in whole.params.items():
        np.testing.assert_array_equal(p, cut.params[name])


@pytest.mark.parametrize("content, argv, message", [
    (b"12 chars now", (), "a.txt: expected at least 1000 characters, got 12; with so few"),
    (b"", (), "a.txt: expected a text, got an empty file"),
    (b"a\nb\xe9\n", (), "a.txt: line 2: not UTF-8 (byte e9 at offset 3)"),
    (b"a\nb", ("--encoding", "utf-9"), "encoding: expected one that Python knows"),
])  # fmt: skip
def test_texts_with_mistakes_are_refused(content, argv, message, run, tmp_path):
    (tmp_path / "a.txt").write_bytes(content)
    code, out, err = run("char-lm", "--text", "a.txt", "--out", "o", *argv)
    assert code == 1 and message in err and "part " not in out


def test_options_of_texts_need_a_text(run):
    code, _, err = run("char-lm", "--minutes", "3")
    assert code == 1 and "--minutes, --units, --fresh: expected --text with them" in err
    for wrong in ("0", "x", "-1", "nan"):
        with pytest.raises(SystemExit):
            run("char-lm", "--text", "a.txt", "--minutes", wrong)


@pytest.mark.parametrize("about, prompt, message", [
    (None, "a", "MODEL: expected a model that 'minirnn char-lm --text' has written, got m.npz"),
    ({"kind": "char-lm", "alphabet": ["a", "b"]}, "az", "--prompt: the model has never seen 'z'"),
    ({"kind": "char-lm", "alphabet": ["a", "b"]}, "", "--prompt: expected at least one character"),
])  # fmt: skip
def test_what_cannot_be_written_is_refused(about, prompt, message, run, tmp_path):
    model = mr.Sequential(mr.Embedding(2, 2), mr.GRU(2, 2), mr.Linear(2, 2))
    mr.save(model, tmp_path / "m.npz", about)
    code, _, err = run("write", "m.npz", "--prompt", prompt)
    assert code == 1 and message in err


def test_an_unknown_character_is_read_but_never_written(run, tmp_path):
    model = mr.Sequential(mr.Embedding(3, 2), mr.GRU(2, 2), mr.Linear(2, 3))
    model.params["2.b"][2] = 99
    mr.save(model, tmp_path / "m.npz", {"kind": "char-lm", "alphabet": ["a", "b", "<unk>"]})
    for temperature in ("0", "1"):
        argv = ("--prompt", "z", "--length", "9", "--temperature", temperature)
        code, out, err = run("write", "m.npz", *argv)
        assert code == 0 and set(out) <= set("zab\n") and "'z'" in err


def test_the_parts_of_several_texts_are_parts_of_each():
    found = own_text.split(["a" * 100, "b" * 200])
    assert found == ["a" * 85 + "b" * 170, "a" * 5 + "b" * 10, "a" * 10 + "b" * 20]
    assert own_text.alphabet_of("abab c") == ["a", "b", "<unk>"]


def test_the_size_fits_the_time(monkeypatch, capsys):
    monkeypatch.setattr(own_text, "time_of_batch", lambda V, H: H / 2000)
    for seconds, units in ((1, 64), (50, 128), (100, 256), (1000, 512)):
        found = own_text.plan(50, 32 * 64 * 200, seconds, None, None)
        assert found["units"] == units
        assert found["batches"] == max(20, int(seconds * 2000 / units))
    longer = own_text.plan(50, 32 * 64 * 1000, 100, None, None)  # 256 units: not even once
    assert longer["units"] == 64
    assert own_text.plan(50, 32 * 64 * 200, 1, 4, 99)["units"] == 99
    assert "reads the training part 4.0 times" in capsys.readouterr().out


def test_the_parts_of_a_training_go_on_where_the_one_before_ended(tmp_path, monkeypatch):
    seen = []

    def fit(model, loss_fn, data, optimizer, epochs, **_):
        for _ in range(epochs):
            batches = list(data(None))
            optimizer.steps += len(batches)
            seen.extend(batch.x[0, 0] for batch in batches)
        return mr.History()

    monkeypatch.setattr(own_text.mr, "fit", fit)
    plan = {"units": 2, "batches": 23, "passes": 3.0}
    job = training.Job(tmp_path / "j", tmp_path / "p", plan)
    tokens = np.arange(32 * 64 * 10 + 1)
    own_text.fitted(job, 5, [tokens, tokens[:1001]], np.random.default_rng(0))
    assert seen == [k % 10 * 64 for k in range(23)]


def test_what_the_network_is_worth():
    assert char_lm.verdict(2.0, 2.5).startswith("The network is better than 5-grams, by 0.50 bits")
    assert char_lm.verdict(2.5, 2.0).startswith("5-grams are better here, by 0.50 bits")
    with pytest.raises(ValueError, match="expected --text with them"):
        char_lm.run(Settings(), units=3)
