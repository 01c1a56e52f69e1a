"""The command line, as a person uses it."""

import json
import subprocess
import sys

import numpy as np
import pytest

import minirnn as mr
from minirnn import cli
from minirnn.checking.catalogue import LAYERS
from minirnn.commands import experiments
from minirnn.experiments import Settings
from minirnn.files import npz


def run(capsys, *argv):
    code = cli.main(list(argv))
    return code, capsys.readouterr().out


@pytest.mark.parametrize("argv", [("list",), ()])
def test_list_and_no_command_at_all_name_every_experiment(argv, capsys):
    code, out = run(capsys, *argv)
    assert code == 0
    head, *lines = out.split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines] == list(experiments.EXPERIMENTS)
    columns = [head.index(word) for word in ("download", "what it is")]
    for line in lines:  # the columns line up
        assert all(line[at - 1] == " " and line[at] != " " for at in columns), line
    (imdb,) = (line for line in lines if line.startswith("imdb"))
    assert "7 min" in imdb and "84 MB" in imdb
    assert "one core of a server" in out


def test_the_version(capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"minirnn {mr.__version__}\n"


def test_a_reader_of_the_list_may_stop_early(monkeypatch):
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # so that all is written at the end
    program = [sys.executable, "-m", "minirnn", "list"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # before the program can have written anything
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_airline_prints_baselines_writes_figures_and_says_where(capsys, tmp_path):
    file = tmp_path / "deep" / "figures.json"
    argv = ("airline", "--quick", "--epochs", "2", "--seeds", "2", "--out", str(tmp_path / "o"))
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "of-another-run.png").touch()
    code, out = run(capsys, *argv, "--json", str(file))
    assert code == 0
    for text in ("persistence", "same month last year", "53.1", "reference: ", "seeds 0 to 1"):
        assert text in out
    written = out.split("files written:\n")[1].split()
    pictures = [str(tmp_path / "o" / name) for name in ("hallucinations.png", "predictions.png")]
    assert written == [*pictures, str(file)]
    report = json.loads(file.read_text())
    assert list(report["seeds"]) == ["0", "1"]
    assert np.isfinite(report["seeds"]["1"]["seasonal LSTM"]["test"])
    assert [p.name for p in file.parent.iterdir()] == ["figures.json"]  # no temporary file left


@pytest.fixture
def some_layers(monkeypatch):
    """The command checks these; all layers are checked in checking/test_gradcheck.py."""
    some = {n: LAYERS[n] for n in ("RNN", "LSTM peephole", "Bidirectional", "GRU before")}
    monkeypatch.setattr("minirnn.checking.catalogue.LAYERS", some)
    return some


def test_gradcheck_prints_a_table_for_every_layer_of_the_catalogue(capsys, some_layers):
    code, out = run(capsys, "gradcheck")
    assert code == 0
    assert [line for line in out.splitlines() if line.endswith("different length")] == [
        f"{name}: 3 sequences of different length" for name in some_layers
    ]
    assert out.endswith("\n4 of 4 layers ok\n")
    for text in ("dp_o", "gate f", "dh0", "1e-07"):
        assert text in out


def test_gradcheck_by_the_complex_step_says_what_it_cannot_check(capsys, some_layers):
    code, out = run(capsys, "gradcheck", "--method", "complex")
    assert code == 0
    assert out.endswith(
        "no function of one step, so not checked: Bidirectional\n3 of 3 layers ok\n"
    )
    assert "1e-12" in out and "1e-07" not in out


def test_gradcheck_fails_loudly(capsys, monkeypatch, some_layers):
    from minirnn.cells import lstm

    right = lstm.weight_gradients
    monkeypatch.setattr(lstm, "weight_gradients", lambda *a: [1.01 * g for g in right(*a)])
    code, out = run(capsys, "gradcheck")
    assert code == 1
    assert out.endswith("\n2 of 4 layers ok\nWRONG: LSTM peephole\nWRONG: Bidirectional\n")


LEAST_0, LEAST_1 = (f"expected a whole number of at least {n}, got " for n in (0, 1))


@pytest.mark.parametrize("argv, why", [
    ("airlne", "minirnn: no command 'airlne'; did you mean 'airline'?\n"),
    ("digits_rows", "minirnn: no command 'digits_rows'; did you mean 'digits-rows'?\n"),
    ("xyzzy", "minirnn: no command 'xyzzy'; 'minirnn list' shows all\n"),
    ("all --only airlne", "no experiment 'airlne'; did you mean 'airline'?\n"),
    ("airline --sed 1", "minirnn airline: no option '--sed'; did you mean '--seed'?\n"),
    ("airline stock", "minirnn airline: no argument 'stock'; 'minirnn airline --help' shows all\n"),
    ("--quick airline", "minirnn: no option '--quick'; put options after the command's name\n"),
    ("airline --seed -1", "argument --seed: " + LEAST_0 + "'-1'\n"),
    ("airline --epochs 0", "argument --epochs: " + LEAST_1 + "'0'\n"),
    ("airline --seeds x", "argument --seeds: " + LEAST_1 + "'x'\n"),
])  # fmt: skip
def test_a_wrong_call_exits_with_2_and_says_why(argv, why, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main(argv.split())
    assert exit_.value.code == 2
    assert capsys.readouterr().err.endswith(why)


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit):
        cli.main(["airline", "--help"])
    assert "example: minirnn airline" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv", [(), ("all",), ("gradcheck",), *((name,) for name in experiments.EXPERIMENTS)]
)
def test_every_help_can_be_read(argv, capsys):
    with pytest.raises(SystemExit) as exit_:
        cli.main([*argv, "--help"])
    assert exit_.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "usage: minirnn" in printed
    assert "%%" not in printed
    if not argv:  # with each experiment's title, per cents included
        assert all(name in printed for name in experiments.EXPERIMENTS)
        assert "98.5 % with GRU(128)" in printed


