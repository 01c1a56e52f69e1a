"""The command line loses no figures: what is tried first, what is written when, what stays."""

import json
import os
import sys
import tempfile
import threading
import types

import matplotlib.pyplot as plt
import pytest

from minirnn import cli, plot
from minirnn.commands import experiments
from minirnn.experiments import Experiment, Settings, char_lm

FAKE = Experiment(title="a fake", unit="points", seconds=1, reference="none")


@pytest.fixture
def fake(monkeypatch):
    """Replace all experiments by one; ``ran`` holds the seeds that it was run with."""
    ran = []

    def replace(run=None, picture=None):
        def fake_run(settings):
            ran.append(settings.seed)
            if run is not None:
                run(settings)
            if picture is not None:
                settings.draw(picture)
            return {"network": {"test": 10.0 + settings.seed}}

        monkeypatch.setattr(experiments, "find", lambda name: (FAKE, fake_run))
        return ran

    return replace


def fails_at(seed, error):
    def run(settings):
        if settings.seed == seed:
            raise error

    return run


def raises(error):
    def function(*_, **__):
        raise error

    return function


@pytest.mark.parametrize("option", ["--out", "--json"])
def test_a_full_disk_is_found_before_the_training(option, fake, tmp_path, monkeypatch, capsys):
    ran = fake()
    full, usual = tmp_path / "full", tempfile.TemporaryFile

    def temporary(dir):
        return raises(OSError(28, "No space left on device"))() if dir == full else usual(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", temporary)
    place = {"--out": tmp_path / "o", "--json": tmp_path / "j" / "f.json"}
    place[option] = full if option == "--out" else full / "f.json"
    argv = [str(word) for pair in place.items() for word in pair]
    assert cli.main(["cook", *argv]) == 1
    assert not ran
    err = capsys.readouterr().err
    assert f"{option}: nothing can be written into {full}: No space left" in err


def test_a_picture_that_cannot_be_written_costs_only_itself(fake, tmp_path, capsys):
    def picture(out):
        plot.save(plt.figure(), out / "cook.png")

    fake(picture=picture)
    (tmp_path / "cook.png").mkdir()
    argv = ["cook", "--out", str(tmp_path), "--json", str(tmp_path / "f.json")]
    assert cli.main(argv) == 1
    captured = capsys.readouterr()
    assert "network   10.0" in captured.out and "f.json" in captured.out
    assert "minirnn: a picture is missing: " in captured.err and "cook.png" in captured.err
    assert json.loads((tmp_path / "f.json").read_text())["seeds"]["0"]["network"]["test"] == 10


def test_pictures_are_drawn_once_after_the_table_and_the_figures(fake, tmp_path, capsys):
    fake(picture=lambda out: print("a picture", (out / "f.json").exists()))
    argv = ["cook", "--seeds", "3", "--out", str(tmp_path), "--json", str(tmp_path / "f.json")]
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    assert out.index("11.0 (10.0 to 12.0)") < out.index("a picture True")
    assert out.count("a picture ") == 1


@pytest.mark.parametrize("error, code", [(OSError("no more"), 1), (KeyboardInterrupt(), 130)])
def test_the_seeds_before_an_error_are_kept(error, code, fake, tmp_path, capsys):
    fake(fails_at(2, error))
    argv = ["cook", "--seeds", "5", "--out", str(tmp_path), "--json", str(tmp_path / "f.json")]
    assert cli.main(argv) == code
    assert list(json.loads((tmp_path / "f.json").read_text())["seeds"]) == ["0", "1"]
    out = capsys.readouterr().out
    assert "10.5 (10.0 to 11.0)" in out and "seeds 0 to 1" in out


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_gets_the_figures_of_all_seeds_once(fake, tmp_path):
    fake()
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    assert cli.main(["cook", "--seeds", "2", "--out", str(tmp_path), "--json", str(pipe)]) == 0
    reader.join(10)
    assert list(json.loads(read[0])["seeds"]) == ["0", "1"]


def test_sections_of_an_earlier_run_stay(fake, tmp_path, capsys):
    fake()
    out = ["--out", str(tmp_path)]
    assert cli.main(["all", "--only", "cook", "reverse", "adding", *out]) == 0
    text = (tmp_path / "results.md").read_text()
    (tmp_path / "results.md").write_text(text + "\n## my notes\n\nall well\n")
    assert cli.main(["all", "--only", "reverse", "copy", "--seed", "7", "--quick", *out]) == 0
    text = (tmp_path / "results.md").read_text()
    heads = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert heads == ["cook", "reverse", "adding", "my notes", "copy"]
    sections = dict(zip(heads, text.split("\n## ")[1:], strict=True))
    assert "seed 7" in sections["reverse"] and "A short run" in sections["reverse"]
    assert "seed 0" in sections["cook"] and "all well" in sections["my notes"]
    assert text.startswith("# Results\n\n## cook\n") and "short" not in sections["cook"]


def test_a_file_of_another_kind_is_not_overwritten(fake, tmp_path, capsys):
    ran = fake()
    (tmp_path / "results.md").write_text("my thesis")
    assert cli.main(["all", "--only", "cook", "--out", str(tmp_path)]) == 1
    assert not ran and (tmp_path / "results.md").read_text() == "my thesis"
    assert "results.md is not a table of results; choose another" in capsys.readouterr().err


def test_all_goes_on_after_any_error_and_tells_it(fake, tmp_path, monkeypatch, capsys):
    fake(picture=raises(RuntimeError("no font")))
    usual = experiments.find
    broken = {"cook": RuntimeError("broken"), "adding": KeyError("Date")}
    monkeypatch.setattr(
        experiments, "find", lambda n: (FAKE, raises(broken[n])) if n in broken else usual(n)
    )
    argv = ["all", "--only", "cook", "adding", "copy", "--out", str(tmp_path)]
    assert cli.main(argv) == 1
    captured = capsys.readouterr()
    assert "minirnn: cook: RuntimeError: broken\n" in captured.err
    assert "minirnn: adding: KeyError: 'Date'\n" in captured.err
    assert "a picture is missing: RuntimeError: no font\n" in captured.err
    assert "not run: cook, adding\nwithout pictures: copy\n" in captured.out
    assert "## copy" in (tmp_path / "results.md").read_text()


def test_all_keeps_the_seeds_before_an_error(fake, tmp_path, capsys):
    fake(fails_at(1, ValueError("bad data")))
    assert cli.main(["all", "--only", "cook", "--seeds", "2", "--out", str(tmp_path)]) == 1
    assert "a fake; seed 0," in (tmp_path / "results.md").read_text()


def test_nobody_reads_on_and_nothing_is_said(fake, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    monkeypatch.setattr(sys.stdout, "fileno", lambda: -1, raising=False)
    fake(fails_at(0, BrokenPipeError(32, "Broken pipe")))
    for argv in (["cook"], ["all", "--only", "cook"]):
        assert cli.main([*argv, "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("option", ["--epochs", "--seeds"])
def test_a_number_that_is_too_large_is_told_the_largest(option, capsys):
    with pytest.raises(SystemExit):
        cli.main(["cook", option, "99999999999999"])
    assert f"{option}: expected at most 2147483647, got '99999999999999'" in capsys.readouterr().err


def test_a_program_without_a_terminal_runs(fake, tmp_path, monkeypatch):
    fake()
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(["cook", "--out", str(tmp_path)]) == 0


def test_a_picture_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "a.png"
    file.write_bytes(b"old")
    monkeypatch.setattr(plot.common, "write", raises(OSError("disk full")))
    figure = plt.figure()
    with pytest.raises(OSError, match="disk full"):
        plot.save(figure, file)
    assert file.read_bytes() == b"old" and not plt.fignum_exists(figure.number)


def test_the_row_of_a_short_training_says_how_short_it_was(monkeypatch):
    def fit(model, loss_fn, data, optimizer, epochs, **_):
        trained.append(epochs * len(list(data(None))))
        return types.SimpleNamespace(val_loss=[1.0])

    trained: list[int] = []
    monkeypatch.setattr(char_lm.mr, "fit", fit)
    monkeypatch.setattr(char_lm.texts, "shakespeare", lambda _: "to be or not to be\n" * 250)
    settings = Settings(epochs=2, quick=True, progress=False)
    assert next(iter(char_lm.run(settings))) == f"LSTM 128, {trained[0]} batches"
    assert trained == [6]
