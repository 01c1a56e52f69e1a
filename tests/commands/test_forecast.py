"""``minirnn forecast``: from a file of one's own to figures, and what is said of other files."""

import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

import minirnn as mr
from minirnn import cli
from minirnn.commands import forecast, forecasting
from minirnn.commands.series_file import calendar_of, read_series, seasonal
from minirnn.datasets import forecasts, rolling
from minirnn.datasets.table import read_table

T = 72
MONTHS = [f"{2010 + k // 12}-{k % 12 + 1:02d}-01" for k in range(T)]
Y = 50 + np.arange(T) + 10 * np.sin(np.arange(T) / 12 * 2 * np.pi)
Y += np.random.default_rng(0).normal(size=T)
GOOD = "date,sales,price\n" + "".join(
    f"{m},{y:.3f},{k % 5 + 1}\n" for k, (m, y) in enumerate(zip(MONTHS, Y, strict=True))
)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(forecasting, "UPDATES", 3)
    monkeypatch.setattr(forecasting, "FURTHER", 1)


def run(tmp_path, text=GOOD, *options):
    (tmp_path / "my.csv").write_text(text)
    out = tmp_path / "out"
    code = cli.main(["forecast", str(tmp_path / "my.csv"), "--quick", "--out", str(out), *options])
    return code, out


def test_a_file_becomes_figures_a_picture_and_networks(tmp_path, capsys, short):
    code, out = run(tmp_path, GOOD, "--column", "sales", "--horizon", "2", "--inputs", "price")
    said = capsys.readouterr().out
    assert code == 0
    for text in (
        "my.csv: 72 rows, forecasting 'sales'", "one step is 1 month", "season: 12 steps",
        "training:   47 rows, 2010-01 to 2013-11", "test:       14 rows, 2014-11 to 2015-12",
        "test part, 13 origins", "90 % interval covers", "2016-01   ", "2016-02   ",
    ):  # fmt: skip
        assert text in said
    report = json.loads((out / "forecast.json").read_text())
    assert report["verdict"] in said
    y = np.round(Y, 3)[:, None]
    for name, own in rolling.compare(forecasts.naive(12), y, 58, 2).items():
        assert np.isclose(report["test"][name]["rmse"], own.rmse())
        assert np.isclose(report["test"][name]["mae"], own.mae())
        assert len(report["test"][name]["rmse_by_step"]) == 2
    assert [row["time"] for row in report["forecast"]] == ["2016-01", "2016-02"]
    assert (out / "forecast.png").read_bytes().startswith(b"\x89PNG")
    assert not list(out.glob("progress-*"))
    parts = report["network"]["parts"]
    total = sum(part["weight"] for part in parts) + report["network"]["naive_weight"]
    assert np.isclose(total, 1)


def test_the_saved_networks_make_the_forecast_that_is_printed(tmp_path, short):
    _, out = run(tmp_path, GOOD, "--column", "sales", "--season", "12")
    report = json.loads((out / "forecast.json").read_text())
    y, turn = np.round(Y, 3)[:, None], 2 * np.pi * np.arange(T + 1) / 12
    known = np.stack([np.sin(turn), np.cos(turn)], axis=1)
    network = report["network"]
    total = network["naive_weight"] * forecasts.naive(12)[network["naive"]](y, 1)
    for part in network["parts"]:
        about = mr.about(out / part["file"])
        assert about["column"] == "sales" and about["weight"] == part["weight"]
        one = forecasts.forecaster(mr.load(out / part["file"]), about)
        total = total + part["weight"] * one(y, 1, known)
    assert np.isclose(total[0, 0], report["forecast"][0]["value"])


def test_standard_input_is_read(tmp_path, monkeypatch, capsys, short):
    data = io.BytesIO("\n".join(f"{y:.2f}" for y in Y).encode())
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=data))
    code = cli.main(["forecast", "-", "--quick", "--out", str(tmp_path)])
    said = capsys.readouterr().out
    assert code == 0 and "standard input: 72 rows, forecasting '1'" in said
    assert "row 73   " in said


def test_after_an_interruption_the_finished_networks_are_not_trained_again(
    tmp_path, monkeypatch, capsys, short
):
    options = ("--column", "sales", "--season", "1")
    for folder in "ab":
        (tmp_path / folder).mkdir()
    _, whole = run(tmp_path / "a", GOOD, *options)
    trained, seeds = forecasting.trained, []

    def stop_at_the_third(own, seed, epochs):
        seeds.append(seed)
        if len(seeds) == 3:
            raise KeyboardInterrupt
        return trained(own, seed, epochs)

    monkeypatch.setattr(forecasting, "trained", stop_at_the_third)
    code, _ = run(tmp_path / "b", GOOD, *options)
    assert code == 130 and "the same command goes on from here" in capsys.readouterr().err
    code, out = run(tmp_path / "b", GOOD, *options)
    assert code == 0 and "goes on from where" in capsys.readouterr().out
    reports = [json.loads((o / "forecast.json").read_text()) for o in (whole, out)]
    for report in reports:
        del report["seconds"], report["file"]
    assert reports[0] == reports[1]
    assert len(seeds) == len(reports[0]["network"]["parts"]) + 1  # each once, and the one stopped


def test_nothing_of_the_test_part_changes_the_network(tmp_path, short):
    found = []
    for spoiled in (False, True):
        y = Y[:, None].copy()
        if spoiled:
            y[58:] = 1000 + np.arange(14)[:, None] ** 2
        problem = forecasting.Problem(y, np.empty((T + 1, 0)), 12, 1, (47, 58))
        folder = tmp_path / str(spoiled)
        folder.mkdir()
        found.append(forecasting.train(problem, 0, folder, lambda text: None, 2))
    for (a, va, _), (b, vb, _) in [found]:
        assert a.weights == b.weights and a.naive_weight == b.naive_weight
        assert np.array_equal(va.forecast, vb.forecast)
        for m, n in zip(a.members, b.members, strict=True):
            assert all(np.array_equal(m.model.params[k], n.model.params[k]) for k in m.model.params)