def test_the_module_runs_as_a_program():
    done = subprocess.run(
        [sys.executable, "-m", "minirnn", "list"], capture_output=True, text=True, check=True
    )
    assert "airline" in done.stdout
    assert done.stderr == ""


def test_importing_does_not_load_what_only_some_need():
    code = "import sys, minirnn; print([m for m in ('matplotlib', 'tqdm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "figures.json"
    file.write_text("old")
    monkeypatch.setattr(
        npz.os, "replace", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        npz.write(file, b"new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("option", ["--out", "--json"])
def test_a_place_that_cannot_be_written_is_named_before_the_training(option, tmp_path, capsys):
    place = tmp_path / "place"
    place.mkdir() if option == "--json" else place.write_text("a file")
    argv = ["airline", "--epochs", "1", "--out", str(tmp_path / "o"), option, str(place)]
    assert cli.main(argv) == 1
    captured = capsys.readouterr()
    assert "place" in captured.err
    assert "RMSE" not in captured.out


def test_ctrl_c_ends_without_a_traceback(monkeypatch, tmp_path, capsys):
    from minirnn.experiments import airline

    monkeypatch.setattr(airline, "run", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    assert cli.main(["airline", "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "\nminirnn: stopped\n"


@pytest.mark.slow
def test_reversal_is_solved_with_attention():
    from minirnn.experiments import reverse

    result = reverse.run(Settings(progress=False))
    assert result["Luong attention"]["words"] == result["Bahdanau attention"]["words"] == 100
    assert result["no attention"]["words"] < 90


@pytest.mark.slow
def test_the_adding_problem_is_solved_by_gates_only():
    from minirnn.experiments import adding

    result = adding.run(Settings(progress=False))
    assert result["LSTM"]["test"] < 0.005 and result["GRU"]["test"] < 0.005
    assert result["tanh RNN"]["test"] > 0.15
    assert 0.15 < result["always answer 1"]["test"] < 0.18