def result(error):
    zero = np.zeros((1, 10, 1))
    return rolling.Rolling(np.arange(10), zero + error, zero, zero - 1, zero + 1)


def test_it_says_which_forecast_to_use():
    table = {"network": result(2.0), "persistence": result(1.0), "drift": result(3.0)}
    says = "persistence is better here: use it (RMSE 1, the network 2)"
    assert forecast.judged(table) == says
    table["network"] = result(0.999)
    assert (
        forecast.judged(table)
        == "the network is as good as persistence, which is simpler: use that"
    )
    table["network"] = result(0.5)
    assert "50 % below that of the best naive forecast, persistence" in forecast.judged(table)


def line_10(text):
    lines = GOOD.splitlines()
    lines[9] = text
    return "\n".join(lines)


SALES = ("--column", "sales")
GAPS = "\n".join(["x,z"] + ["4,5"] * 9 + [",6"] * 60 + ["4,5"] * 9)


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        (GOOD, (), "--column: expected one of 'sales', 'price', got none"),
        (GOOD, ("--column", "profit"), "no column 'profit'; it has 'date', 'sales', 'price'"),
        (GOOD, ("--column", "date"), "column 'date': expected a number, got '2010-01-01'"),
        (GOOD, (*SALES, "--horizon", "30"), "--horizon: expected at most 9"),
        (GOOD, (*SALES, "--season", "20"), "--season: expected at most 15"),
        (GOOD, (*SALES, "--where", "price"), "--where: expected NAME=TEXT"),
        (GOOD, (*SALES, "--delimiter", "ab"), "--delimiter: expected one character"),
        (GOOD, (*SALES, "--known", "sales"), "--known: 'sales' cannot be known"),
        (line_10("2010-09-01,1.0.0,1"), SALES, "line 10: column 'sales': expected a number"),
        (line_10("2010-09-01,1"), SALES, "line 10: expected 3 values, as in line 1, got 2"),
        (line_10("2010-08-01,1,1"), SALES, "line 10: the date '2010-08-01'.*line 9 again"),
        (line_10("2010-02-01,1,1"), SALES, "line 10: .* is before '2010-08-01' of line 9; sort"),
        (line_10("2010-09-31,1,1"), SALES, "line 10: column 'date': expected a date"),
        (line_10("2010-09-05,1,1"), SALES, "not equally far apart.*--ignore-times"),
        ("\n".join(GOOD.splitlines()[:30]), SALES, "too short: expected at least 40 rows"),
        ("\n".join(["x"] + ["4"] * 60), (), "column 'x' is constant, 4 in all rows"),
        (GAPS, ("--column", "x"), "60 of 78 values are missing"),
        ("", (), "the file is empty"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_what_to_do(tmp_path, capsys, text, options, says):
    code, out = run(tmp_path, text, *options)
    said = capsys.readouterr().err
    assert code == 1 and said.count("\n") == 1
    assert re.search(says, said)
    assert not out.exists()


def own_series(text, column="2", **options):
    table = read_table(text.encode(), "my.csv")
    given = {
        "inputs": [],
        "known": [],
        "time": None,
        "order": None,
        "ignore_times": False,
    } | options
    return read_series(table, column, **given)


def test_missing_rows_and_values_are_told_and_kept_in_place():
    lines = GOOD.splitlines()
    lines[9] = "2010-09-01,,1"
    own = own_series("\n".join(lines[:20] + lines[22:]))
    assert own.values.shape == (T, 1) and np.isnan(own.values[[8, 19, 20], 0]).all()
    assert "one step is 1 month; missing rows: 2, the first 2011-08" in own.notes[0]
    assert own.notes[1] == "missing values in 'sales': 3 of 72; they do not count"
    assert str(own.times[20])[:7] == "2011-09"


def test_known_columns_go_on_after_the_last_value():
    more = GOOD + "2016-01-01,,9\n2016-02-01,,8\n"
    own = own_series(more, known=["price"])
    assert own.values.shape == (T, 1) and own.known[-2:, 0].tolist() == [9, 8]
    arguments = SimpleNamespace(horizon=3, season=12)
    problem, notes = forecast.problem_of(own, arguments)
    assert problem.known[-3:, -1].tolist() == [9, 8, 8]
    assert "1 of 3 rows after the last value are not in the file" in notes[0]


def test_a_season_is_taken_only_where_it_is_seen():
    rng = np.random.default_rng(0)
    wave = np.sin(np.arange(100) / 12 * 2 * np.pi) + 0.1 * rng.normal(size=100)
    assert seasonal(wave, 12) and not seasonal(wave, 7) and not seasonal(wave[:30], 12)
    assert not seasonal(np.cumsum(rng.normal(size=100)), 12) and not seasonal(wave, 1)


def test_the_calendar_of_days_goes_on_after_the_last():
    days = np.arange("2020-01-01", "2020-03-31", dtype="datetime64[D]")
    own = own_series("d,v\n" + "".join(f"{d},{k}\n" for k, d in enumerate(days)))
    known = calendar_of(own, 1, len(days) + 7, 60)
    assert known.shape == (97, 2)  # the week; there are too few days for a year
    assert np.allclose(known[-7:], known[-14:-7])
    assert calendar_of(own, 7, len(days) + 7, 60).shape == (97, 2)  # the season is the week
